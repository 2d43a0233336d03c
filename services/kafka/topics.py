"""The topics of an installation (SPEC 7): their names, where a ledger lives, what they are, and making those missing.

Law: a topic is known by the cluster's id and its own; a name alone tells nothing about what was written to it before.
What is made here expires nothing and is acknowledged by two replicas where there are three brokers.

Used by `defter setup`, and by every process when it starts.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

from aiokafka.errors import (
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.partitioner import murmur2
from aiokafka.protocol.admin import CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest
from msgspec import Struct

from services.errors import Away, Unexpected
from services.kafka.client import Client
from services.kafka.metadata import MetadataQuestion
from services.settings import Kafka

SETUP_S: Final = 10.0

_PAUSE_S: Final = 0.05
_TOPIC: Final = 2
_REPLICAS: Final = 3
_LEADERLESS: Final = 5
_SETUP: Final = (
    "run `defter setup`, or set DEFTER_KAFKA and DEFTER_PREFIX to the installation that the database belongs to"
)
_DECIMAL_32 = 0x7FFFFFFF


class Topics(Struct, frozen=True):
    """The names under one prefix."""

    prefix: str

    @property
    def commands(self) -> str:
        """What is asked for."""
        return f"{self.prefix}commands"

    @property
    def events(self) -> str:
        """What was decided."""
        return f"{self.prefix}events"

    @property
    def dead_letters(self) -> str:
        """What could not be understood or may not be decided."""
        return f"{self.prefix}dead-letters"

    @property
    def postings(self) -> str:
        """One message a posting, for those who follow accounts; only with `DEFTER_POSTINGS=1`."""
        return f"{self.prefix}postings"

    @property
    def writers(self) -> str:
        """The consumer group in which writers share out the partitions of `commands`."""
        return f"{self.prefix}writers"

    def all(self, *, postings: bool = False) -> list[str]:
        """Return the topics that an installation has."""
        return [self.commands, self.events, self.dead_letters, *([self.postings] if postings else [])]


class Topic(Struct, frozen=True):
    """A topic as the cluster describes it.

    `settings` are Kafka's own names and values. `led` says whether each partition has a leader, so that it can be used.
    """

    name: str
    id: UUID
    partitions: int
    settings: Mapping[str, str]
    led: bool = True


class Cluster(Struct, frozen=True):
    """A Kafka cluster, and those of the topics asked for that are there."""

    id: str
    brokers: int
    topics: Mapping[str, Topic]


def partition_of(ledger: str, partitions: int) -> int:
    """Return where a ledger lives: murmur2 of its name, as in Kafka's default partitioner for Java.

    >>> partition_of("main", 1), partition_of("main", 16), partition_of("shop-7", 16)
    (0, 7, 8)
    """
    return int(murmur2(ledger.encode()) & _DECIMAL_32) % partitions if partitions > 1 else 0


async def describe(kafka: Kafka, names: Collection[str]) -> Cluster:
    """Tell what the cluster is, and which of these topics it has. Raises `Away`, and `Unexpected` when refused."""
    client = Client(kafka)
    try:
        return await _described(client, names)
    finally:
        await client.close()


async def create(kafka: Kafka, topics: Topics, partitions: int, *, postings: bool = False) -> list[str]:
    """Make those of an installation's topics that are missing, and wait until they are there.

    Returns:
        The names of those that were made.

    Raises:
        Away: Kafka does not answer, or does not get it done within `SETUP_S`.
        Unexpected: Kafka refuses.
    """
    client = Client(kafka)
    try:
        async with asyncio.timeout(SETUP_S):
            before = await _described(client, topics.all(postings=postings))
            stamped = {"message.timestamp.type": "LogAppendTime"}
            commands = (await _there(client, [topics.commands], partitions, stamped)).topics[topics.commands]
            # A command of the largest size that fits comes back with headers added, and perhaps compressed less well.
            larger = {"max.message.bytes": str(2 * int(commands.settings["max.message.bytes"]))}
            await _there(client, [topics.dead_letters], partitions, larger)
            after = await _there(client, topics.all(postings=postings), partitions, {})
            return sorted(after.topics.keys() - before.topics.keys())
    except TimeoutError:
        raise Away(f"Kafka at {kafka.servers} does not get the topics made within {SETUP_S:g} s") from None
    finally:
        await client.close()


async def make(kafka: Kafka, name: str, partitions: int) -> None:
    """Make a topic that is no installation's, and wait until it is there. Raises as `create`."""
    client = Client(kafka)
    try:
        async with asyncio.timeout(SETUP_S):
            await _there(client, [name], partitions, {})
    except TimeoutError:
        raise Away(f"Kafka at {kafka.servers} does not get {name} made within {SETUP_S:g} s") from None
    finally:
        await client.close()


