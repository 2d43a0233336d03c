"""Sends messages to one partition, in order, and finds again what was sent last.

Law: what `send` returned from is with all replicas, in the order given. After a failure nobody knows how much arrived:
the producer is thrown away with everything it had not sent, and the sender reads its own `tail` before it goes on.

Who sends: `services.publisher`; to all partitions of a topic, `services.kafka.scatter`.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

from services.errors import Away, Unexpected
from services.kafka.client import failure, options
from services.kafka.partition import Partition
from services.kafka.ports import Bounds, Message, Record, size_of
from services.settings import Kafka

# A message larger than this travels alone and compressed: it came in a compressed batch, and must fit where that did.
BATCH_BYTES: Final = 512 * 1024

# How long a send may go without any progress. aiokafka itself would retry for ever.
PATIENCE_S: Final = 10.0

_LETS_GO_S: Final = 2.0


class KafkaOutbox:
    """`Outbox` on Kafka. It connects by itself, when first asked, and anew after a failure."""

    def __init__(self, kafka: Kafka, topic: str, partition: int) -> None:
        self._topic = topic
        self._partition = Partition(kafka, topic, partition)
        self._producing = Producing(kafka, topic)

    @property
    def topic(self) -> str:
        """The name of the topic."""
        return self._topic

    @property
    def partition(self) -> int:
        """The number of the partition."""
        return self._partition.number

    async def tail(self) -> Record | None:
        """Read the last record of the partition: the sender's own checkpoint. None where it is empty. Raises `Away`."""
        bounds = await self._partition.bounds()
        return None if bounds.begin == bounds.end else await self._partition.at(bounds.end - 1)

    async def bounds(self) -> Bounds:
        """Tell what the partition holds now. Raises `Away`."""
        return await self._partition.bounds()

    async def first(self, offset: int) -> Record | None:
        """Read the first record from `offset` on; None where there is none. Raises `Away`, and `Unexpected` outside."""
        return await self._partition.first(offset)

    async def send(self, messages: Sequence[Message]) -> None:
        """Send all, in this order, and return when all are acknowledged.

        Raises:
            Away: some may have been sent and some not; read the tail again before going on.
            Unexpected: the topic is not there, or takes no message of this size.
        """
        try:
            await self._producing.send({self._partition.number: messages})
        except Away:
            # Where the topic is gone, the partition says so.
            await self._partition.bounds()
            raise

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        await self._producing.close()
        await self._partition.close()


class Producing:
    """Writes to the partitions of one topic, each in order, until a failure: then it begins anew, and so must others.

    It connects by itself, when first asked.
    """

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._producer: Any = None

    async def send(self, parts: Mapping[int, Sequence[Message]]) -> None:
        """Send to each partition its messages, in order, and return when all are acknowledged.

        Raises:
            Away: some may have been sent and some not.
            Unexpected: login or rights are refused, or the topic takes no message of this size.
        """
        acknowledged: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(PATIENCE_S) as limit:
                producer = await self._opened()
                for partition, messages in parts.items():
                    for batch in _batches(producer, messages):
                        acknowledged.append(await producer.send_batch(batch, self._topic, partition=partition))
                        limit.reschedule(_from_now(PATIENCE_S))
                for one in acknowledged:
                    await one
                    limit.reschedule(_from_now(PATIENCE_S))
        except BaseException as error:
            for one in acknowledged:
                one.cancel()
            await self.close()
            if isinstance(error, KafkaError | OSError):
                raise self._named(error) from error
            raise

    async def close(self) -> None:
        """Throw the producer away, unsent batches and all: its own `stop` would go on sending them. Never raises."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        producer._closed = True  # noqa: SLF001 - it is what `stop` sets
        sending = producer._sender.sender_task  # noqa: SLF001 - nothing public ends it without sending what is left
        if sending is not None:
            sending.cancel()
        await producer.client.close()
        if sending is not None:
            await asyncio.wait({sending}, timeout=_LETS_GO_S)

    async def _opened(self) -> Any:
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES, **options(self._kafka)
            )
            await self._producer.start()
        return self._producer

    def _named(self, error: BaseException) -> Away | Unexpected:
        if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
            return Unexpected(
                f"{self._topic} does not take a message of this size: {error}",
                f"raise max.message.bytes of {self._topic} to at least twice that of the commands topic",
            )
        return failure(error, self._kafka)


def _batches(producer: Any, messages: Sequence[Message]) -> Iterator[Any]:
    """Pack messages into batches. A message that fits into none comes to stand at the beginning of one, and alone."""
    at_ms = int(time.time() * 1000)
    batch = None
    for message in messages:
        key, value, headers = message.key, message.value, list(message.headers)
        if batch is not None and batch.append(timestamp=at_ms, key=key, value=value, headers=headers) is not None:
            continue
        if batch is not None:
            yield batch
        if size_of(message) > BATCH_BYTES:
            batch = BatchBuilder(BATCH_BYTES, DefaultRecordBatch.CODEC_ZSTD)
        else:
            batch = producer.create_batch()
        batch.append(timestamp=at_ms, key=key, value=value, headers=headers)
    if batch is not None:
        yield batch


def _from_now(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds
