"""What is read ahead is read beside the work on what came before, even where that work never waits."""

import asyncio

from services.journal.one_thread import begun
from services.journal.ports import Row
from services.journal.postgres import PostgresJournal
from services.migrations import migrate
from tests.services.journal.batches import opening


async def test_what_was_begun_is_under_way() -> None:
    told = []

    async def work() -> str:
        told.append("begins")
        await asyncio.sleep(0)
        return "done"

    task = await begun(work())
    told.append("goes on")

    assert await task == "done"
    assert told == ["begins", "goes on"]


async def test_the_next_page_of_the_journal_is_asked_for_before_the_first_is_worked_on(database: str) -> None:
    migrate(database, [0])
    asked = []

    class Telling(PostgresJournal):
        async def read(self, after: int, most: int) -> list[Row]:
            asked.append(after)
            return await super().read(after, most)

    journal = Telling(database, 0)
    await journal.append(opening(await journal.claim("1"), count=4))
    by_then = [(len(rows), len(asked)) async for rows in journal.load(page=2)]
    await journal.close()

    assert by_then == [(2, 2), (2, 3)]
