"""Installations with real processes. What a test starts ends with it; when it fails, what they said is shown."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path

import psycopg
import pytest

from services.dev import Installation, archive
from services.kafka.topics import delete
from tests.system.house import House

MakeHouse = Callable[..., Awaitable[House]]
LAST_LINES = 60

_LOGS = pytest.StashKey[Path]()


@pytest.fixture
async def make_house(
    kafka: str, database: str, prefix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[MakeHouse]:
    """Sets up an installation on the shared servers."""
    request.node.stash[_LOGS] = tmp_path
    made: list[House] = []

    async def make(partitions: int = 1) -> House:
        made.append(House(database, kafka, prefix, tmp_path, partitions))
        await made[-1].set_up()
        return made[-1]

    yield make
    for house in made:
        await house.close()
        await delete(house.kafka, house.topics.all())


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A PostgreSQL and a Kafka for the tests of one file, to be stopped and killed."""
    installation = Installation(tmp_path_factory.mktemp("servers"), keep=False)
    archive.make()
    installation.start()
    yield installation
    installation.stop()


@pytest.fixture
async def make_own_house(
    servers: Installation, prefix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[MakeHouse]:
    """Sets up an installation on servers that may be stopped and killed."""
    request.node.stash[_LOGS] = tmp_path
    for server in (servers.postgres, servers.kafka):
        if not server.running:
            server.run()
    made: list[House] = []

    async def make(partitions: int = 1) -> House:
        database, dsn = f"t_{secrets.token_hex(6)}", servers.addresses.database
        with psycopg.connect(dsn, autocommit=True) as superuser:
            superuser.execute(f"create database {database}".encode())
        made.append(
            House(dsn.rpartition("/")[0] + f"/{database}", servers.addresses.kafka, prefix, tmp_path, partitions)
        )
        await made[-1].set_up()
        return made[-1]

    yield make
    for house in made:
        await house.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of every log beside a failure."""
    report = yield
    if report.failed and _LOGS in item.stash:
        for log in sorted(item.stash[_LOGS].glob("*.log")):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            report.sections.append((f"the end of {log.name}", "\n".join(lines[-LAST_LINES:])))
    return report
