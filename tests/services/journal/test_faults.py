"""What passes by itself is waited for; what needs a person is named."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import psycopg
import pytest

from services.errors import Away, Unexpected
from services.journal.connection import Connections
from services.journal.ports import Entry, Standing
from services.journal.recorder import Append, ShardRecorder
from services.migrations import WRITER
from tests.services.journal.batches import after, batch, entry, opening
from tests.services.journal.conftest import PostgresShard, sequences

PASSING = {
    "53100": "disk full",
    "53300": "too many connections",
    "57P01": "terminated",
    "40P01": "deadlock",
    "25P03": "suspended in a transaction",
    "25006": "read only",
}


@pytest.mark.parametrize("sqlstate", PASSING)
async def test_what_passes_by_itself_is_waited_for(
    postgres_shard: PostgresShard, owner: psycopg.Connection, sqlstate: str
) -> None:
    journal = postgres_shard.open()
    standing = await journal.claim("1")
    failing = f"begin raise exception 'no' using errcode = '{sqlstate}'; end"
    owner.execute(f"create function fail() returns trigger language plpgsql as $$ {failing} $$".encode())
    owner.execute(
        "create trigger fail before insert on journal.shard_0_events for each statement execute function fail()"
    )

    appending = asyncio.ensure_future(journal.append(opening(standing)))
    await asyncio.sleep(0.2)
    assert not appending.done()
    owner.execute("drop trigger fail on journal.shard_0_events")
    await appending

    assert await sequences(postgres_shard) == [1, 2, 3]


class NotYet(list[Entry]):
    """Entries that nobody is to look at yet."""

    def __iter__(self) -> Iterator[Entry]:
        raise AssertionError("there is no connection yet")


def test_as_long_as_there_is_no_connection_nothing_is_built_of_a_batch() -> None:
    connections = Connections("dbname=away", 0, WRITER)
    connections.cut()
    standing = Standing(0, 1, 0, 0, bytes(32))
    waiting = opening(standing)._replace(entries=NotYet())

    with pytest.raises(Away):
        ShardRecorder(connections, 0).append(Append(waiting, standing, {}))


async def test_a_table_that_is_gone_is_named_and_not_waited_for(
    postgres_shard: PostgresShard, owner: psycopg.Connection
) -> None:
    journal = postgres_shard.open()
    standing = await journal.claim("1")
    owner.execute("drop table journal.seals")

    with pytest.raises(Unexpected, match=r"journal\.seals") as named:
        await journal.append(opening(standing))

    assert named.value.remedy == "run `defter setup`"


def test_what_needs_a_person_is_named_by_a_process_that_did_part_of_the_work() -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool, pytest.raises(Unexpected) as named:
        pool.submit(meet_something_else).result()

    assert str(named.value) == "another database\n  remedy: look at the DSN"


def meet_something_else() -> None:
    raise Unexpected("another database", "look at the DSN")


async def test_an_event_that_is_there_though_nobody_claimed_the_shard_stops_the_writer(
    postgres_shard: PostgresShard, owner: psycopg.Connection
) -> None:
    journal = postgres_shard.open()
    standing = await journal.claim("1")
    made = opening(standing)
    await journal.append(made)
    by_hand = "select originator_id, 4, topic, 'by hand' from journal.shard_0_events limit 1"
    owner.execute(f"insert into journal.shard_0_events {by_hand}".encode())

    with pytest.raises(Unexpected, match="though nobody claimed it"):
        await journal.append(batch(after(made, standing), [entry(4)]))


async def test_an_offset_moved_by_hand_stops_the_writer(
    postgres_shard: PostgresShard, owner: psycopg.Connection
) -> None:
    journal = postgres_shard.open()
    standing = await journal.claim("1")
    owner.execute("update journal.offsets set next = 77")

    with pytest.raises(Unexpected, match="stands at offset 77"):
        await journal.append(opening(standing))
