"""Sends commands as any producer may: keyed by ledger, acknowledged by all replicas, bytes untouched.

Law: what `sent` returned from is in the topic, at the offset given. After a failure nobody knows; the id of a command
makes sending it again harmless.

Used by `services.sending`. What becomes of a command next: `services.writer`.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError

from services.errors import Away, Unexpected
from services.kafka.client import failure, options
from services.kafka.ports import Headers
from services.settings import Kafka

TOO_LARGE: Final = -1
"""In place of an offset: the topic takes no message of this size."""

_LARGEST: Final = 1 << 20
_BATCH_BYTES: Final = 256 * 1024
_LINGER_MS: Final = 2


class Keyed(NamedTuple):
    """One command about to be sent: its partition, its ledger, its bytes, and what goes along."""

    partition: int
    ledger: str
    value: bytes
    headers: Headers = ()


class Sender:
    """A producer for one topic, connected when first used.

    Args:
        kafka: how Kafka is reached.
        topic: the topic of commands.
        patience_s: how long a send may take.
    """

    def __init__(self, kafka: Kafka, topic: str, patience_s: float) -> None:
        self._kafka = kafka
        self._topic = topic
        self._patience_s = patience_s
        self._producer: Any = None

    async def sent(self, messages: Sequence[Keyed]) -> list[int]:
        """Send all, each partition's in this order, and return their offsets once all are acknowledged.

        Raises:
            Away: Kafka does not answer; some may be in the topic.
            Unexpected: the topic is not there, or login or rights are refused.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                producer = await self._opened()
                coming = [await self._one(producer, message) for message in messages]
                return [TOO_LARGE if one is None else (await one).offset for one in coming]
        except UnknownTopicOrPartitionError:
            raise Unexpected(f"Kafka has no topic {self._topic}", "run `defter setup`") from None
        except (KafkaError, OSError) as error:
            raise failure(error, self._kafka) from error

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                async with asyncio.timeout(2):
                    await producer.stop()
            except (KafkaError, OSError, Away):
                await producer.client.close()

    async def _one(self, producer: Any, message: Keyed) -> Any:
        key = message.ledger.encode()
        try:
            return await producer.send(
                self._topic, message.value, key, message.partition, headers=list(message.headers)
            )
        except MessageSizeTooLargeError:
            return None

    async def _opened(self) -> Any:
        if self._producer is None:
            producer = AIOKafkaProducer(
                acks="all",
                enable_idempotence=True,
                linger_ms=_LINGER_MS,
                max_batch_size=_BATCH_BYTES,
                max_request_size=_LARGEST,
                **options(self._kafka),
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer
