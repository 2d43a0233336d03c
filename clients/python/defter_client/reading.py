"""Reads on in one partition of a topic, from a place that the reader names, for as long as it takes.

Law: no record is left out and none comes twice, whatever the brokers do. Silence is never believed: a consumer that
hears nothing for a while is asked whether there is something, and thrown away if there is (aiokafka's may fall silent
for good after a broker was restarted). A place outside of what the partition holds is `Unexpected`, never a
silent jump.

Who reads: `defter_client.subscription` events, `defter_client.replies` replies.
"""

import asyncio
import logging
import random
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    OffsetOutOfRangeError,
    UnsupportedCodecError,
)

from .errors import Away, Unexpected
from .kafka import PATIENCE_S, Kafka, failure

QUIET_S: Final = 2.0
"""So long a consumer may hear nothing without being asked why."""

_WAITS_MS: Final = 500
_MOST: Final = 2000
_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_log: Final = logging.getLogger("defter_client")


class Closed(RuntimeError):
    """It was closed; nothing more is read."""


class Reader:
    """One partition, to be read. Connections come and go by themselves.

    Args:
        kafka: the cluster.
        topic: its name.
        partition: its number.
    """

    def __init__(self, kafka: Kafka, topic: str, partition: int) -> None:
        self.next = 0
        """The offset that is read next."""
        self._kafka = kafka
        self._place = TopicPartition(topic, partition)
        self._consumer: Any = None
        self._heard_at = 0.0
        self._suspect = False
        self._closed = False

    def __str__(self) -> str:
        return f"topic {self._place.topic}, partition {self._place.partition}"

    def seek(self, offset: int) -> None:
        """Read on at `offset`, whatever was read before."""
        self.next = offset
        if self._consumer is not None:
            self._consumer.seek(self._place, offset)

    async def records(self) -> list[Any]:
        """Read the records that come next, at least one; wait for it, also while Kafka is away.

        Raises:
            Unexpected: the partition does not hold this place, cannot be read, or may not.
            Closed: it was closed meanwhile.
        """
        pause_s = _PAUSE_S
        while True:
            try:
                records = await self._heard()
            except Away as away:
                if pause_s == _PAUSE_S:
                    _log.warning("%s: %s; it is waited for", self, away)
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter is no secret
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                if pause_s > _PAUSE_S:
                    _log.warning("%s: it answers again", self)
                    pause_s = _PAUSE_S
                if records:
                    self.next = records[-1].offset + 1
                    return records

    async def bounds(self) -> tuple[int, int]:
        """Tell which offset the partition begins with, and which comes after its last. Raises as `records`, `Away`."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                consumer = await self._opened()
                begin = (await consumer.beginning_offsets([self._place]))[self._place]
                end = (await consumer.end_offsets([self._place]))[self._place]
        except (KafkaError, OSError) as error:
            await self._let_go()
            raise failure(error, self._kafka) from error
        return int(begin), int(end)

    async def close(self) -> None:
        """Read no more, and let go of connections; whoever waits for records is told. Never raises."""
        self._closed = True
        await self._let_go()

    async def _let_go(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            try:
                async with asyncio.timeout(2):
                    await consumer.stop()
            except (KafkaError, OSError):
                _log.debug("%s: a consumer did not end in good order", self)

    async def _heard(self) -> list[Any]:
        """Hear what has come; nothing where nothing came for a moment. Raises as `records`, and `Away`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE_S):
                consumer = await self._opened()
            got = await consumer.getmany(self._place, timeout_ms=_WAITS_MS, max_records=_MOST)
        except (KafkaError, OSError, UnicodeError) as error:
            await self._let_go()
            raise self._named(error) from error
        records = [record for record in got.get(self._place, ()) if record.offset >= self.next]
        if records:
            self._heard_at, self._suspect = loop.time(), False
        elif loop.time() - self._heard_at > QUIET_S:
            await self._ask_why()
        return records

    async def _ask_why(self) -> None:
        """See whether there is something that is not heard. Raises as `bounds`, and `Away` where that is so twice."""
        there_is = (await self.bounds())[1] > self.next
        if there_is and self._suspect:
            await self._let_go()
            raise Away("a consumer heard nothing where there is something")
        # What came this moment will be heard the next.
        self._heard_at, self._suspect = asyncio.get_running_loop().time(), there_is

    async def _opened(self) -> Any:
        self._raise_if_closed()
        if self._consumer is None:
            # Without a group: nothing is kept in Kafka about how far it was read, for the caller knows.
            consumer = AIOKafkaConsumer(
                auto_offset_reset="none", enable_auto_commit=False, fetch_max_wait_ms=_WAITS_MS, **self._kafka.options
            )
            try:
                await consumer.start()
                # Whoever closed it meanwhile found no consumer to stop. And aiokafka's tasks end in order once begun.
                await asyncio.sleep(0)
                self._raise_if_closed()
            except BaseException:
                await consumer.stop()
                raise
            consumer.assign([self._place])
            consumer.seek(self._place, self.next)
            self._consumer = consumer
            self._heard_at, self._suspect = asyncio.get_running_loop().time(), False
        return self._consumer

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise Closed(f"{self} was closed")

    def _named(self, error: BaseException) -> Away | Unexpected:
        if isinstance(error, OffsetOutOfRangeError):
            return Unexpected(
                f"{self} holds no record at offset {self.next}",
                "it was cut short or made anew: bring back the one that was read before, or begin from nothing",
            )
        # Whoever may write to a topic may give headers names that are not UTF-8, at which aiokafka gives up.
        if isinstance(error, CorruptRecordException | UnsupportedCodecError | UnicodeError):
            return Unexpected(
                f"{self} cannot be read from offset {self.next} on: {error!r}",
                "restore the partition from a replica or a backup; nothing is skipped",
            )
        return failure(error, self._kafka)
