"""Messages to topics that others name: they arrive where they should, and what names nothing good is ignored."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.errors import Away
from services.kafka import dispatch, topics
from services.kafka.dispatch import Addressed, Dispatch
from services.kafka.metadata import MetadataQuestion
from services.kafka.partition import Partition
from services.kafka.topics import describe, partition_of
from services.settings import Kafka


@pytest.fixture
async def sender(kafka: str, prefix: str) -> AsyncIterator[Dispatch]:
    made = Dispatch(Kafka(servers=kafka), [f"{prefix}commands"])
    yield made
    await made.close()


async def test_a_message_goes_to_the_partition_of_its_key_and_order_is_kept(
    kafka: str, prefix: str, sender: Dispatch
) -> None:
    await make(kafka, f"{prefix}one", 3)
    await make(kafka, f"{prefix}two", 1)
    keys = [b"%d" % number for number in range(20)]
    messages = [Addressed(f"{prefix}one", key, b"%d" % turn) for turn in range(2) for key in keys]

    assert await sender.send([*messages, Addressed(f"{prefix}two", None, b"x")]) == 0

    for partition in range(3):
        here = [key for key in keys if partition_of(key.decode(), 3) == partition]
        arrived = await records(kafka, f"{prefix}one", partition)
        assert arrived == [(key, b"%d" % turn) for turn in range(2) for key in here]
    assert await records(kafka, f"{prefix}two") == [(None, b"x")]


async def test_more_than_a_topic_takes_in_one_batch_arrives_in_several(
    kafka: str, prefix: str, sender: Dispatch
) -> None:
    await make(kafka, f"{prefix}one", 1, {"max.message.bytes": "2000"})
    values = [b"%100d" % number for number in range(50)]
    messages = [Addressed(f"{prefix}one", b"k", value) for value in values]

    assert await sender.send(messages) == 0

    assert messages == []
    assert [value for _, value in await records(kafka, f"{prefix}one")] == values


async def test_one_that_is_larger_than_its_topic_takes_is_ignored_and_no_other(
    kafka: str, prefix: str, sender: Dispatch
) -> None:
    await make(kafka, f"{prefix}one", 1, {"max.message.bytes": "400"})
    messages = [Addressed(f"{prefix}one", b"k", b"x" * size) for size in (10, 1000, 20)]

    assert await sender.send(messages) == 1
    assert await sender.send([Addressed(f"{prefix}one", b"k", b"next")]) == 0

    assert [len(value or b"") for _, value in await records(kafka, f"{prefix}one")] == [10, 20, 4]


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
async def test_a_compacted_topic_takes_what_has_a_key_and_the_rest_is_ignored(
    kafka: str, prefix: str, sender: Dispatch, policy: str
) -> None:
    await make(kafka, f"{prefix}one", 1, {"cleanup.policy": policy})
    await make(kafka, f"{prefix}two", 1)
    keys = [None, b"1", None, b"2"]
    messages = [Addressed(f"{prefix}{topic}", key, b"v") for key in keys for topic in ("one", "two")]

    assert await sender.send(messages) == 2

    assert await records(kafka, f"{prefix}one") == [(b"1", b"v"), (b"2", b"v")]
    assert await records(kafka, f"{prefix}two") == [(key, b"v") for key in keys]
    assert await sender.send([Addressed(f"{prefix}one", None, b"v"), Addressed(f"{prefix}one", b"3", b"v")]) == 1


async def test_a_topic_that_takes_no_stamp_of_ours_is_ignored(kafka: str, prefix: str, sender: Dispatch) -> None:
    await make(kafka, f"{prefix}one", 1, {"message.timestamp.before.max.ms": "0"})
    await make(kafka, f"{prefix}two", 1)

    async with asyncio.timeout(10):
        await sender.send([Addressed(f"{prefix}one", b"k", b"v"), Addressed(f"{prefix}two", b"k", b"v")])

    assert await records(kafka, f"{prefix}two") == [(b"k", b"v")]


async def test_a_topic_that_nobody_leads_for_longer_than_elections_take_holds_up_no_other(
    kafka: str, prefix: str, sender: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(kafka, f"{prefix}one", 1)
    await make(kafka, f"{prefix}two", 1)
    ask, led = sender._client.ask, False

    async def without_a_leader(question: Any, **where: Any) -> Any:
        """Ask, and hear of topic one what a cluster says while the only broker that has it is down."""
        answer = await ask(question, **where)
        if isinstance(question, MetadataQuestion) and not led:
            for row, (_, name, _, _, partitions, *_) in enumerate(answer.topics):
                if name.endswith("one"):
                    none = [(5, number, -1, *rest) for _, number, _, *rest in partitions]
                    answer.topics[row] = (*answer.topics[row][:4], none, *answer.topics[row][5:])
        return answer

    monkeypatch.setattr(sender._client, "ask", without_a_leader)
    monkeypatch.setattr(dispatch, "_ELECTS_S", 0.5)
    monkeypatch.setattr(dispatch, "_IGNORED_FOR_S", 0.2)
    messages = [Addressed(f"{prefix}one", b"k", b"1"), Addressed(f"{prefix}two", b"k", b"2")]
    with pytest.raises(Away, match="no leader"):
        await sender.send(messages)
    assert await records(kafka, f"{prefix}two") == [(b"k", b"2")]

    await asyncio.sleep(0.6)
    assert await sender.send([*messages, Addressed(f"{prefix}two", b"k", b"3")]) == 1
    assert await records(kafka, f"{prefix}two") == [(b"k", b"2"), (b"k", b"3")]

    led = True
    await asyncio.sleep(0.3)
    assert await sender.send([Addressed(f"{prefix}one", b"k", b"4")]) == 0


async def test_what_names_no_topic_for_replies_is_ignored_and_no_topic_comes_of_it(
    kafka: str, prefix: str, sender: Dispatch
) -> None:
    await make(kafka, f"{prefix}one", 1)
    await make(kafka, f"{prefix}commands", 1)
    bad = [f"{prefix}none", f"{prefix}commands", "__consumer_offsets", "", ".", "\ufffd", "x" * 250, "a b"]

    assert await sender.send([Addressed(name, b"k", b"v") for name in (*bad, f"{prefix}one")]) == len(bad)

    assert await records(kafka, f"{prefix}one") == [(b"k", b"v")]
    assert await records(kafka, f"{prefix}commands") == []
    assert f"{prefix}none" not in (await describe(Kafka(servers=kafka), [f"{prefix}none"])).topics


async def test_a_topic_is_looked_for_again_after_a_while_and_one_that_was_deleted_is_ignored(
    kafka: str, prefix: str, sender: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_IGNORED_FOR_S", 0.0)
    name = f"{prefix}late"
    assert await sender.send([Addressed(name, b"k", b"1")]) == 1
    await make(kafka, name, 1)
    assert await until_heard(sender, name) == 0

    await topics.delete(Kafka(servers=kafka), [name])

    assert await until_heard(sender, name) == 1


async def until_heard(sender: Dispatch, name: str) -> int:
    """Send one message again and again until nobody is away."""
    while True:
        try:
            return await sender.send([Addressed(name, b"k", b"v")])
        except Away:
            await asyncio.sleep(0.05)


async def make(kafka: str, name: str, partitions: int, configs: dict[str, str] | None = None) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs or {})])
    finally:
        await admin.close()
    while name not in (found := await describe(Kafka(servers=kafka), [name])).topics or not found.topics[name].led:
        await asyncio.sleep(0.02)


async def records(kafka: str, name: str, partition: int = 0) -> list[tuple[bytes | None, bytes | None]]:
    """Read all of a partition."""
    place = Partition(Kafka(servers=kafka), name, partition)
    try:
        end = (await place.bounds()).end
        found = (await place.after(0)).records if end else []
        assert len(found) == end
        return [(record.key, record.value) for record in found]
    finally:
        await place.close()
