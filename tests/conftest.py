"""What every test may ask for: a database and a topic prefix of its own, or servers of its own to kill.

    database           a DSN: an empty database, for this test only
    kafka              bootstrap servers
    prefix             a topic prefix that nobody else uses
    installation       both servers' addresses
    own_installation   makes a PostgreSQL and a Kafka for this test only

Nothing is started for tests that ask for none of these. With `CI=true` a skipped test is a failed one.
"""

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import psycopg
import pytest
import structlog

from services.dev import Addresses, Installation, archive
from tests.servers import Servers, ask

SERVERS = pytest.StashKey[Servers]()
CI = os.environ.get("CI") == "true"

MEMORY = Path("/dev/shm")
# Bytes that must be free for what tests write, of which a tenth was seen in use, and for processes beside that.
FILES = 3 * 2**30
PROCESSES = 3 * 2**30

# How long an example takes says nothing about the ledger.
hypothesis.settings.register_profile("defter", deadline=None, print_blob=True)
hypothesis.settings.load_profile("defter")


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """How a test's lines are logged ends with it: its streams are closed then."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture(scope="session")
def installation(pytestconfig: pytest.Config) -> Addresses:
    """Where the PostgreSQL and the Kafka answer that all tests share. They are not to be stopped."""
    worker: dict[str, Any] | None = getattr(pytestconfig, "workerinput", None)
    return ask(*worker["door"]) if worker else pytestconfig.stash[SERVERS].addresses()


@pytest.fixture(scope="session")
def superuser(installation: Addresses) -> Iterator[psycopg.Connection]:
    """A connection that may do anything on the shared PostgreSQL."""
    with psycopg.connect(installation.database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def database(installation: Addresses, superuser: psycopg.Connection) -> Iterator[str]:
    """The DSN of an empty database of one's own."""
    name = f"t_{secrets.token_hex(6)}"
    superuser.execute(f"create database {name} strategy file_copy")  # less to write, and half the time to drop it
    yield installation.database.rpartition("/")[0] + f"/{name}"
    superuser.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def kafka(installation: Addresses) -> str:
    """The bootstrap servers of the Kafka that all tests share."""
    return installation.kafka


@pytest.fixture
def prefix() -> str:
    """A topic prefix of one's own."""
    return f"t{secrets.token_hex(6)}."


@pytest.fixture
def own_installation(tmp_path: Path) -> Iterator[Callable[[], Installation]]:
    """Makes an installation of one's own, started, for tests that stop or kill servers."""
    made: list[Installation] = []

    def make() -> Installation:
        made.append(Installation(tmp_path / f"installation-{len(made)}", keep=False))
        archive.make()
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def tell(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Says something that is seen whether the test fails or not: a seed, a figure."""

    def say(text: str) -> None:
        with capfd.disabled():
            print(f"\n  {text}", file=sys.stderr, flush=True)

    return say


def pytest_configure(config: pytest.Config) -> None:
    """Only the process started by hand owns servers; it starts none before a test asks."""
    if not hasattr(config, "workerinput"):
        if "TMPDIR" not in os.environ and has_room(MEMORY):
            os.environ["TMPDIR"], tempfile.tempdir = str(MEMORY), None
        config.stash[SERVERS] = Servers()


def has_room(memory: Path) -> bool:
    """Tell whether what tests write, servers' data above all, may be kept in memory.

    Processes are killed here and machines are not, so where files lie is no part of what is shown; and some hundred
    databases are made and dropped: on a disk, tests that have one take twice as long.
    """
    if not memory.is_dir() or os.statvfs(memory).f_flag & os.ST_NOEXEC:
        return False
    return min(shutil.disk_usage(memory).free, psutil.virtual_memory().available - PROCESSES) >= FILES


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers after the last test of the last worker."""
    if SERVERS in config.stash:
        config.stash[SERVERS].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the door is."""
    node.workerinput["door"] = node.config.stash[SERVERS].open_door()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With `CI=true`, turn a skipped test into a failed one."""
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as failed with CI=true: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With `CI=true`, turn a skipped file into a failed one."""
    report = yield
    if CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as failed with CI=true: {report.longrepr}"
    return report
