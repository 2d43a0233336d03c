"""A sender hears the outcome of each command, or what is known when the time is up; sending again is always safe."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from defter_client import (
    Away,
    Client,
    MalformedError,
    NoOutcomeYet,
    Outcome,
    Reply,
    Subscription,
    TransferBuilder,
    Unexpected,
    client,
)
from defter_client.kafka import partition_of
from defter_client.schemas import commands as say
from defter_client.schemas.events import Event
from services.kafka.client import Client as Broker
from tests.client.conftest import PARTITIONS, Defter

HERE, THERE = "main", next(name for name in "abcdef" if partition_of(name, PARTITIONS) != partition_of("main", 2))


def opening(ledger: str) -> list[say.Command]:
    return [
        say.OpenLedger(id="ledger", ledger=ledger),
        say.OpenAccount(id="bank", ledger=ledger, account="bank", account_type="external"),
        say.OpenAccount(id="alice", ledger=ledger, account="alice"),
        TransferBuilder("deposit", ledger).deposit("alice", "QAZ", 100, source="bank").build(),
    ]


async def test_every_kind_of_outcome_is_told_and_told_again(defter: Defter) -> None:
    defter.start()
    async with connected(defter) as client, connected(defter, "other") as other:
        accepted = [await client.send(command) for ledger in (HERE, THERE) for command in opening(ledger)]
        refused = await client.send(TransferBuilder("much").pay("alice", "bank", "QAZ", 101, kind="withdrawal").build())
        again = await client.send(TransferBuilder("much").pay("alice", "bank", "QAZ", 101, kind="withdrawal").encode())
        reused = await client.send(TransferBuilder("much").pay("alice", "bank", "QAZ", 5, kind="withdrawal").build())
        unknown = await client.send(say.OpenAccount(id="1", ledger="nowhere", account="a"))
        bob = say.OpenAccount(id="bob", account="bob")
        all_three = await asyncio.gather(*(by.send(bob) for by in (client, client, other)))

    assert [(reply.outcome, reply.ledger, reply.sequence) for reply in accepted] == [
        (Outcome.ACCEPTED, ledger, sequence) for ledger in (HERE, THERE) for sequence in (1, 2, 3, 4)
    ]
    assert (refused.outcome, refused.reason, refused.sequence) == (Outcome.REFUSED, "INSUFFICIENT_FUNDS", 5)
    assert refused.details == {"account": "alice", "unit": "QAZ", "available": "100", "requested": "101"}
    assert (refused.duplicate, again.duplicate) == (False, True)
    assert (again.outcome, again.reason, again.sequence) == (refused.outcome, refused.reason, refused.sequence)
    assert (reused.outcome, reused.reason) == (Outcome.DEAD_LETTER, "ID_REUSED")
    assert (unknown.outcome, unknown.reason) == (Outcome.DEAD_LETTER, "UNKNOWN_LEDGER")
    assert {(reply.outcome, reply.sequence) for reply in all_three} == {(Outcome.ACCEPTED, 6)}


async def test_many_are_decided_in_their_order_and_told_in_it(defter: Defter) -> None:
    defter.start()
    accounts = [say.OpenAccount(id=f"a{n}", account=f"a{n}") for n in range(2500)]

    async def asked() -> AsyncIterator[say.Command]:
        for command in [*opening(HERE), *accounts]:
            yield command

    async with connected(defter) as client:
        replies = [reply async for reply in client.send_all(asked(), at_once=700)]
        sequences = [(await anext(client.subscribe(HERE, after=n))).command for n in (4, 1003, 2503)]

    assert [reply.sequence for reply in replies] == list(range(1, 2505))
    assert sequences == ["a0", "a999", "a2499"]


async def test_outcomes_are_told_while_there_is_no_next_command_yet(
    defter: Defter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_AGAIN_S", 0.1)
    here, first, heard, replies = partition_of(HERE, PARTITIONS), say.OpenLedger(id="ledger"), asyncio.Event(), []

    async def asked() -> AsyncIterator[say.Command]:
        yield first
        while len(await records(defter, here)) < 3:
            await asyncio.sleep(0.1)
        defter.start()
        await heard.wait()
        yield first

    async with asyncio.timeout(20), connected(defter) as sending:
        async for reply in sending.send_all(asked()):
            replies.append(reply)
            heard.set()

    assert [(reply.outcome, reply.sequence) for reply in replies] == [(Outcome.ACCEPTED, 1)] * 2


async def test_what_cannot_be_sent_ends_it_after_the_outcomes_of_those_before(defter: Defter) -> None:
    defter.start()
    async with connected(defter) as client:
        replies = client.send_all([*opening(HERE), say.Tick(id="1")], at_once=2)
        told = [(await anext(replies)).sequence for _ in range(4)]
        with pytest.raises(MalformedError):
            await anext(replies)
        names = [task.get_name() for task in asyncio.all_tasks()]

    assert told == [1, 2, 3, 4]
    assert "defter_client: sending" in names
    assert "defter_client: taking" not in names


async def test_when_the_time_is_up_what_is_known_is_said_and_it_was_tried_again_meanwhile(
    defter: Defter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_AGAIN_S", 0.1)
    async with connected(defter) as sending:
        with pytest.raises(NoOutcomeYet, match=r"within 0.5 s; it is in the topic of .*same id is safe") as late:
            await sending.send(say.OpenLedger(id="ledger"), timeout_s=0.5)
        with pytest.raises(NoOutcomeYet):
            _ = [reply async for reply in sending.send_all(opening(HERE)[1:], timeout_s=0.01)]
        defter.start()
        replies = await told(sending, opening(HERE))

    assert (late.value.command, late.value.place) == ("ledger", (partition_of(HERE, PARTITIONS), 0))
    assert [(reply.outcome, reply.sequence) for reply in replies] == [(Outcome.ACCEPTED, n) for n in (1, 2, 3, 4)]
    sent = Counter(record.value for record in await records(defter, partition_of(HERE, PARTITIONS)))
    assert len(sent) == 4
    assert sent[b'{"type":"open-ledger.v1","id":"ledger"}'] > 2


async def test_replies_that_are_lost_are_asked_for_again(defter: Defter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_AGAIN_S", 0.5)
    async with connected(defter) as sending:
        coming = asyncio.create_task(told(sending, [*opening(HERE), *opening(THERE)]))
        # Whoever reads on here after this record has missed what came meanwhile.
        await unreadable(defter, f"{defter.prefix}replies.test")
        defter.start()

        assert [reply.outcome for reply in await coming] == [Outcome.ACCEPTED] * 8
        lost = await told(sending, [say.OpenAccount(id=f"a{n}", account=f"a{n}") for n in range(300)])

    assert [reply.sequence for reply in lost] == list(range(5, 305))


@pytest.mark.parametrize(
    "odd",
    [b"\xff", b"{}", b'{"type":"reply.v1","x":' + b"[" * 5000 + b"]" * 5000 + b"}"],
    ids=["bytes", "type", "depth"],
)
async def test_a_record_that_is_no_reply_is_passed_over(defter: Defter, odd: bytes) -> None:
    defter.start()
    async with connected(defter) as client:
        await put(defter, f"{defter.prefix}replies.test", odd)
        reply = await client.send(say.OpenLedger(id="ledger"), timeout_s=8)

    assert reply.outcome == Outcome.ACCEPTED


async def test_who_waits_when_the_client_is_closed_is_told(defter: Defter) -> None:
    async with connected(defter) as client:
        asking = asyncio.create_task(client.send(say.OpenLedger(id="1")))
        reading = asyncio.create_task(all_of(client.subscribe()))
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="says something else"):
            await client.send(say.OpenLedger(id="1", metadata={"said": "otherwise"}))

    with pytest.raises(Away, match="sending it again is safe"):
        await asking
    with pytest.raises(RuntimeError, match="inside of `async with"):
        await client.send(say.OpenLedger(id="2"))
    assert await reading == []


async def test_what_is_no_command_is_not_sent(defter: Defter) -> None:
    async with connected(defter) as client:
        for wrong, why in (
            (say.OpenAccount(id="1", account="no account"), r"matching regex .* at `\$.account`"),
            (b'{"type":"transfer.v1","id":"1","movements":[]}', "length >= 1"),
            (b'{"type":"open-ledger.v1","id":"1"}' + b" " * 65536, "bytes, at most 65536"),
            (say.Tick(id="1"), "no outcome of its own"),
        ):
            with pytest.raises(MalformedError, match=why):
                await client.send(wrong)
        with pytest.raises(ValueError, match="at least 1"):
            await anext(client.send_all(opening(HERE), at_once=0))

    assert await records(defter, 0) == await records(defter, 1) == []


@pytest.mark.parametrize("name", ["my shop", "o.ther", "long" * 60])
async def test_a_name_for_replies_that_no_topic_can_have_is_for_a_person(defter: Defter, name: str) -> None:
    async with connected(defter, "o_ther"):
        with pytest.raises(Unexpected, match=r"InvalidTopicError(.|\n)*remedy: .* `replies`"):
            await connected(defter, name).__aenter__()


def connected(defter: Defter, name: str = "test") -> Client:
    return Client.connect(defter.servers, prefix=defter.prefix, replies=name)


async def told(client: Client, commands: list[say.Command]) -> list[Reply]:
    return [reply async for reply in client.send_all(commands)]


async def all_of(subscription: Subscription) -> list[Event]:
    return [event async for event in subscription]


async def put(defter: Defter, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=defter.servers)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def unreadable(defter: Defter, topic: str) -> None:
    """Send a record whose header has a name that is not UTF-8, which brokers take in and aiokafka does not give out."""
    builder: Any = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1000)
    builder.append(0, 0, b"key", b"value", [("NAME", b"")])
    raw = bytes(builder.build()).replace(b"NAME", b"\xffAME")
    raw = raw[:17] + struct.pack(">I", calc_crc32c(raw[21:])) + raw[21:]
    broker = Broker(defter.settings.brokers())
    answer = await broker.ask(ProduceRequest(None, -1, 1000, [(topic, [(0, raw)])]), node=await broker.leader(topic, 0))
    await broker.close()
    assert answer.topics[0][1][0][1] == 0, answer


async def records(defter: Defter, partition: int) -> list[ConsumerRecord]:
    place = TopicPartition(f"{defter.prefix}commands", partition)
    consumer = AIOKafkaConsumer(bootstrap_servers=defter.servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        found: list[ConsumerRecord] = []
        while len(found) < end:
            found += (await consumer.getmany(place, timeout_ms=200)).get(place, [])
    finally:
        await consumer.stop()
    return found
