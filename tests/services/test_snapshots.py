"""A writer that begins with a snapshot decides as one that folded everything; a wrong one is passed over."""

import asyncio
import random
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import msgspec
import psycopg
import pytest

from domain import kept
from domain.digest import digest
from domain.ledger import apply
from domain.state import Ledger
from schemas.codec import decode_event
from services import snapshots
from services.dev import Addresses
from services.journal.postgres import PostgresJournal
from services.kafka.ports import Message
from services.reading import time_of
from services.shard import Shard
from services.snapshots import Snapshot, latest, make
from services.writer import RULES, Writer
from tests.domain.load import OPENING, Load
from tests.services.cli.program import Program
from tests.services.partition import BEGINNING_MS, Partition
from tests.services.past import PREFIX, Past


@pytest.fixture(scope="module")
def past(installation: Addresses, superuser: psycopg.Connection) -> Iterator[Past]:
    """Two ledgers with a past, for all tests here."""
    name = f"t_{secrets.token_hex(6)}"
    superuser.execute(f"create database {name}".encode())
    made = Past(installation.database.rpartition("/")[0] + f"/{name}")
    asyncio.run(made.happen(steps=10))
    yield made
    superuser.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def owner(past: Past) -> Iterator[psycopg.Connection]:
    with psycopg.connect(past.dsn, autocommit=True) as connection:
        connection.execute("delete from journal.snapshots")
        yield connection


def folded(past: Past) -> dict[str, Ledger]:
    shard = Shard(0, 1)
    shard.restore(past.rows())
    return shard.ledgers


def digests(ledgers: dict[str, Ledger]) -> dict[str, str]:
    return {name: digest(ledger) for name, ledger in ledgers.items()}


def test_whatever_happened_to_a_ledger_comes_back_and_goes_on_alike() -> None:
    partition, load = Partition(), Load(random.Random(7))
    load.hear(partition.send(*OPENING))
    for step in range(120):
        at_ms = BEGINNING_MS + 5000 * step
        events = partition.send(*(load.command(time_of(at_ms)) for _ in range(5)), at_ms=at_ms)
        load.hear(events)
        if step % 10 == 0:
            partition.settle()
            before = partition.shard.ledgers["main"]
            back = kept.ledger_of(msgspec.msgpack.decode(msgspec.msgpack.encode(kept.head(before))))
            accounts = msgspec.msgpack.decode(msgspec.msgpack.encode(list(kept.accounts(before))))
            places = msgspec.msgpack.decode(msgspec.msgpack.encode(list(kept.places(before))))
            kept.take_accounts(back, accounts)
            kept.take_places(back, places)
            kept.complete(back)
            assert back == before
            assert digest(back) == digest(before)
            partition.shard.ledgers["main"] = back
    assert digest(partition.shard.ledgers["main"]) == digest(_folded(partition))


def _folded(partition: Partition) -> Ledger:
    ledger = Ledger("main")
    for event in partition.events():
        apply(ledger, event)
    return ledger


@pytest.mark.parametrize("a_part", [snapshots._A_PART, 3, 1])
def test_what_was_put_away_is_what_is_taken_up(
    past: Past, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, a_part: int
) -> None:
    monkeypatch.setattr(snapshots, "_A_PART", a_part)
    made = make(past.dsn, 0, 1, RULES)

    assert made is not None
    assert made.position == past.rows()[-1].position
    taken = latest(past.dsn, 0, RULES)
    assert taken.position == made.position
    assert digests(taken.ledgers) == digests(folded(past))
    assert make(past.dsn, 0, 1, RULES) is None


def test_of_two_made_at_once_one_is_put_away_and_the_other_finds_it_there(
    past: Past, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = Barrier(2)
    prove = snapshots._prove  # both are to come this far before one stores anything

    def wait_for_the_other(parts: list[bytes], ledgers: dict[str, Ledger]) -> None:
        prove(parts, ledgers)
        both.wait(30)

    monkeypatch.setattr(snapshots, "_prove", wait_for_the_other)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: make(past.dsn, 0, 1, RULES), range(2)))

    (stored,) = filter(None, made)
    taken = latest(past.dsn, 0, RULES)
    assert taken.position == stored.position
    assert digests(taken.ledgers) == digests(folded(past))


