"""A whole local installation: one PostgreSQL, one Kafka, in one directory, for one owner.

Its law is crash-only: whatever was killed, and whenever, `start` just works. The owner holds a lock on the directory
for as long as it lives; the servers end with it. Ports are picked free once and noted, so that a restart finds the
same addresses.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from services.dev import ports
from services.dev.kafka import Kafka, bootstrap
from services.dev.postgres import Postgres, dsn
from services.errors import Unexpected

LOCK_WAIT_S = 1.0


class Addresses(NamedTuple):
    """Where an installation answers."""

    database: str
    """PostgreSQL: a DSN."""

    kafka: str
    """Kafka: bootstrap servers."""


class Ports(NamedTuple):
    """The ports of an installation."""

    postgres: int
    kafka: int
    controller: int


class Installation:
    """PostgreSQL and Kafka in a directory. Blocking; made by `start`, ended by `stop` or by the end of this process.

    Args:
        directory: where everything is kept; made when missing.
        keep: keep the data when the installation ends; else the directory is deleted then, even if this process is
            killed.
    """

    postgres: Postgres
    kafka: Kafka

    def __init__(self, directory: Path, *, keep: bool = True) -> None:
        self.directory = directory.absolute()
        self.keep = keep
        self._lock: int | None = None

    @property
    def addresses(self) -> Addresses:
        """Where it answers, from `start` on."""
        return Addresses(self.postgres.dsn(), self.kafka.bootstrap)

    def start(self, say: Callable[[str], None] = lambda _: None) -> Addresses:
        """Start both servers, side by side, and wait until they answer.

        Args:
            say: told one sentence when something takes its time.

        Raises:
            Away: what Kafka is made of cannot be fetched.
            Unexpected: the directory is in use or cannot be used, or a server cannot be started.
        """
        with _usable(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.directory)
            noted = pick_ports(self.directory)
        trash = None if self.keep else self.directory
        self.postgres = Postgres(self.directory / "postgres", noted.postgres, trash)
        self.kafka = Kafka(self.directory / "kafka", noted.kafka, noted.controller, trash)
        try:
            with ThreadPoolExecutor(2) as threads:
                starts = [threads.submit(self.postgres.run), threads.submit(self.kafka.run, say)]
            for each in starts:
                each.result()
        except BaseException:
            self.stop()
            raise
        return self.addresses

    def stop(self) -> None:
        """Stop both servers, side by side, and let the directory go."""
        if self._lock is None:
            return
        with ThreadPoolExecutor(2) as threads:
            for server in (self.kafka, self.postgres):
                threads.submit(server.close)
        if not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)
        os.close(self._lock)
        self._lock = None

    def reset(self) -> None:
        """Delete the directory with all that is in it. Nothing may run in it.

        Raises:
            Unexpected: the directory is in use, or cannot be used.
        """
        assert self._lock is None, "stop it first"
        with _usable(self.directory):
            if self.directory.exists():
                held = lock(self.directory)
                shutil.rmtree(self.directory)
                os.close(held)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def default_directory() -> Path:
    """Return where the user's own local installation is kept."""
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "defter"


def find(directory: Path) -> Addresses | None:
    """Return where the installation in this directory answers, if one runs there, whoever owns it.

    Raises:
        Unexpected: the directory cannot be used.
    """
    try:
        with _usable(directory):
            descriptor = os.open(directory / "lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        noted = note(directory)
        if noted is None:
            return None  # it has only just begun
        return Addresses(dsn(noted.postgres), bootstrap(noted.kafka))
    else:
        return None
    finally:
        os.close(descriptor)


@contextmanager
def _usable(directory: Path) -> Iterator[None]:
    """Say what is wrong with a directory that is of somebody else, or none, or full; one not there yet is all right."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        what = f"the local installation cannot be kept in {directory}: {error.strerror}"
        raise Unexpected(what, "set XDG_DATA_HOME to a directory that you may write to") from None


def lock(directory: Path) -> int:
    """Take the directory for this process; the lock is let go when its descriptor is closed, or with the process.

    Raises:
        Unexpected: another process has it.
    """
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_WAIT_S  # `find` holds it for a moment
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                what = f"the local installation in {directory} is in use by another process"
                raise Unexpected(what, "stop that one first (Ctrl-C)") from None
            time.sleep(0.05)
        else:
            return descriptor


def pick_ports(directory: Path) -> Ports:
    """Return the ports noted here, with free ones in place of those that somebody else has taken meanwhile."""
    noted = note(directory) or (0, 0, 0)
    picked = Ports(*[port if port and ports.free(port) else ports.pick(noted) for port in noted])
    unfinished = directory / "ports.json.new"
    unfinished.write_text(json.dumps(picked._asdict()), encoding="ascii")
    unfinished.replace(directory / "ports.json")
    return picked


def note(directory: Path) -> Ports | None:
    """Return the ports that are noted here, if any."""
    try:
        return Ports(**json.loads((directory / "ports.json").read_text(encoding="ascii")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
