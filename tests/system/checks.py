"""Nothing twice, nothing lost: an installation that has come to rest, compared with what should be, byte for byte."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import psycopg
from aiokafka import ConsumerRecord
from psycopg.rows import TupleRow

from schemas.codec import decode_event
from services.continuity import digest_of
from services.journal.dead_letters import storable
from services.journal.ports import DeadLetter
from tests.system.house import House
from tests.system.model import Model

Connection = psycopg.AsyncConnection[TupleRow]
Place = tuple[str, int]


class Found(NamedTuple):
    """What was compared."""

    commands: int
    events: int
    dead_letters: int
    duplicates_published: int


async def check(house: House) -> Found:
    """Compare all that a house has stored, published and projected with the plain model.

    Raises:
        AssertionError: something is not as it should be.
    """
    commands = events = letters = again = 0
    for partition in range(house.partitions):
        records = await house.records(house.topics.commands, partition)
        model = Model(partition, house.partitions)
        model.decide(records)
        async with await psycopg.AsyncConnection.connect(house.settings.database(partition)) as connection:
            await _check_journal(connection, model, len(records))
            await _check_seals(connection, model)
            again += await _check_events(connection, house, model)
            again += await _check_dead_letters(connection, house, model)
        async with await psycopg.AsyncConnection.connect(house.settings.read_database(partition)) as connection:
            await _check_read_models(connection, model)
        commands += len(records)
        events += len(model.should_be.entries)
        letters += len(model.should_be.dead_letters)
    return Found(commands, events, letters, again)


async def _check_journal(connection: Connection, model: Model, records: int) -> None:
    """Every command has the outcome that the model gives, once; no sequence is missing; all is decided."""
    shard, should_be = model.shard.number, model.should_be
    stored = await _all(
        connection,
        f"select name, originator_version, topic, state from journal.shard_{shard}_events "
        "join journal.ledgers using (originator_id) order by notification_id",
    )
    _same(stored, [(entry.ledger, entry.sequence, entry.tag, entry.data) for entry in should_be.entries], "the journal")
    sequences: dict[str, int] = {}
    for ledger, sequence, *_ in stored:
        assert sequence == sequences.get(ledger, 0) + 1, f"{ledger}: {sequence} after {sequences.get(ledger)}"
        sequences[ledger] = sequence
    ids = await _all(
        connection,
        "select uuid_send(key), uuid_send(fingerprint), name, sequence, reverses "
        f"from journal.shard_{shard}_ids join journal.ledgers using (originator_id)",
    )
    outcomes = [(each.key, each.fingerprint, each.ledger, each.sequence, each.reverses) for each in should_be.ids]
    _same(sorted(ids), sorted(outcomes), "the ids")
    named = await _all(connection, "select originator_id, name from journal.ledgers where shard = %s", shard)
    assert sorted(named) == sorted((uuid5(NAMESPACE_URL, f"defter:{name}"), name) for name in should_be.opened)
    stands = await _all(connection, "select next, last_at_ms, last_digest from journal.offsets where shard = %s", shard)
    if model.last:
        assert stands == [(records, model.last.at_ms, digest_of(model.last))]


async def _check_seals(connection: Connection, model: Model) -> None:
    """Each seal is that of the bytes before it, and the last one is at the last event."""
    chain = {ledger: bytes(32) for ledger in model.should_be.opened}
    seals: dict[Place, bytes] = {}
    for entry in model.should_be.entries:
        chain[entry.ledger] = sha256(chain[entry.ledger] + entry.data).digest()
        seals[entry.ledger, entry.sequence] = chain[entry.ledger]
    kept = {
        (ledger, sequence): seal
        for ledger, sequence, seal in await _all(
            connection,
            "select name, sequence, seal from journal.seals "
            "join journal.ledgers using (originator_id) where shard = %s",
            model.shard.number,
        )
    }
    for place, seal in kept.items():
        assert seals[place] == seal, f"the seal of {place}"
    for name, ledger in model.shard.ledgers.items():
        assert (name, ledger.sequence) in kept, f"{name} is not sealed up to {ledger.sequence}"


async def _check_events(connection: Connection, house: House, model: Model) -> int:
    """What is published, without duplicates, is the journal; give the number of duplicates."""
    shard = model.shard.number
    records = await house.records(house.topics.events, shard)
    rows = await _all(
        connection,
        f"select name, originator_version, notification_id, state from journal.shard_{shard}_events "
        "join journal.ledgers using (originator_id) order by notification_id",
    )
    first: dict[Place, ConsumerRecord] = {}
    for record in records:
        headers = dict(record.headers)
        place = (headers["ledger"].decode(), int(headers["sequence"]))
        assert first.setdefault(place, record).value == record.value, f"{place} was published with two contents"
    published = [(*place, int(dict(record.headers)["position"]), record.value) for place, record in first.items()]
    _same(published, rows, "the topic of events")
    assert all(record.key == ledger.encode() for (ledger, _), record in first.items())
    return len(records) - len(first)


async def _check_dead_letters(connection: Connection, house: House, model: Model) -> int:
    """Each dead letter is kept and published as it came, said why and whence; give the number of duplicates."""
    shard = model.shard.number
    should_be = [storable(letter) for letter in model.should_be.dead_letters]
    kept = await _all(
        connection,
        'select "offset", at_ms, key, value, headers, reason, detail from journal.dead_letters '
        'where partition = %s order by "offset"',
        shard,
    )
    _same(kept, [_row(letter) for letter in should_be], "the table of dead letters")
    records = await house.records(house.topics.dead_letters, shard)
    first: dict[int, ConsumerRecord] = {}
    for record in records:
        offset = int(next(value for name, value in record.headers if name == "offset"))
        before = first.setdefault(offset, record)
        assert (before.key, before.value, before.headers) == (record.key, record.value, record.headers)
    published = [(offset, record.key, record.value, tuple(record.headers)) for offset, record in first.items()]
    whence = (("topic", house.topics.commands.encode()), ("partition", b"%d" % shard))
    letters = [
        (
            letter.offset,
            letter.key,
            letter.value,
            (
                ("reason", letter.reason.encode()),
                ("detail", letter.detail.encode()),
                *whence,
                ("offset", b"%d" % letter.offset),
                *letter.headers,
            ),
        )
        for letter in should_be
    ]
    _same(published, letters, "the topic of dead letters")
    return len(records) - len(first)


async def _check_read_models(connection: Connection, model: Model) -> None:
    """Balances and outcomes are those of the model; each unit sums to zero."""
    ledgers = sorted(model.shard.ledgers)
    balances = await _all(
        connection,
        "select ledger, account, unit, debits, credits, held from read.balances where ledger = any(%s)",
        ledgers,
    )
    should_be = [
        (ledger.name, account, unit, *place.figures)
        for ledger in model.shard.ledgers.values()
        for unit, places in ledger.places.items()
        for account, place in places.items()
    ]
    _same(sorted(balances), sorted(should_be), "the balances")
    sums = await _all(
        connection, "select ledger, unit, balance from read.trial_balance where ledger = any(%s)", ledgers
    )
    assert all(balance == 0 for *_, balance in sums), sums
    outcomes = await _all(
        connection,
        "select ledger, sequence, command, coalesce(reason, '') from read.outcomes where ledger = any(%s)",
        ledgers,
    )
    _same(sorted(outcomes), sorted(_outcomes(model)), "the outcomes")
    await _check_present_state(connection, model, ledgers)


async def _check_present_state(connection: Connection, model: Model, ledgers: list[str]) -> None:
    """Accounts and open holds are those of the model."""
    accounts = await _all(
        connection,
        "select ledger, account, version, policy, floor, alias from read.accounts where ledger = any(%s)",
        ledgers,
    )
    present = [
        (ledger.name, account.name, account.version, str(account.terms.policy), account.terms.floor, account.alias)
        for ledger in model.shard.ledgers.values()
        for account in ledger.accounts.values()
    ]
    _same(sorted(accounts, key=repr), sorted(present, key=repr), "the accounts")
    holds = await _all(
        connection, "select ledger, hold from read.holds where state = 'open' and ledger = any(%s)", ledgers
    )
    _same(
        sorted(holds),
        sorted((ledger.name, hold) for ledger in model.shard.ledgers.values() for hold in ledger.holds),
        "the open holds",
    )


def _outcomes(model: Model) -> list[tuple[str, int, str, str]]:
    events = [decode_event(entry.data) for entry in model.should_be.entries]
    return [
        (event.ledger, event.sequence, event.command, str(getattr(event, "reason", "")))
        for event in events
        if event.command is not None
    ]


def _row(letter: DeadLetter) -> tuple[Any, ...]:
    headers = [part for name, value in letter.headers for part in (name.encode(), value)]
    return (letter.offset, letter.at_ms, letter.key, letter.value, headers, letter.reason, letter.detail)


async def _all(connection: Connection, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(statement.encode(), arguments)
        return await cursor.fetchall()


def _same(found: Sequence[tuple[Any, ...]], should_be: Sequence[tuple[Any, ...]], what: str) -> None:
    """Compare two long lists, and name the first difference only."""
    for number, (one, other) in enumerate(zip(found, should_be, strict=False)):
        assert one == other, f"{what}, at {number}: {one!r:.600} should be {other!r:.600}"
    assert len(found) == len(should_be), f"{what}: {len(found)} instead of {len(should_be)}"
