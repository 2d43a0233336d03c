"""One installation under test: its database, its topics, its processes, and how far each has come."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psycopg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from services.errors import Away
from services.kafka.outbox import KafkaOutbox
from services.kafka.ports import Message
from services.kafka.topics import Topics
from services.settings import Kafka, Secret, Settings
from services.setup import setup
from tests.system.processes import PATIENTLY_S, Process

LOOKS_EVERY_S = 0.05


class Reach(NamedTuple):
    """How far each has come: of the commands, the writer; of the journal, who publishes it and who projects it."""

    sent: int
    decided: int
    stored: int
    published: int
    projected: int


class House:
    """An installation that is set up, in which processes come and go.

    Args:
        dsn: its database, empty; with `{shard}` there are several.
        servers: its Kafka.
        prefix: of its topics.
        directory: for logs.
        partitions: how many.
        read_dsn: the database of its read models, if that is another; `{shard}` as above.
    """

    def __init__(
        self, dsn: str, servers: str, prefix: str, directory: Path, partitions: int = 1, read_dsn: str = ""
    ) -> None:
        self.dsn = dsn
        self.read_dsn = read_dsn or dsn
        self.kafka = Kafka(servers=servers)
        self.topics = Topics(prefix)
        self.partitions = partitions
        self.processes: list[Process] = []
        self.sent = [0] * partitions
        self._directory = directory
        self._asking = asyncio.Lock()
        self._connections: dict[str, psycopg.AsyncConnection[tuple[int, ...]]] = {}
        self._outboxes = [KafkaOutbox(self.kafka, self.topics.commands, number) for number in range(partitions)]
        self._tails = [
            [KafkaOutbox(self.kafka, topic, number) for topic in (self.topics.events, self.topics.dead_letters)]
            for number in range(partitions)
        ]

    async def set_up(self) -> None:
        """Do what `defter setup` does."""
        await setup(self.settings, self.partitions)

    @property
    def settings(self) -> Settings:
        """Its settings, as `defter setup` has them."""
        return Settings(
            instance="setup",
            dsn=Secret(self.dsn),
            read_dsn=Secret(self.read_dsn),
            kafka=self.kafka,
            prefix=self.topics.prefix,
        )

    def process(
        self, name: str, *arguments: str, instance: str = "", dsn: str = "", more: Mapping[str, str] | None = None
    ) -> Process:
        """Make a process, not started yet; `more` are further variables of its environment."""
        instance = instance or f"{name}-{len(self.processes)}"
        environment = {
            "DEFTER_DATABASE": dsn or self.dsn,
            "DEFTER_READ_DATABASE": dsn or self.read_dsn,
            "DEFTER_KAFKA": self.kafka.servers,
            "DEFTER_PREFIX": self.topics.prefix,
            "DEFTER_INSTANCE": instance,
            **(more or {}),
        }
        self.processes.append(Process(name, environment, self._directory / f"{instance}.log", arguments))
        return self.processes[-1]

    def start(self, name: str, *arguments: str, instance: str = "", dsn: str = "") -> Process:
        """Start a process."""
        process = self.process(name, *arguments, instance=instance, dsn=dsn)
        process.start()
        return process

    async def send(self, partition: int, messages: Sequence[Message]) -> None:
        """Send commands as a producer does that wants them decided: until they are acknowledged, be it twice."""
        outbox = self._outboxes[partition]
        async with asyncio.timeout(PATIENTLY_S):
            while True:
                try:
                    if messages:
                        await outbox.send(messages)
                    # Some may have been sent before, unheard, or by others.
                    self.sent[partition] = (await outbox.bounds()).end
                except Away:
                    await asyncio.sleep(0.1)
                else:
                    return

    async def records(self, topic: str, partition: int) -> list[ConsumerRecord]:
        """Read all of a partition, as any subscriber may."""
        place = TopicPartition(topic, partition)
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka.servers, auto_offset_reset="none")
        await consumer.start()
        try:
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            consumer.seek(place, 0)
            records: list[ConsumerRecord] = []
            while await consumer.position(place) < end:
                for some in (await consumer.getmany(timeout_ms=500)).values():
                    records += some
        finally:
            await consumer.stop()
        return records

    async def settled(self) -> None:
        """Wait until all that was sent, by whomever, is decided, published and projected."""
        for partition in range(self.partitions):
            await self.send(partition, ())
            await self.until(at_rest, partition)

    async def decided(self, partition: int = 0) -> None:
        """Wait until all that was sent to a partition is decided."""
        await self.until(lambda reach: reach.decided == reach.sent, partition)

    async def until(self, done: Callable[[Reach], bool], partition: int = 0) -> None:
        """Wait until a partition has come so far, whoever is killed meanwhile."""
        async with asyncio.timeout(PATIENTLY_S):
            while True:
                with suppress(Away):
                    if done(await self.reach(partition)):
                        return
                await asyncio.sleep(LOOKS_EVERY_S)

    async def reach(self, partition: int = 0) -> Reach:
        """Look how far each has come.

        Raises:
            Away: a server does not answer.
            AssertionError: a process has ended that nobody ended.
        """
        for process in self.processes:
            process.must_run()
        decided, stored, letter = await self._row(_REACH, self.settings.database(partition), partition)
        (projected,) = await self._row(_PROJECTED, self.settings.read_database(partition), partition)
        events, letters = self._tails[partition]
        published = await _header(events, "position", nothing=0)
        if await _header(letters, "offset", nothing=-1) < letter:
            published = min(published, stored - 1)
        return Reach(self.sent[partition], decided, stored, published, projected)

    async def next(self, partition: int = 0) -> int:
        """Ask for the offset that is decided next. Raises `Away`."""
        statement = "select next from journal.offsets where shard = {shard}"
        (offset,) = await self._row(statement, self.settings.database(partition), partition)
        return offset

    async def _row(self, statement: str, dsn: str, partition: int) -> tuple[int, ...]:
        """Ask a database, on a connection that is kept while it lasts."""
        async with self._asking:
            try:
                if dsn not in self._connections:
                    self._connections[dsn] = await psycopg.AsyncConnection.connect(
                        dsn, autocommit=True, connect_timeout=2
                    )
                asked = statement.replace("{shard}", str(partition)).encode()
                row = await (await self._connections[dsn].execute(asked)).fetchone()
            except psycopg.OperationalError as error:
                self._connections.pop(dsn, None)
                raise Away(str(error)) from error
        assert row
        return row

    async def close(self) -> None:
        """End every process, whatever it does."""
        for process in self.processes:
            process.kill()
        for connection in self._connections.values():
            await connection.close()
        for outbox in (*self._outboxes, *(tail for tails in self._tails for tail in tails)):
            await outbox.close()


_REACH = """
select (select next from journal.offsets where shard = {shard}),
       (select coalesce(max(notification_id), 0) from journal.shard_{shard}_events),
       (select coalesce(max("offset"), -1) from journal.dead_letters where partition = {shard})"""

_PROJECTED = "select coalesce(max(position), 0) from read_1.checkpoints where shard = {shard}"


def at_rest(reach: Reach) -> bool:
    """Tell whether everything that is there is done."""
    return reach.sent == reach.decided and reach.stored == reach.published == reach.projected


async def _header(outbox: KafkaOutbox, name: str, nothing: int) -> int:
    """Read a number of the last record of a topic."""
    last = await outbox.tail()
    return nothing if last is None else next(int(value or b"") for header, value in last.headers if header == name)
