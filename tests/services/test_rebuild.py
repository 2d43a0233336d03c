"""Read models made anew beside the live ones: equal, swapped in one step, whatever is killed and whoever reads."""

import asyncio
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from projections.comparing import TABLES
from projections.generations import SHAPE
from services.errors import Away, Unexpected
from services.journal.postgres import PostgresJournal
from services.migrations import PROJECTOR, migrate
from services.points import Point
from services.projector import Projector, prepare
from services.reads import NotThere, Reads
from services.swapping import drop, roll_back
from tests.projections.stream import SHARD
from tests.services.journal.wire import Wire
from tests.services.rebuilding import PATIENTLY_S, House, all_that_can_happen, later
from tests.services.stage import Calm

KILLS = int(os.environ.get("KILLS", "3"))
"""How often each of the two is killed; `KILLS=30 pytest …` for more."""

PAGE = 100
MAIN = "main"


class Killed(BaseException):
    """As if the process had been killed here."""


@pytest.fixture
async def house(database: str) -> House:
    """A journal in which all that can happen has happened, and read models that do not know it yet."""
    migrate(database, [SHARD])
    prepare(database)
    house = House(database)
    await house.append(all_that_can_happen())
    return house


async def test_what_is_rebuilt_is_what_was_kept_live_and_takes_its_place(house: House) -> None:
    last = len(all_that_can_happen())
    async with house.kept():
        await house.come(last, 1)

        done = await house.rebuild()
        await house.append(later(20))
        await house.come(last + 23, 2)
        await house.append(later(20, start=20))

        await house.come(last + 43, 1, 2)
    assert (done.generation, done.instead_of, done.why, done.equal) == (2, 1, None, True)
    assert [one.table for one in done.compared] == list(TABLES)
    assert {number: state[:2] for number, state in (await house.states()).items()} == {
        1: (False, True),
        2: (True, True),
    }
    assert house.digests(1) == house.digests(2)
    with psycopg.connect(house.dsn) as connection:
        assert connection.execute("select pg_get_viewdef('read.balances')").fetchone()[0].count("read_2") > 0  # type: ignore[index]


async def test_the_old_one_is_kept_so_that_going_back_loses_nothing(house: House) -> None:
    async with house.kept():
        await house.rebuild()
        await house.append(later(20))

        assert await roll_back(house.settings, house.place) == (1, 2)
        assert await roll_back(house.settings, house.place) == (2, 1)

    last = (await house.states())[2][2]
    assert last >= len(all_that_can_happen())
    await drop(house.place, 1)
    assert list(await house.states()) == [2]
    with pytest.raises(NotThere, match="no generation to go back to"):
        await roll_back(house.settings, house.place)
    with pytest.raises(NotThere, match="no generation 2, other than the live one"):
        await drop(house.place, 2)


async def test_an_edited_balance_is_found_and_named_and_nothing_is_changed_by_a_dry_run(house: House) -> None:
    async with house.kept():
        await house.come(len(all_that_can_happen()), 1)
    house.do(
        "update read_1.posting_lines set lines[array_upper(lines, 1)][5] = lines[array_upper(lines, 1)][5] + 7 "
        "where place = (select min(place) from read_1.places where unit = 'QAZ') "
        "and sequence = (select max(sequence) from read_1.posting_lines as last where last.place = posting_lines.place)"
    )

    done = await house.rebuild(dry_run=True)

    assert not done.equal
    different = {one.table: one.difference for one in done.compared if one.difference}
    assert set(different) == {"balances", "postings"}
    balance = different["balances"]
    assert balance.left
    assert balance.right
    assert [ours - theirs for ours, theirs in zip(balance.left[3:6], balance.right[3:6], strict=True)] == [0, 7, 0]
    alone = await house.rebuild(dry_run=True, whole=False)
    assert [(one.table, one.difference) for one in alone.compared] == [("balances", balance)]
    assert {number: state[:2] for number, state in (await house.states()).items()} == {1: (True, True)}


