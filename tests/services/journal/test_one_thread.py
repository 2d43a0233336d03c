"""What is read ahead is read beside the work on what came before, and whoever asks too late is told so."""

import asyncio
import gc
from collections.abc import Iterator
from weakref import WeakSet

import pytest

from services.errors import Away
from services.journal.one_thread import OneThread, begun
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


class Load:
    """Something large that a call works on."""


@pytest.fixture
def no_collecting() -> Iterator[None]:
    """Leave rings of objects where they are."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collecting")
async def test_what_is_tried_again_and_again_keeps_nothing_of_the_tries_before() -> None:
    thread = OneThread("one", lambda: None)
    alive: WeakSet[Load] = WeakSet()

    def fail() -> None:
        load = Load()
        alive.add(load)
        raise Away("nobody answers")

    for _ in range(5):
        with pytest.raises(Away, match="nobody answers"):
            await thread.run(fail)
    thread.stop()

    assert len(alive) <= 1, "the thread has the last one until it is given another"


async def test_who_asks_a_thread_that_was_stopped_is_told_so() -> None:
    thread = OneThread("one", lambda: None)
    assert await thread.run(lambda: 1) == 1

    thread.stop()

    with pytest.raises(Away, match="one is closed"):
        await asyncio.wait_for(thread.run(lambda: 1), 5)
