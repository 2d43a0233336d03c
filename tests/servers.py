"""The one PostgreSQL and the one Kafka that all tests of a run share, started when the first test asks.

The process that was started by hand owns them. Under pytest-xdist the workers are other processes: they ask for the
addresses through a door, a socket that the owner opens. So the installation lives exactly as long as the run, and
ends with it even when the run is killed.
"""

import secrets
import tempfile
import threading
from multiprocessing.connection import Client, Listener
from pathlib import Path

from services.dev import Addresses, Installation, archive


class Servers:
    """The shared installation, on the owner's side."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._installation: Installation | None = None
        self._failure: Exception | None = None
        self._door: Listener | None = None
        self._key = secrets.token_hex()

    def addresses(self) -> Addresses:
        """Return where they answer; the first to ask waits until they do."""
        with self._starting:
            if self._failure:
                raise self._failure
            if not self._installation:
                directory = Path(tempfile.mkdtemp(prefix="defter-tests-"))
                installation = Installation(directory, keep=False)
                try:
                    archive.make()
                    installation.start()
                except Exception as failure:
                    self._failure = failure
                    raise
                self._installation = installation
            return self._installation.addresses

    def open_door(self) -> tuple[str, str]:
        """Let other processes ask.

        Returns:
            What they need for `ask`: where the door is, and its key.
        """
        if not self._door:
            self._door = Listener(family="AF_UNIX", authkey=self._key.encode())
            threading.Thread(target=self._answer, args=(self._door,), daemon=True).start()
        return str(self._door.address), self._key

    def close(self) -> None:
        """End the servers and delete what they kept."""
        if self._door:
            self._door.close()
        if self._installation:
            self._installation.stop()

    def _answer(self, door: Listener) -> None:
        while True:
            try:
                with door.accept() as caller:
                    try:
                        caller.send(tuple(self.addresses()))
                    except Exception as failure:  # noqa: BLE001 - the caller is told, and raises it
                        caller.send(repr(failure))
            except (OSError, EOFError):
                return


def ask(address: str, key: str) -> Addresses:
    """Return where the shared servers answer, from another process than their owner's."""
    with Client(address, authkey=key.encode()) as door:
        answer = door.recv()
    if isinstance(answer, tuple):
        return Addresses(*answer)
    raise RuntimeError(answer)
