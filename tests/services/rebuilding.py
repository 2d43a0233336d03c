"""A journal with read models, of which several generations may be made, kept, looked at, and spoiled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg

from projections import comparing
from projections.comparing import TABLES, Digest
from services.journal.ports import Entry, Row
from services.journal.postgres import PostgresJournal
from services.keeping import keep
from services.rebuild import Rebuilt, rebuild
from services.settings import Secret, Settings
from services.swapping import Place, all_kept
from tests.projections.stream import SHARD, busy, events, stored
from tests.services.journal.batches import batch
from tests.services.stage import Calm

PATIENTLY_S = 90


class House:
    """A journal, its read models, and who keeps them."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.place = Place(dsn, (SHARD,))
        self.settings = Settings(instance="test", dsn=Secret(dsn))

    async def append(self, rows: list[Row]) -> None:
        """Let a writer store events."""
        journal = PostgresJournal(self.dsn, SHARD)
        standing = await journal.claim("1")
        opened = sorted({row.ledger for row in rows if row.sequence == 1})
        await journal.append(batch(standing, [Entry(*row[1:]) for row in rows], ids=[], opened=opened))
        await journal.close()

    async def rebuild(self, **how: Any) -> Rebuilt:
        """Build, compare and swap."""
        return await rebuild(self.settings, self.place, **how)

    @asynccontextmanager
    async def kept(self, come: int = 0) -> AsyncIterator[None]:
        """Have a projector at work that has come so far with the first generation."""
        keeping = asyncio.create_task(keep(self.settings, SHARD, Calm()))
        try:
            if come:
                await self.come(come, 1)
            yield
            assert not keeping.done(), keeping.result()
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping

    async def states(self) -> dict[int, tuple[bool, bool, int]]:
        """Tell of each generation whether it is live, whether it is built, and how far it has come."""
        return {
            known.number: (known.live, known.built, positions.get(SHARD, 0))
            for known, positions in await all_kept(self.place)
        }

    async def come(self, position: int, *numbers: int) -> None:
        """Wait until these generations have come to a position."""
        async with asyncio.timeout(PATIENTLY_S):
            while not await self._have_come(position, numbers):
                await asyncio.sleep(0.02)

    async def _have_come(self, position: int, numbers: tuple[int, ...]) -> bool:
        states = await self.states()
        return all(states[number][2] >= position for number in numbers)

    def digests(self, number: int) -> dict[str, Digest]:
        """Give the digest of every table of a generation."""
        with psycopg.connect(self.dsn) as connection:
            return {table: comparing.digest(connection, f"read_{number}", table) for table in TABLES}

    def do(self, statement: str) -> None:
        """Do something to the database that nobody should."""
        with psycopg.connect(self.dsn) as connection:
            connection.execute(statement.encode())


def all_that_can_happen() -> list[Row]:
    return [Row(number, *row[1:]) for number, row in enumerate(stored(events()), start=1)]


def later(count: int, start: int = 0) -> list[Row]:
    """Give events of a ledger that nothing was said of before."""
    happened = busy([1] * (start + count))
    return [Row(0, *row[1:]) for row in stored(happened)][start and start + 3 :]