async def test_killed_at_random_live_and_while_rebuilding_the_result_is_that_of_a_clean_rebuild(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.building.PAGE", PAGE)
    monkeypatch.setattr("services.rebuild.PAGE", PAGE)
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(KILLS):
        with suppress(Killed):
            await _live_until_killed(house, killed_after(chance.randrange(1, 25)))
        with suppress(Killed):
            await house.rebuild(point=killed_after(chance.randrange(1, 60)))
    async with house.kept(come=len(all_that_can_happen())):
        last = (await house.rebuild()).generation

    clean = house.digests((await house.rebuild()).generation)
    assert clean["balances"].rows > 0
    assert all(house.digests(number) == clean for number in (1, last))


async def _live_until_killed(house: House, point: Point) -> None:
    journal = PostgresJournal(house.dsn, SHARD, PROJECTOR)
    one = Projector(journal, house.dsn, Calm(), generation=1, page=PAGE, pause=lambda _: 0.0, point=point)
    stop = asyncio.Event()
    running = asyncio.create_task(one.run(stop))
    try:
        while one.position < len(all_that_can_happen()) and not running.done():
            await asyncio.sleep(0.005)
        stop.set()
        await running
    finally:
        await journal.close()


def killed_after(count: int) -> Point:
    """Make a point that kills whoever passes the nth."""
    passed = 0

    async def point(_: str) -> None:
        nonlocal passed
        passed += 1
        if passed == count:
            raise Killed

    return point


async def test_a_rebuild_that_was_killed_goes_on_where_it_was(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.building.PAGE", PAGE)
    async with house.kept():
        await house.come(len(all_that_can_happen()), 1)
    with suppress(Killed):
        await house.rebuild(point=killed_after(12))
    half = (await house.states())[2]
    assert half[:2] == (False, False)
    assert 0 < half[2] < len(all_that_can_happen())

    done = await house.rebuild()

    assert (done.generation, done.resumed_at, done.equal) == (2, half[2], True)


async def test_what_is_half_built_of_another_journal_or_kind_is_begun_anew(house: House) -> None:
    async def half_built(**how: Any) -> None:
        with suppress(Killed):
            await house.rebuild(point=killed_after(6), **how)

    async with house.kept(come=len(all_that_can_happen())):
        await half_built(dry_run=True, whole=False)
        await half_built()
        house.do("update read_3.checkpoints set digest = 'another'")

        done = await house.rebuild()

    assert (done.generation, done.resumed_at, done.equal) == (4, 0, True)
    assert list(await house.states()) == [1, 4]


async def test_read_models_of_another_shape_are_replaced_without_being_compared(house: House) -> None:
    house.do("update read.generations set shape = shape - 1")
    house.do("alter table read_1.units rename scale to places")

    done = await house.rebuild()

    assert done.why == f"generation 1 has shape {SHAPE - 1}, and this release keeps shape {SHAPE}"
    assert (await house.states())[2] == (True, True, len(all_that_can_happen()))


async def test_only_one_rebuilds(house: House) -> None:
    other: list[str] = []

    async def another(place: str) -> None:
        if place == "begun":
            with pytest.raises(Unexpected, match="another rebuild is at work") as refused:
                await house.rebuild()
            other.append(str(refused.value))

    await house.rebuild(point=another)

    assert other


async def test_who_drops_what_is_being_built_ends_that_rebuild(house: House) -> None:
    async def dropped(place: str) -> None:
        if place == "compared":
            await drop(house.place, 2)

    async with house.kept(come=len(all_that_can_happen())):
        with pytest.raises(Unexpected, match="generation 2"):
            await house.rebuild(dry_run=True, point=dropped)


async def test_a_database_that_is_away_is_not_taken_for_another_rebuild(house: House) -> None:
    async with Wire(house.dsn).open() as wire:
        wire.down = True

        with pytest.raises(Away, match="PostgreSQL"):
            await House(wire.dsn).rebuild()


async def test_a_rebuild_that_may_not_be_the_only_one_any_more_ends_and_the_next_goes_on(house: House) -> None:
    async def lost(place: str) -> None:
        if place == "begun":
            house.do(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'defter-rebuild-0-lock' and datname = current_database()"
            )
            await asyncio.sleep(PATIENTLY_S)

    with pytest.raises(Away, match="another may have it"):
        await house.rebuild(point=lost)

    assert (await house.states())[2][:2] == (False, False)
    assert (await house.rebuild()).generation == 2


async def test_readers_see_no_error_and_no_sequence_going_back_through_rebuild_swap_and_rollback(
    house: House, tell: Callable[[str], None]
) -> None:
    await house.append(later(3))
    stop = asyncio.Event()
    async with house.kept(come=len(all_that_can_happen()) + 6):
        reading = [asyncio.create_task(read(house, stop, tell)), asyncio.create_task(look(house, stop))]
        writing = asyncio.create_task(write(house, stop))
        await house.rebuild()
        await roll_back(house.settings, house.place)
        await roll_back(house.settings, house.place)
        stop.set()
        seen = await asyncio.gather(*reading)
        await writing

    for sequences in seen:
        assert sequences == sorted(sequences)
        assert len(set(sequences)) > 1


async def write(house: House, stop: asyncio.Event) -> None:
    count = 3
    while not stop.is_set():
        await house.append(later(5, start=count))
        count += 5


async def read(house: House, stop: asyncio.Event, tell: Callable[[str], None]) -> list[int]:
    """Ask for a balance again and again, as the command line does."""
    reads = Reads(house.dsn)
    seen = []
    slowest_s = 0.0
    while not stop.is_set():
        begun = time.perf_counter()
        answer = await reads.balances(MAIN, "shop")
        slowest_s = max(slowest_s, time.perf_counter() - begun)
        seen.append(answer.as_of.sequence)
        assert answer.balances[0].balance == answer.as_of.sequence - 3
    await reads.close()
    tell(f"the slowest of {len(seen)} answers through rebuild, swap and rollback took {slowest_s * 1000:.0f} ms")
    return seen


async def look(house: House, stop: asyncio.Event) -> list[int]:
    """Ask the views again and again, as somebody with SQL does."""
    seen = []
    async with await psycopg.AsyncConnection.connect(house.dsn, autocommit=True) as connection:
        while not stop.is_set():
            cursor = await connection.execute("select sequence from read.ledgers where ledger = 'main'")
            ((sequence,),) = await cursor.fetchall()
            seen.append(sequence)
    return seen
