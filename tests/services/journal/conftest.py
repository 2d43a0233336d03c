"""A shard on each of the two journals, opened as often as a test likes."""

from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import psycopg
import pytest

from services.journal.memory import MemoryJournal, MemoryStore
from services.journal.ports import Journal
from services.journal.postgres import PostgresJournal
from services.migrations import migrate


class Shard(Protocol):
    """One shard of one store, which outlives the journals opened on it."""

    def open(self) -> Journal: ...

    def seals(self, ledger: str) -> dict[int, bytes]: ...

    def releases(self) -> list[tuple[int, str]]: ...


class MemoryShard:
    def __init__(self) -> None:
        self._store = MemoryStore()

    def open(self) -> Journal:
        return MemoryJournal(self._store, 0)

    def seals(self, ledger: str) -> dict[int, bytes]:
        return self._store.seals.get(ledger, {})

    def releases(self) -> list[tuple[int, str]]:
        return [(release.first_offset, release.rules) for release in self._store.releases]


class PostgresShard:
    def __init__(self, dsn: str) -> None:
        migrate(dsn, [0])
        self.dsn = dsn
        self.opened: list[PostgresJournal] = []

    def open(self) -> Journal:
        self.opened.append(PostgresJournal(self.dsn, 0))
        return self.opened[-1]

    def seals(self, ledger: str) -> dict[int, bytes]:
        with psycopg.connect(self.dsn) as connection:
            rows = connection.execute(
                "select sequence, seal from journal.seals join journal.ledgers using (originator_id) where name = %s",
                (ledger,),
            )
            return dict(rows.fetchall())

    def releases(self) -> list[tuple[int, str]]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute("select first_offset, rules from journal.releases order by epoch").fetchall()


@pytest.fixture
async def postgres_shard(database: str) -> AsyncIterator[PostgresShard]:
    shard = PostgresShard(database)
    yield shard
    for journal in shard.opened:
        await journal.close()


@pytest.fixture(params=["memory", "postgres"])
def shard(request: pytest.FixtureRequest) -> Shard:
    """The same test on both."""
    if request.param == "memory":
        return MemoryShard()
    made: Shard = request.getfixturevalue("postgres_shard")
    return made


@pytest.fixture
def owner(postgres_shard: PostgresShard) -> Iterator[psycopg.Connection]:
    """A connection of the user who ran the setup and owns every table."""
    with psycopg.connect(postgres_shard.dsn, autocommit=True) as connection:
        yield connection


async def sequences(shard: PostgresShard) -> list[int]:
    """The sequences of all events, in order of position."""
    return [row.sequence async for page in shard.open().load() for row in page]
