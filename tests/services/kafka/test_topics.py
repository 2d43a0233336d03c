"""The topics of an installation are made whole, known by their ids, and told when they will not do."""

import asyncio

import pytest

from services.errors import Away
from services.kafka import topics
from services.kafka.topics import Cluster, Topic, Topics, partition_of
from services.settings import Kafka

# From the tests of Kafka's own client: the hash as Java's signed number.
MURMUR2 = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.fixture
def servers(kafka: str) -> Kafka:
    return Kafka(servers=kafka)


@pytest.mark.parametrize(("ledger", "hash_of_it"), MURMUR2.items())
def test_a_ledger_lives_where_javas_default_partitioner_puts_its_name(ledger: str, hash_of_it: int) -> None:
    for partitions in (1, 2, 16, 1009):
        assert partition_of(ledger, partitions) == (hash_of_it & 0x7FFFFFFF) % partitions


def test_the_names_are_those_of_the_contract() -> None:
    assert Topics("defter.").all(postings=True) == [
        "defter.commands",
        "defter.events",
        "defter.dead-letters",
        "defter.postings",
    ]


async def test_topics_are_made_so_that_nothing_in_them_expires(servers: Kafka, prefix: str) -> None:
    names = Topics(prefix)

    made = await topics.create(servers, names, 3, postings=True)

    cluster = await topics.describe(servers, names.all(postings=True))
    assert made == sorted(names.all(postings=True))
    assert topics.faults(cluster, names, 3, postings=True) == []
    for topic in cluster.topics.values():
        assert (topic.partitions, topic.led) == (3, True)
        assert topic.settings["cleanup.policy"] == "delete"
        assert topic.settings["retention.ms"] == topic.settings["retention.bytes"] == "-1"
        assert topic.settings["unclean.leader.election.enable"] == "false"
    assert cluster.topics[names.commands].settings["message.timestamp.type"] == "LogAppendTime"


async def test_dead_letters_may_be_twice_as_large_as_commands(servers: Kafka, prefix: str) -> None:
    names = Topics(prefix)
    await topics.create(servers, names, 1)

    described = (await topics.describe(servers, names.all())).topics

    commands, dead_letters = (
        int(described[name].settings["max.message.bytes"]) for name in (names.commands, names.dead_letters)
    )
    assert dead_letters >= 2 * commands


async def test_making_topics_again_makes_only_those_that_are_missing(servers: Kafka, prefix: str) -> None:
    names = Topics(prefix)
    await topics.create(servers, names, 1)
    before = await topics.describe(servers, names.all())
    await topics.delete(servers, [names.events])

    made = await topics.create(servers, names, 1)

    after = await topics.describe(servers, names.all())
    assert made == [names.events]
    assert after.topics[names.commands].id == before.topics[names.commands].id


async def test_two_that_make_the_topics_at_once_do_not_fail(servers: Kafka, prefix: str) -> None:
    names = Topics(prefix)

    await asyncio.gather(*(topics.create(servers, names, 2) for _ in range(4)))

    assert topics.faults(await topics.describe(servers, names.all()), names, 2) == []


async def test_a_topic_made_anew_has_another_id(servers: Kafka, prefix: str) -> None:
    names = Topics(prefix)
    await topics.create(servers, names, 1)
    before = await topics.describe(servers, [names.commands])
    await topics.delete(servers, [names.commands])
    await topics.create(servers, names, 1)

    after = await topics.describe(servers, [names.commands])

    assert after.id == before.id
    assert after.topics[names.commands].id != before.topics[names.commands].id


async def test_a_topic_that_is_not_there_is_left_out_and_not_made(servers: Kafka, prefix: str) -> None:
    for _ in range(2):
        assert (await topics.describe(servers, Topics(prefix).all())).topics == {}


async def test_deleting_what_is_not_there_is_no_fault(servers: Kafka, prefix: str) -> None:
    await topics.delete(servers, Topics(prefix).all())


async def test_a_broker_that_is_not_there_is_away() -> None:
    with pytest.raises(Away, match=r"127\.0\.0\.1:1 does not answer"):
        await topics.describe(Kafka(servers="127.0.0.1:1"), ["any"])


async def test_what_will_not_do_is_named_with_what_to_do(servers: Kafka, prefix: str) -> None:
    names = Topics(prefix)
    await topics.create(servers, names, 2)
    whole = await topics.describe(servers, names.all())
    commands = whole.topics[names.commands]

    producers_time = _with(whole, Topic(commands.name, commands.id, 2, {"message.timestamp.type": "CreateTime"}))
    without = Cluster(whole.id, whole.brokers, {names.commands: commands})

    assert [fault.what for fault in topics.faults(without, names, 2)] == [
        f"Kafka cluster {whole.id} has no topic {names.events}",
        f"Kafka cluster {whole.id} has no topic {names.dead_letters}",
    ]
    assert [fault.what for fault in topics.faults(whole, names, 3)] == [
        f"topic {name} has 2 partitions instead of 3" for name in names.all()
    ]
    assert "LogAppendTime" in topics.faults(producers_time, names, 2)[0].remedy


def _with(cluster: Cluster, topic: Topic) -> Cluster:
    return Cluster(cluster.id, cluster.brokers, {**cluster.topics, topic.name: topic})
