"""Ports of this machine that are free, and stay the same from one start to the next.

They come from below the range that operating systems give to outgoing connections: while a killed server is away,
none of its clients can be given its port by accident, and none can connect to itself there.
"""

import random
import socket
from collections.abc import Collection

LOWEST, HIGHEST = 20_000, 32_000
HOST = "127.0.0.1"


def pick(taken: Collection[int] = ()) -> int:
    """Return a port that nobody listens on now.

    Args:
        taken: ports already given away.
    """
    while True:
        port = random.randint(LOWEST, HIGHEST)  # noqa: S311 - no secret
        if port not in taken and free(port):
            return port


def free(port: int) -> bool:
    """Return whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port just left counts as free
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
