"""Ports of this machine that are free, and stay the same from one start to the next.

They come from below the range that operating systems give to outgoing connections: while a killed server is away,
none of its clients can be given its port by accident, and none can connect to itself there.

A port is given long before anybody listens on it. So a process gives one after the other, from a place of its own on,
and two that are given within moments are never the same.
"""

import secrets
import socket
from collections.abc import Collection
from itertools import count

HOST = "127.0.0.1"

_LOWEST, _HOW_MANY = 20_000, 12_000
_places = count(secrets.randbelow(_HOW_MANY))


def pick(taken: Collection[int] = ()) -> int:
    """Return a port that nobody listens on now.

    Args:
        taken: ports that are promised to somebody who does not listen there yet.
    """
    return next(port for place in _places if (port := _LOWEST + place % _HOW_MANY) not in taken and free(port))


def free(port: int) -> bool:
    """Return whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port just left counts as free
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