WRONG = {
    "bytes": "update journal.snapshot_parts set data = set_byte(data, octet_length(data) / 2, 255) where part = 0",
    "a part gone": "delete from journal.snapshot_parts where part = 1",
    "the position": "update journal.snapshots set position = position - 1",
    "the digest": "update journal.snapshots set digest = sha256(digest)",
    "the rules": "update journal.snapshots set rules = '0'",
    "the shape": "update journal.snapshots set shape = shape + 1",
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_one_is_noticed_and_passed_over(past: Past, owner: psycopg.Connection, what: str) -> None:
    make(past.dsn, 0, 1, RULES)

    owner.execute("alter table journal.snapshot_parts drop constraint snapshot_parts_shard_position_fkey")
    try:
        assert owner.execute(WRONG[what].encode()).rowcount == 1
        assert latest(past.dsn, 0, RULES) == Snapshot(0, {})
    finally:
        owner.execute("delete from journal.snapshots; delete from journal.snapshot_parts")
        owner.execute(
            "alter table journal.snapshot_parts add foreign key (shard, position) "
            "references journal.snapshots on delete cascade"
        )


@pytest.mark.parametrize("what", ["the digest", "the rules", "the shape"])
def test_a_wrong_one_at_the_same_position_is_replaced(past: Past, owner: psycopg.Connection, what: str) -> None:
    made = make(past.dsn, 0, 1, RULES)
    owner.execute(WRONG[what].encode())

    assert made is not None
    assert make(past.dsn, 0, 1, RULES) == made
    assert latest(past.dsn, 0, RULES).position == made.position


def test_one_of_another_journal_is_passed_over_for_its_seals(past: Past, owner: psycopg.Connection) -> None:
    make(past.dsn, 0, 1, RULES)
    owner.execute("begin")
    owner.execute("alter table journal.seals disable trigger append_only")
    owner.execute("create temporary table kept as table journal.seals")
    owner.execute("update journal.seals set seal = sha256(seal)")
    owner.execute("commit")

    taken = latest(past.dsn, 0, RULES)

    owner.execute(
        "update journal.seals set seal = kept.seal from kept "
        "where (kept.originator_id, kept.sequence) = (seals.originator_id, seals.sequence)"
    )
    assert taken == Snapshot(0, {})


def test_a_writer_begins_with_it_and_decides_on(past: Past, owner: psycopg.Connection) -> None:
    made = make(past.dsn, 0, 1, RULES)
    assert made is not None

    asyncio.run(_decide_on(past))

    later = make(past.dsn, 0, 1, RULES)
    assert later is not None
    assert later.position > made.position
    assert digests(latest(past.dsn, 0, RULES).ledgers) == digests(folded(past))
    ((count,),) = owner.execute("select count(*) from journal.snapshots").fetchall()
    assert count == 2


async def _decide_on(past: Past) -> None:
    """Let a writer begin with the snapshot and decide one command more."""
    journal = PostgresJournal(past.dsn, 0)
    loaded = []
    load = journal.load

    def counting(after: int = 0, page: int = 5000) -> object:
        loaded.append(after)
        return load(after, page)

    journal.load = counting  # type: ignore[method-assign,assignment]
    writer: Writer = past.writer(journal, begin_with=partial(asyncio.to_thread, latest, past.dsn, 0, RULES))
    past.commands.append([Message(None, b'{"type":"define-unit.v1","id":"later","unit":"LATER","scale":0}', ())])
    stop = asyncio.Event()
    running = asyncio.create_task(writer.run(stop))
    while (await journal.standing()).next < past.commands.bounds().end:
        assert not running.done(), running.result()
    stop.set()
    await running
    await journal.close()
    assert loaded
    assert loaded[0] > 0
    assert decode_event(past.rows()[-1].data).command == "later"


def test_the_command_tells_what_it_put_away(past: Past, owner: psycopg.Connection) -> None:
    defter = Program({"DEFTER_DATABASE": past.dsn, "DEFTER_KAFKA": "127.0.0.1:1", "DEFTER_PREFIX": PREFIX})

    (first,), (second,) = defter.json("snapshot"), defter.json("snapshot")

    assert (first["shard"], first["made"], first["ledgers"]) == (0, True, 2)
    assert (second["shard"], second["made"]) == (0, False)
