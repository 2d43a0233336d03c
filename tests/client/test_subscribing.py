"""A subscriber gets every event of its ledger once, in order, from where it says, or it is told that one is missing."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import LeaderNotAvailableError
from aiokafka.protocol.metadata import MetadataRequest

from defter_client import Client, Gap, Subscription, Unexpected, subscription
from defter_client.kafka import partition_of
from services.kafka.outbox import KafkaOutbox
from services.kafka.ports import Message
from services.kafka.topics import Topics, create, delete
from services.kafka.topics import partition_of as where_it_lives
from services.settings import Kafka

PARTITIONS = 4
PATIENTLY_S = 60.0


@pytest.fixture
async def topics(kafka: str, prefix: str) -> AsyncIterator[Topics]:
    topics = Topics(prefix)
    await create(Kafka(servers=kafka), topics, PARTITIONS)
    yield topics
    await delete(Kafka(servers=kafka), topics.all())


@pytest.fixture
async def client(kafka: str, topics: Topics) -> AsyncIterator[Client]:
    async with Client.connect(kafka, prefix=topics.prefix) as client:
        yield client


def event(ledger: str, sequence: int) -> Message:
    text = '{"type":"ledger-opened.v1","ledger":"%s","sequence":%d,"at":"2026-11-21T09:30:00.125Z","command":"c%d"}'
    return Message(ledger.encode(), (text % (ledger, sequence, sequence)).encode(), [])


async def published(kafka: str, topics: Topics, messages: Sequence[Message], ledger: str = "main") -> None:
    outbox = KafkaOutbox(Kafka(servers=kafka), topics.events, where_it_lives(ledger, PARTITIONS))
    await outbox.send(messages)
    await outbox.close()


async def taken(subscription: Subscription, count: int) -> list[int]:
    async with asyncio.timeout(PATIENTLY_S):
        return [(await anext(subscription)).sequence for _ in range(count)]


async def test_an_election_is_waited_for(kafka: str, topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, send = 0, AIOKafkaClient.send

    async def electing(self: AIOKafkaClient, node: int, request: Any, **more: Any) -> Any:
        """Answer a few times as several brokers do while they elect a leader; the one of the tests never does."""
        nonlocal asked
        answer = await send(self, node, request, **more)
        if isinstance(request, MetadataRequest) and (asked := asked + 1) < 4:
            code = LeaderNotAvailableError.errno
            answer.topics = [
                (0, name, internal, [(code, number, -1, *rest) for _, number, _, *rest in rows])
                for _, name, internal, rows in answer.topics
            ]
        return answer

    monkeypatch.setattr(AIOKafkaClient, "send", electing)
    await published(kafka, topics, [event("main", 1)])
    async with Client.connect(kafka, prefix=topics.prefix) as client:
        assert await taken(client.subscribe("main"), 1) == [1]

    assert asked >= 4


async def test_duplicates_are_dropped_and_other_ledgers_passed_over(kafka: str, topics: Topics, client: Client) -> None:
    other = next(name for name in (f"other-{n}" for n in range(99)) if partition_of(name, 4) == partition_of("main", 4))
    sequences = [1, 2, 3, 2, 3, 4, 1, 2, 3, 4, 5]
    messages = [message for n in sequences for message in (event("main", n), event(other, n))]

    await published(kafka, topics, messages)

    assert await taken(client.subscribe("main"), 5) == [1, 2, 3, 4, 5]
    assert await taken(client.subscribe("main", after=3), 2) == [4, 5]


async def test_a_gap_is_an_error_after_all_that_is_whole_and_stays_one(
    kafka: str, topics: Topics, client: Client
) -> None:
    await published(kafka, topics, [event("main", n) for n in (1, 2, 4, 5)])
    subscription = client.subscribe("main")

    assert await taken(subscription, 2) == [1, 2]
    for _ in range(2):
        with pytest.raises(Gap, match=r"expected event 3, found 4 .*offset 2") as gap:
            await taken(subscription, 1)
    assert (gap.value.expected, gap.value.found, subscription.after) == (3, 4, 2)
    with pytest.raises(Gap, match="expected event 3, found 4"):
        await taken(client.subscribe("main", after=2), 1)


@pytest.mark.parametrize(
    "unknown",
    [
        b'{"type":"moon-landed.v1","ledger":"main","sequence":2}',
        b'{"type":"ledger-opened.v1","ledger":"main","sequence":2,"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
    ids=["type", "depth"],
)
async def test_an_event_of_a_newer_release_is_never_skipped(
    kafka: str, topics: Topics, client: Client, unknown: bytes
) -> None:
    await published(kafka, topics, [event("main", 1), Message(b"main", unknown, []), event("main", 3)])
    subscription = client.subscribe("main")

    assert await taken(subscription, 1) == [1]
    for _ in range(2):
        with pytest.raises(Unexpected, match="newest defter-client"):
            await taken(subscription, 1)


@pytest.mark.parametrize("after", [0, 1, 357, 1399, 1400])
async def test_it_resumes_from_any_sequence_without_reading_everything(
    kafka: str, topics: Topics, client: Client, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "NEAR", 10)
    await published(kafka, topics, [event("main", n) for n in resent(range(1, 1401))])
    resumed = client.subscribe("main", after=after)
    coming = asyncio.create_task(taken(resumed, 1401 - after))

    await published(kafka, topics, [event("main", 1401)])

    assert await coming == list(range(after + 1, 1402))
    if after:
        assert await client.subscribe("main", after=after)._beginning() >= after - 10


def resent(sequences: Iterable[int]) -> list[int]:
    """Publish as a publisher does that is killed now and then: it goes on some way before where it was."""
    sent: list[int] = []
    for sequence in sequences:
        sent.append(sequence)
        if sequence % 100 == 0:
            sent += range(sequence - 49, sequence + 1)
    return sent


async def test_pages_hold_what_has_come(kafka: str, topics: Topics, client: Client) -> None:
    await published(kafka, topics, [event("main", n) for n in range(1, 26)])

    sizes, seen = [], 0
    async for page in client.subscribe("main").pages(most=10):
        sizes.append(len(page))
        seen = page[-1].sequence
        if seen == 25:
            break

    assert sizes == [10, 10, 5]


async def test_a_loop_that_is_left_ends_with_its_subscription(kafka: str, topics: Topics, client: Client) -> None:
    await published(kafka, topics, [event("main", n) for n in (1, 2)])
    left, kept = client.subscribe("main"), client.subscribe("main")

    async with left as events:
        async for one in events:
            if one.sequence == 2:
                break

    assert [one async for one in left] == []
    assert await taken(kept, 2) == [1, 2]
    gone, still_there = weakref.ref(left), weakref.ref(kept)
    del left, events, kept
    gc.collect()
    assert gone() is None
    assert still_there() is not None


async def test_what_is_closed_while_it_connects_connects_no_more(client: Client) -> None:
    subscription = client.subscribe("main")

    async def first() -> list[int]:
        return [one.sequence async for one in subscription]

    coming = asyncio.create_task(first())
    await asyncio.sleep(0)  # it has begun, and Kafka cannot have answered
    assert subscription._reader._consumer is None
    await subscription.close()

    assert await coming == []
    assert subscription._reader._consumer is None


async def test_what_cannot_be_subscribed_to_is_said_at_once(kafka: str, prefix: str, client: Client) -> None:
    with pytest.raises(ValueError, match="a-z"):
        client.subscribe("No Ledger")
    with pytest.raises(ValueError, match="begin with 0"):
        client.subscribe("main", after=-1)
    with pytest.raises(RuntimeError, match="replies='shop'"):
        await client.send(b'{"type":"open-ledger.v1","id":"1"}')
    with pytest.raises(Unexpected, match=f"no topic {prefix}x.events"):
        await Client.connect(kafka, prefix=f"{prefix}x.").__aenter__()
