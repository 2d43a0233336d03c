"""A broker that is killed, stopped or frozen is waited for, by name and within bounds; then everything goes on."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psutil
import pytest

from services.dev import ports
from services.dev.kafka import Kafka as Broker
from services.errors import Away, Unexpected
from services.kafka import client, outbox, partition, topics
from services.kafka.inbox import KafkaInbox
from services.kafka.membership import Membership
from services.kafka.outbox import KafkaOutbox
from services.kafka.ports import Message, Record
from services.kafka.topics import Topics
from services.settings import Kafka

PATIENTLY_S = 60.0
MUCH = 2**30


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    directory = tmp_path_factory.mktemp("broker")
    broker = Broker(directory, ports.pick(), ports.pick(), trash=directory)
    broker.run()
    yield broker
    broker.close()


@pytest.fixture
async def names(broker: Broker, prefix: str) -> Topics:
    if not broker.running:
        await asyncio.to_thread(broker.run)
    names = Topics(prefix)
    await topics.create(Kafka(servers=broker.bootstrap), names, 1)
    return names


@pytest.fixture
async def inbox(broker: Broker, names: Topics) -> AsyncIterator[KafkaInbox]:
    inbox = KafkaInbox(Kafka(servers=broker.bootstrap), names.commands, 0)
    yield inbox
    await inbox.close()


@pytest.fixture
async def sender(broker: Broker, names: Topics) -> AsyncIterator[KafkaOutbox]:
    sender = KafkaOutbox(Kafka(servers=broker.bootstrap), names.commands, 0)
    yield sender
    await sender.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (client, partition, outbox):
        monkeypatch.setattr(module, "PATIENCE_S", 0.5)


@contextmanager
def frozen(broker: Broker) -> Iterator[None]:
    """Stop every thread of a broker for a while: those that run on another core stop a little after the first."""
    broker.signal(signal.SIGSTOP)
    try:
        while psutil.Process(broker.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        time.sleep(0.2)
        yield
    finally:
        broker.signal(signal.SIGCONT)


def message(number: int) -> Message:
    return Message(None, str(number).encode(), [])


async def taking_on(inbox: KafkaInbox) -> None:
    async with asyncio.timeout(PATIENTLY_S):
        while True:
            assert await inbox.take(1, MUCH, 1) == []


async def tail_in_the_end(sender: KafkaOutbox) -> Record | None:
    async with asyncio.timeout(PATIENTLY_S):
        while True:
            try:
                return await sender.tail()
            except Away:
                await asyncio.sleep(0.1)


async def taken(inbox: KafkaInbox) -> list[bytes | None]:
    async with asyncio.timeout(PATIENTLY_S):
        while True:
            try:
                if records := await inbox.take(MUCH, MUCH, 1):
                    return [record.value for record in records]
            except Away:
                await asyncio.sleep(0.1)


async def taken_in_the_end(inbox: KafkaInbox) -> list[Record]:
    async with asyncio.timeout(PATIENTLY_S):
        while True:
            try:
                return await inbox.take(1, MUCH, 0.1)
            except Away:
                await asyncio.sleep(0.1)


async def test_a_broker_killed_and_restarted_goes_unnoticed(
    broker: Broker, inbox: KafkaInbox, sender: KafkaOutbox
) -> None:
    await sender.send([message(1)])
    assert await taken(inbox) == [b"1"]

    broker.kill()
    sending = asyncio.create_task(sender.send([message(2)]))
    await asyncio.to_thread(broker.run)
    async with asyncio.timeout(PATIENTLY_S):
        await sending

    assert await taken(inbox) == [b"2"]
    tail = await sender.tail()
    assert tail is not None
    assert tail.value == b"2"


@pytest.mark.usefixtures("impatient")
async def test_a_broker_that_stays_away_is_named_and_everything_goes_on_where_it_was(
    broker: Broker, inbox: KafkaInbox, sender: KafkaOutbox
) -> None:
    await sender.send([message(1)])
    assert await taken(inbox) == [b"1"]
    broker.kill()

    with pytest.raises(Away, match=broker.bootstrap):
        await taking_on(inbox)
    for asking in (inbox.bounds(), inbox.at(0), sender.tail(), sender.bounds(), sender.send([message(2)])):
        with pytest.raises(Away, match=broker.bootstrap):
            await asking

    await asyncio.to_thread(broker.run)
    tail = await sender.tail()
    assert tail is not None
    assert tail.value == b"1"
    await sender.send([message(3)])
    assert await taken(inbox) == [b"3"]


@pytest.mark.usefixtures("impatient")
async def test_a_broker_that_was_named_is_away_until_it_is_heard(broker: Broker, inbox: KafkaInbox) -> None:
    broker.kill()
    with pytest.raises(Away, match=broker.bootstrap):
        await taking_on(inbox)

    for _ in range(10):
        with pytest.raises(Away, match=broker.bootstrap):
            await inbox.take(1, MUCH, 0.1)
    await asyncio.to_thread(broker.run)

    assert await taken_in_the_end(inbox) == []


@pytest.mark.usefixtures("impatient")
async def test_a_broker_that_hangs_is_away_and_what_was_given_up_is_not_sent_later(
    broker: Broker, inbox: KafkaInbox, sender: KafkaOutbox
) -> None:
    await sender.send([message(1)])
    assert await taken(inbox) == [b"1"]

    with frozen(broker), pytest.raises(Away, match=broker.bootstrap):
        await sender.send([message(number) for number in range(100, 110)])
    tail = await tail_in_the_end(sender)
    await sender.send([message(2)])
    assert tail is not None
    assert tail.value in {b"1", b"109"}
    assert (await taken(inbox))[-1] == b"2"


async def test_letting_go_of_a_broker_that_hangs_does_not_hang(
    broker: Broker, inbox: KafkaInbox, sender: KafkaOutbox
) -> None:
    await sender.send([message(1)])
    assert await taken(inbox) == [b"1"]
    broker.signal(signal.SIGSTOP)
    sending = asyncio.create_task(sender.send([message(2)]))
    await asyncio.sleep(0.1)

    try:
        async with asyncio.timeout(PATIENTLY_S):
            sending.cancel()
            await asyncio.wait({sending})
            await inbox.close()
            await sender.close()
    finally:
        broker.signal(signal.SIGCONT)

    assert sending.cancelled() or isinstance(sending.exception(), Away)


@pytest.mark.usefixtures("impatient")
async def test_a_topic_that_is_taken_away_is_named(
    broker: Broker, names: Topics, inbox: KafkaInbox, sender: KafkaOutbox
) -> None:
    await sender.send([message(1)])
    assert await taken(inbox) == [b"1"]
    await topics.delete(Kafka(servers=broker.bootstrap), [names.commands])

    with pytest.raises(Unexpected, match=names.commands):
        await taking_on(inbox)
    with pytest.raises(Unexpected, match=names.commands):
        await sender.send([message(2)])


async def test_a_broker_that_is_silent_is_not_one_without_the_topic(broker: Broker, names: Topics) -> None:
    asking = client.Client(Kafka(servers=broker.bootstrap))
    assert await asking.leader("no such topic", 0) is None
    broker.kill()

    with pytest.raises(Away, match=broker.bootstrap):
        await asking.leader(names.commands, 0)

    await asking.close()


async def test_a_topic_made_anew_is_not_read_on(
    broker: Broker, names: Topics, inbox: KafkaInbox, sender: KafkaOutbox
) -> None:
    await sender.send([message(1), message(2)])
    assert await taken(inbox) == [b"1", b"2"]
    await topics.delete(Kafka(servers=broker.bootstrap), [names.commands])
    await topics.create(Kafka(servers=broker.bootstrap), names, 1)

    with pytest.raises(Unexpected, match=f"{names.commands}, partition 0, has no record at offset 2"):
        await taking_on(inbox)


async def test_a_message_that_the_topic_does_not_take_is_named(
    names: Topics, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BATCH_BYTES", 2**24)
    sender = KafkaOutbox(Kafka(servers=broker.bootstrap), names.commands, 0)

    with pytest.raises(Unexpected, match=names.commands) as told:
        await sender.send([Message(None, b"x" * 2_000_000, [])])
    await sender.send([message(1)])

    assert "max.message.bytes" in told.value.remedy
    await sender.close()


async def test_a_writer_stays_in_its_group_over_a_restart_of_the_broker(broker: Broker, names: Topics) -> None:
    servers = Kafka(servers=broker.bootstrap)
    async with (
        Membership(servers, names.writers, names.commands, 2, "a") as a,
        Membership(servers, names.writers, names.commands, 2, "b") as b,
        asyncio.timeout(PATIENTLY_S),
    ):
        before = [frozenset[int]()]
        while [len(owned) for owned in before] != [1, 1]:
            before = [await a.confirmed(), await b.confirmed()]

        broker.kill()
        await asyncio.to_thread(broker.run)

        assert [await a.confirmed(), await b.confirmed()] == before
