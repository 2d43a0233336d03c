"""The connection is cut around COMMIT, the server is away, the disk is full: nothing is lost or stored twice."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest
from structlog.testing import capture_logs

from services.errors import Away
from services.journal.ports import OtherWriter, Wanted
from services.journal.postgres import PostgresJournal
from services.journal.seals import NOTHING_YET, seal
from tests.services.journal.batches import after, batch, entry, key, letter, opening
from tests.services.journal.conftest import PostgresShard, sequences
from tests.services.journal.test_waking import LONG_S, woken
from tests.services.journal.wire import ASKED, SYNC, Cut, Wire, after_bytes, after_commit, before_commit
from tests.services.stage import Calm


@pytest.fixture
async def wire(postgres_shard: PostgresShard) -> AsyncIterator[Wire]:
    async with Wire(postgres_shard.dsn).open() as wire:
        yield wire


@pytest.fixture
async def journal(wire: Wire) -> AsyncIterator[PostgresJournal]:
    """A journal at the far end of the wire."""
    journal = PostgresJournal(wire.dsn, 0)
    yield journal
    await journal.close()


@pytest.mark.parametrize("cut", [before_commit, after_commit])
async def test_a_batch_is_stored_once_wherever_its_commit_is_cut(
    wire: Wire, journal: PostgresJournal, postgres_shard: PostgresShard, cut: Callable[[], Cut]
) -> None:
    standing = await journal.claim("1")
    first, wire.cut = opening(standing), cut()

    await journal.append(first)
    await journal.append(batch(after(first, standing), [entry(4)]))

    assert wire.cuts == 1
    assert await sequences(postgres_shard) == [1, 2, 3, 4]
    assert list(postgres_shard.seals("main")) == [3, 4]


@pytest.mark.parametrize("cut", [before_commit, after_commit])
async def test_a_batch_without_events_is_stored_once_wherever_its_commit_is_cut(
    wire: Wire, journal: PostgresJournal, postgres_shard: PostgresShard, cut: Callable[[], Cut]
) -> None:
    standing = await journal.claim("1")
    wire.cut = cut()

    await journal.append(batch(standing, dead_letters=[letter(0)]))

    assert wire.cuts == 1
    assert [each.offset for each in await postgres_shard.open().dead_letters(-1, 10)] == [0]


async def test_a_commit_that_is_still_under_way_when_it_is_looked_up_is_not_repeated(
    wire: Wire, journal: PostgresJournal, postgres_shard: PostgresShard, owner: psycopg.Connection
) -> None:
    standing = await journal.claim("1")
    held_back: list[bytes] = []

    def hold_back(data: bytes, from_client: bool) -> bytes | None:
        if held_back or not from_client or not ASKED.search(data):
            return data
        assert data.endswith(SYNC)
        held_back.append(SYNC)
        return data[: -len(SYNC)]

    wire.cut = hold_back
    wire.keeps_servers = True
    appending = asyncio.ensure_future(journal.append(opening(standing)))
    await until(lambda: bool(held_back), appending)
    wire.drop()
    await until(lambda: blocked(owner), appending)
    wire.servers[0].write(held_back[0])

    await appending

    assert await sequences(postgres_shard) == [1, 2, 3]
    assert (await journal.standing()).next == 3


async def test_a_commit_that_fails_after_all_was_inserted_is_not_taken_for_done(
    journal: PostgresJournal, postgres_shard: PostgresShard, owner: psycopg.Connection
) -> None:
    standing = await journal.claim("1")
    owner.execute("create function fail() returns trigger language plpgsql as $$ begin raise 'not after all'; end $$")
    owner.execute(
        "create constraint trigger fail after insert on journal.shard_0_events deferrable initially deferred "
        "for each row execute function fail()"
    )

    with pytest.raises(psycopg.errors.RaiseException, match="not after all"):
        await journal.append(opening(standing))

    assert await sequences(postgres_shard) == []
    assert await journal.standing() == standing


async def until(so: Callable[[], bool], appending: asyncio.Future[None]) -> None:
    """Wait until something is so while an append goes on."""
    while not so():
        assert not appending.done(), appending
        await asyncio.sleep(0.01)


def blocked(owner: psycopg.Connection) -> bool:
    """Whether somebody waits for the row of the shard."""
    row = owner.execute(
        "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())"
    ).fetchone()
    return bool(row and row[0])


@pytest.mark.parametrize("cut", [before_commit, after_commit])
async def test_when_another_writer_came_meanwhile_the_lost_answer_is_not_guessed(
    wire: Wire, journal: PostgresJournal, postgres_shard: PostgresShard, cut: Callable[[], Cut]
) -> None:
    standing = await journal.claim("1")
    other = postgres_shard.open()
    wire.cut = cut()
    wire.down_after_cut = True
    appending = asyncio.ensure_future(journal.append(opening(standing)))
    await until(lambda: wire.cuts > 0, appending)
    taken = await other.claim("1")
    wire.down = False

    with pytest.raises(OtherWriter):
        await appending

    assert taken.next == (3 if cut is after_commit else 0)
    assert await sequences(postgres_shard) == list(range(1, taken.next + 1))


@pytest.mark.parametrize("seed", range(6))
async def test_a_wire_that_is_cut_anywhere_loses_and_repeats_nothing(
    wire: Wire, journal: PostgresJournal, postgres_shard: PostgresShard, seed: int
) -> None:
    chance = random.Random(seed)
    standing = await journal.claim("1")
    sequence = 0
    for number in range(20):
        wire.cut = after_bytes(chance.randrange(0, 6000), from_client=chance.random() < 0.5)
        count = chance.randrange(0, 4)
        entries = [entry(sequence + 1 + place) for place in range(count)]
        made = batch(
            standing,
            entries,
            opened=["main"] if sequence == 0 and count else [],
            dead_letters=[letter(number)] if count < 2 else [],
        )
        await journal.append(made)
        standing, sequence = after(made, standing), sequence + count

    reader = postgres_shard.open()
    assert await sequences(postgres_shard) == list(range(1, sequence + 1))
    assert await reader.standing() == standing
    assert (await reader.recall(Wanted([key(f"main/{sequence}")], [], []))).ids[
        key(f"main/{sequence}")
    ].sequence == sequence
    assert postgres_shard.seals("main")[sequence] == seal(
        NOTHING_YET, [entry(each).data for each in range(1, sequence + 1)]
    )


async def test_a_server_that_is_away_is_waited_for_and_that_is_said_once(
    wire: Wire, journal: PostgresJournal, postgres_shard: PostgresShard
) -> None:
    standing = await journal.claim("1")
    wire.down = True
    wire.drop()

    with capture_logs() as said:
        appending = asyncio.ensure_future(journal.append(opening(standing)))
        await asyncio.sleep(0.5)
        assert not appending.done()
        wire.down = False
        await appending

    assert [line["event"] for line in said] == ["waiting for PostgreSQL", "PostgreSQL is back, the batch is stored"]
    assert await sequences(postgres_shard) == [1, 2, 3]


async def test_who_reads_is_told_that_the_server_is_away_and_reads_on_when_it_is_back(
    wire: Wire, journal: PostgresJournal
) -> None:
    await journal.append(opening(await journal.claim("1")))
    await journal.read(0, 1)
    wire.down = True
    wire.drop()

    for _ in range(2):
        with pytest.raises(Away):
            await journal.read(0, 10)
        with pytest.raises(Away):
            await journal.recall(Wanted([key("main/1")], [], []))
    with pytest.raises(Away):
        await journal.claim("1")
    await journal.changed(0.01)
    wire.down = False

    assert len(await journal.read(0, 10)) == 3
    assert (await journal.recall(Wanted([key("main/1")], [], []))).ids


async def test_who_waits_for_commits_is_woken_again_after_a_cut(
    wire: Wire, journal: PostgresJournal, postgres_shard: PostgresShard
) -> None:
    writer = postgres_shard.open()
    standing = await writer.claim("1")
    await journal.changed(LONG_S)
    wire.drop()
    await journal.changed(LONG_S)
    await journal.changed(LONG_S)

    await writer.append(opening(standing))

    assert await woken(journal)


async def test_closing_cuts_short_an_append_that_waits_and_the_next_writer_finds_it_whole_or_not_at_all(
    postgres_shard: PostgresShard, owner: psycopg.Connection
) -> None:
    journal = postgres_shard.open()
    standing = await journal.claim("1")
    with owner.transaction():
        owner.execute("select from journal.offsets for update")
        appending = asyncio.ensure_future(journal.append(opening(standing)))
        with psycopg.connect(postgres_shard.dsn, autocommit=True) as another:
            await until(lambda: blocked(another), appending)

        await journal.close()
        with pytest.raises(Away):
            await appending

    found = await postgres_shard.open().claim("1")
    assert found.next in {0, 3}
    assert await sequences(postgres_shard) == list(range(1, found.next + 1))


async def test_closing_ends_an_append_that_pauses_before_it_asks_again(wire: Wire) -> None:
    pauses = asyncio.Event()

    class Telling(Calm):
        def waits(self, part: str, why: str) -> None:
            super().waits(part, why)
            if len(self.told) > 1:
                pauses.set()

    journal = PostgresJournal(wire.dsn, 0, readiness=Telling())
    standing = await journal.claim("1")
    wire.down = True
    wire.drop()
    appending = asyncio.ensure_future(journal.append(opening(standing)))
    await pauses.wait()

    await journal.close()

    with pytest.raises(Away, match="closed"):
        await asyncio.wait_for(appending, LONG_S)
