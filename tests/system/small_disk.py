"""A PostgreSQL with one tablespace on a disk of its own, so small that it can be filled up."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import psycopg

from services.dev.postgres import Postgres, namespace

_MOUNTED: Final = ("sh", "-c", 'mount -t tmpfs -o size=64m small "$0" && exec "$@"')
_CHUNK: Final = bytes(1 << 16)


@cache
def in_a_namespace() -> tuple[str, ...]:
    """Return what stands before a command that may mount; nothing where this system lets nobody but root do so."""
    unshare = shutil.which("unshare")
    if not unshare:
        return ()
    user = namespace()[1:] or ("--user", "--map-current-user")
    command = (unshare, *user, "--keep-caps", "--mount")
    done = subprocess.run([*command, "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True)
    return command if done.returncode == 0 else ()


class OnASmallDisk(Postgres):
    """A server that sees the small disk, which is gone with it.

    Args:
        directory: where its data is kept, and where the small disk is mounted.
        port: where it listens.
    """

    def __init__(self, directory: Path, port: int) -> None:
        super().__init__(directory, port, trash=directory)
        self._disk = directory / "disk"
        self._disk.mkdir(parents=True)

    def start(self, command: Sequence[str], ready: Callable[[int], bool]) -> None:
        server = command[len(namespace()) :]
        super().start([*in_a_namespace(), *_MOUNTED, str(self._disk), *server], ready)

    def database(self, name: str) -> str:
        """Make a database whose tables are on the small disk, and return its address."""
        with psycopg.connect(self.dsn(), autocommit=True) as superuser:
            superuser.execute(f"create tablespace small location '{self._disk}'".encode())
            superuser.execute(f"create database {name} tablespace small".encode())
        return self.dsn(name)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Fill the disk up to its last byte, and make room again in the end."""
        ballast = Path(f"/proc/{self.pid}/root{self._disk}/ballast")
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                os.write(file.fileno(), _CHUNK)
        try:
            yield
        finally:
            ballast.unlink()
