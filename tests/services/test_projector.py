"""The projector takes the journal in, page by page, whatever dies meanwhile, and stops at what is wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import psycopg
import pytest

from projections import generations
from projections.checkpoint import Stored
from projections.projection import Projection
from services.errors import Unexpected
from services.journal.memory import MemoryJournal, MemoryStore
from services.journal.ports import Entry, Row
from services.journal.postgres import PostgresJournal
from services.migrations import allow_read_models, migrate
from services.points import Point, no_point
from services.projector import LONGEST_PAUSE_S, PAGE, SHORTEST_PAUSE_S, Projector, pause_s, prepare, project
from services.settings import Secret, Settings
from tests.projections.stream import SHARD, events, everything, stored
from tests.projections.stream import project as project_directly
from tests.services.journal.batches import batch
from tests.services.stage import Calm

Shown = dict[str, list[tuple[Any, ...]]]


class Killed(BaseException):
    """As if the process had been killed here."""


@pytest.fixture
def expected(database: str) -> Shown:
    """What the read models show when everything was taken in at once. Nothing of it is left."""
    with psycopg.connect(database) as connection:
        generations.prepare(connection)
        project_directly(connection, stored(events()))
        shown = everything(connection)
        connection.rollback()
        connection.execute("drop schema read cascade; drop schema read_1 cascade")
    return shown


@cache
def rows() -> list[Row]:
    return [Row(number, *row[1:]) for number, row in enumerate(stored(events()), start=1)]


def journal(kept: list[Row] | None = None) -> MemoryJournal:
    store = MemoryStore()
    store.rows = list(rows() if kept is None else kept)
    return MemoryJournal(store, SHARD)


def projector(kept: MemoryJournal, dsn: str, *, point: Point = no_point, page: int = PAGE) -> Projector:
    return Projector(kept, dsn, Calm(), point=point, pause=lambda _: 0.0, page=page)


async def run(one: Projector, until: int | None = None) -> None:
    """Let it run until it has come to a position, then stop it."""
    last = until or len(rows())
    stop = asyncio.Event()
    running = asyncio.create_task(one.run(stop))
    await come(lambda: one.position >= last or running.done())
    stop.set()
    await running


async def come(there: Callable[[], bool]) -> None:
    while not there():
        await asyncio.sleep(0.005)


def shown(dsn: str) -> Shown:
    with psycopg.connect(dsn) as connection:
        return everything(connection)


def at(place: str, number: int, do: Callable[[], Awaitable[None]]) -> Point:
    """Make a point that does something when a place is passed for the nth time."""
    passed = 0

    async def point(passing: str) -> None:
        nonlocal passed
        passed += passing == place
        if passed == number and passing == place:
            await do()

    return point


async def kill() -> None:
    raise Killed


async def test_the_read_models_show_what_the_journal_says(expected: Shown, prepared: str) -> None:
    await run(projector(journal(), prepared))

    assert shown(prepared) == expected


async def test_the_next_part_of_a_page_is_on_its_way_while_one_is_folded(
    prepared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, fold = [], Projection.fold

    class Telling(MemoryJournal):
        async def read(self, after: int, most: int) -> list[Row]:
            told.append("asked for")
            return await super().read(after, most)

    def folded(projection: Projection, part: Sequence[Stored]) -> None:
        told.append("folded")
        fold(projection, part)

    store = MemoryStore()
    store.rows = rows()
    monkeypatch.setattr("services.projector.PART", 100)
    monkeypatch.setattr(Projection, "fold", folded)
    await run(projector(Telling(store, SHARD), prepared))

    assert told[:5] == ["asked for", "asked for", "folded", "asked for", "folded"]


@pytest.mark.parametrize("place", ["read", "written", "committed"])
async def test_killed_between_pages_or_inside_one_the_next_goes_on_exactly_there(
    expected: Shown, prepared: str, place: str
) -> None:
    for number in (1, 2, 4):
        with pytest.raises(Killed):
            await run(projector(journal(), prepared, point=at(place, number, kill), page=100))

    await run(projector(journal(), prepared, page=100))

    assert shown(prepared) == expected


async def test_a_connection_cut_inside_a_page_is_waited_out(expected: Shown, prepared: str, superuser: Any) -> None:
    async def cut() -> None:
        superuser.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'defter-projector%%' "
            "and datname = %s",
            (prepared.rpartition("/")[2],),
        )

    await run(projector(journal(), prepared, point=at("written", 3, cut), page=100))

    assert shown(prepared) == expected


async def test_what_is_appended_later_is_taken_in_too(expected: Shown, prepared: str) -> None:
    kept = journal(rows()[:10])
    one = projector(kept, prepared)
    stop = asyncio.Event()
    running = asyncio.create_task(one.run(stop))
    await come(lambda: one.position >= 10)

    kept._store.rows += rows()[10:]
    await come(lambda: one.position >= len(rows()) or running.done())
    stop.set()
    await running

    assert shown(prepared) == expected


async def test_an_event_that_is_missing_stops_it_by_name(prepared: str) -> None:
    ledger = next(row.ledger for row in rows() if row.sequence == 5)
    kept = [row for row in rows() if (row.ledger, row.sequence) != (ledger, 4)]

    with pytest.raises(Unexpected, match=f"ledger {ledger}: expected sequence 4, found 5"):
        await run(projector(journal(kept), prepared))

    assert not any(shown(prepared).values())


async def test_a_database_without_read_models_names_the_remedy(database: str) -> None:
    allow_read_models(database)

    with pytest.raises(Unexpected, match=r"no read models\n.*defter setup"):
        await run(projector(journal(), database))


async def test_a_journal_restored_from_before_is_named(prepared: str) -> None:
    await run(projector(journal(), prepared))

    with pytest.raises(Unexpected, match=r"come to position .* not that event"):
        await run(projector(journal(rows()[:-1]), prepared))


async def test_a_journal_restored_and_written_on_otherwise_is_named(prepared: str) -> None:
    await run(projector(journal(), prepared))
    other = [*rows()[:-1], rows()[-1]._replace(data=rows()[-2].data)]

    with pytest.raises(Unexpected, match=r"come to position .* not that event"):
        await run(projector(journal(other), prepared))


async def test_a_generation_swapped_under_it_undoes_the_page_and_it_goes_on(expected: Shown, prepared: str) -> None:
    async def swap() -> None:
        with psycopg.connect(prepared) as connection:
            connection.execute("update read.generations set changes = changes + 1")

    await run(projector(journal(), prepared, point=at("read", 2, swap), page=100))

    assert shown(prepared) == expected


async def test_preparing_twice_at_once_makes_one_generation(database: str) -> None:
    allow_read_models(database)

    made = await asyncio.gather(*(asyncio.to_thread(prepare, database) for _ in range(4)))

    assert sorted(made) == [False, False, False, True]


async def test_one_is_live_and_another_takes_over_when_it_dies(expected: Shown, database: str) -> None:
    migrate(database, [SHARD])
    prepare(database)
    writer = PostgresJournal(database, SHARD)
    settings = Settings(instance="test", dsn=Secret(database))
    half = len(rows()) // 2
    standing = await writer.claim("1")

    async def append(some: list[Row]) -> None:
        nonlocal standing
        opened = sorted({row.ledger for row in some if row.sequence == 1})
        await writer.append(batch(standing, [Entry(*row[1:]) for row in some], ids=[], opened=opened))
        standing = await writer.standing()

    def come_to() -> int:
        with psycopg.connect(database) as connection:
            row = connection.execute("select max(position) from read_1.checkpoints").fetchone()
            return row[0] or 0 if row else 0

    first, second = (asyncio.create_task(project(settings, SHARD, Calm())) for _ in range(2))
    await append(rows()[:half])
    await come(lambda: come_to() >= half)
    first.cancel()
    await append(rows()[half:])
    await come(lambda: come_to() >= len(rows()) or second.done())
    second.cancel()
    for task in (first, second):
        with suppress(asyncio.CancelledError):
            await task
    await writer.close()

    assert shown(database) == expected


def test_after_a_quiet_time_nothing_waits_and_under_load_events_gather() -> None:
    assert pause_s(1) == SHORTEST_PAUSE_S
    assert pause_s(1_000) == SHORTEST_PAUSE_S
    assert pause_s(40_000) == LONGEST_PAUSE_S