async def delete(kafka: Kafka, names: Collection[str]) -> None:
    """Delete these topics, those that are there, with all that is in them. Raises `Away`, `Unexpected` when refused."""
    client = Client(kafka)
    try:
        async with asyncio.timeout(SETUP_S):
            answer = await client.ask(DeleteTopicsRequest(list(names), int(SETUP_S * 1000)), within_s=SETUP_S)
            for name, code in answer.topic_error_codes:
                if for_code(code) is not UnknownTopicOrPartitionError:
                    _raise_for(code, name, "is not deleted")
            while (await _described(client, names)).topics:  # noqa: ASYNC110 - the brokers hear of it a little later
                await asyncio.sleep(_PAUSE_S)
    except TimeoutError:
        raise Away(f"Kafka at {kafka.servers} does not get the topics deleted within {SETUP_S:g} s") from None
    finally:
        await client.close()


def faults(cluster: Cluster, topics: Topics, partitions: int, *, postings: bool = False) -> list[Unexpected]:
    """Return what is wrong with the topics, gravest first; nothing where they can be worked with."""
    found = []
    for name in topics.all(postings=postings):
        topic = cluster.topics.get(name)
        if topic is None:
            found.append(Unexpected(f"Kafka cluster {cluster.id} has no topic {name}", _SETUP))
        elif topic.partitions != partitions and name != topics.postings:
            found.append(
                Unexpected(
                    f"topic {name} has {topic.partitions} partitions instead of {partitions}",
                    "the number is fixed for ever, for a ledger lives where its name hashes: bring back the topic as "
                    "it was, or begin with a fresh database and prefix",
                )
            )
    commands = cluster.topics.get(topics.commands)
    if commands and commands.settings.get("message.timestamp.type") != "LogAppendTime":
        found.append(
            Unexpected(
                f"topic {topics.commands} keeps the producers' time",
                f"kafka-configs --alter --topic {topics.commands} --add-config message.timestamp.type=LogAppendTime",
            )
        )
    return found


async def _described(client: Client, names: Collection[str]) -> Cluster:
    answer = await client.ask(MetadataQuestion(list(names)))
    rows = {}
    for code, name, topic_id, _, partitions, *_ in answer.topics:
        if for_code(code) is not UnknownTopicOrPartitionError:
            _raise_for(code, name, "is not described")
            rows[name] = (topic_id, partitions)
    settings = await _settings(client, list(rows))
    return Cluster(
        answer.cluster_id,
        len(answer.brokers),
        {
            name: Topic(name, topic_id, len(partitions), settings[name], all(row[2] >= 0 for row in partitions))
            for name, (topic_id, partitions) in rows.items()
            if name in settings
        },
    )


async def _settings(client: Client, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    answer = await client.ask(DescribeConfigsRequest([(_TOPIC, name, None) for name in names]))
    settings = {}
    for code, message, _, name, entries in answer.resources:
        if for_code(code) is not UnknownTopicOrPartitionError:
            _raise_for(code, name, f"is not described: {message}")
            settings[name] = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
    return settings


async def _there(client: Client, names: list[str], partitions: int, more: Mapping[str, str]) -> Cluster:
    """Make those that are missing, and wait until each can be written to, whichever broker is asked."""
    # A cluster that has just come up answers before a broker has joined it, and would have no place for a replica.
    while not (cluster := await _described(client, names)).brokers:  # noqa: ASYNC110 - Kafka tells nobody
        await asyncio.sleep(_PAUSE_S)
    missing = [name for name in names if name not in cluster.topics]
    if missing:
        await _make(
            client, missing, partitions, min(_REPLICAS, cluster.brokers), _settings_for(cluster.brokers) | dict(more)
        )
    while True:
        cluster = await _described(client, names)
        if len(cluster.topics) == len(names) and all(topic.led for topic in cluster.topics.values()):
            return cluster
        await asyncio.sleep(_PAUSE_S)


async def _make(client: Client, names: list[str], partitions: int, replicas: int, settings: Mapping[str, str]) -> None:
    wanted: list[Any] = [(name, partitions, replicas, [], list(settings.items())) for name in names]
    answer = await client.ask(CreateTopicsRequest(wanted, int(SETUP_S * 1000), False), within_s=SETUP_S)  # noqa: FBT003
    for name, code, message in answer.topic_errors:
        # Another `defter setup` at the same moment is no fault.
        if for_code(code) is not TopicAlreadyExistsError:
            _raise_for(code, name, f"is not made: {message}")


def _settings_for(brokers: int) -> dict[str, str]:
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "unclean.leader.election.enable": "false",
    }
    return settings | ({"min.insync.replicas": "2"} if brokers >= _REPLICAS else {})


def _raise_for(code: int, name: str, what: str) -> None:
    error = for_code(code)
    if code in {0, _LEADERLESS}:
        return
    if error.retriable:
        raise Away(f"topic {name} {what} ({error.__name__})")
    if error is TopicAuthorizationFailedError:
        raise Unexpected(
            f"topic {name} {what}: DEFTER_KAFKA_USER has no right to that",
            "give that user the rights on topics and group that docs/security.md names",
        )
    raise Unexpected(
        f"topic {name} {what} ({error.__name__})", "see what the brokers say in their log, and set it right"
    )
