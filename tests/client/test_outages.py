"""A broker that is killed while it is sent to and subscribed to is waited for, and nothing is lost or out of order."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest

from defter_client import Away, Client, Login, NoOutcomeYet, reading
from defter_client.kafka import Kafka
from defter_client.sending import Message, Place, Sender
from defter_client.subscription import Subscription
from services import settings
from services.dev import ports
from services.dev.kafka import Kafka as Broker
from services.kafka.topics import Topics, create

PATIENTLY_S = 60.0
OPENED = '{"type":"ledger-opened.v1","ledger":"main","sequence":%d,"at":"2026-11-21T09:30:00.125Z"}'


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    directory = tmp_path_factory.mktemp("broker")
    broker = Broker(directory, ports.pick(), ports.pick(), trash=directory)
    broker.run()
    yield broker
    broker.close()


async def test_a_killed_broker_costs_nothing_but_time(
    broker: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "QUIET_S", 0.5)
    topics = Topics(prefix)
    await create(settings.Kafka(servers=broker.bootstrap), topics, 1)
    # What is put into the topic of events here comes out of it again: one sender and one subscriber, no writer between.
    sender = Sender(Kafka(broker.bootstrap), topics.events)
    async with Client.connect(broker.bootstrap, prefix=prefix, replies="test", timeout_s=1) as client:
        subscription = client.subscribe("main")
        coming = asyncio.create_task(taken(subscription, 6000))
        placed = [put(sender, sequence) for sequence in range(1, 3001)]
        await placed[500]

        broker.kill()
        placed += [put(sender, sequence) for sequence in range(3001, 6001)]
        with pytest.raises(NoOutcomeYet, match="may be in the topic of commands, or may not") as late:
            await client.send(b'{"type":"open-ledger.v1","id":"1"}')
        with pytest.raises(Away, match="does not answer"):
            await Client.connect(broker.bootstrap, prefix=prefix).__aenter__()
        await asyncio.to_thread(broker.run)

        places = [await one for one in placed]
        assert await coming == list(range(1, 6001))
    await sender.close()
    assert late.value.place is None
    assert all(before.offset < after.offset for before, after in pairwise(places))


async def test_servers_that_are_named_without_a_port_are_away_with_a_login_too(prefix: str) -> None:
    with pytest.raises(Away):
        await Client.connect("kafka.invalid", prefix=prefix, login=Login("shop", "password")).__aenter__()


def put(sender: Sender, sequence: int) -> asyncio.Future[Place]:
    return sender.put(Message(0, b"main", (OPENED % sequence).encode(), []))


async def taken(subscription: Subscription, count: int) -> list[int]:
    async with asyncio.timeout(PATIENTLY_S):
        return [(await anext(subscription)).sequence for _ in range(count)]
