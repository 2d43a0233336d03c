"""Sends messages to a topic of any number of partitions, each to that of its key: the topic `postings`.

Law: messages of one key stay in order; what `send` returned from is with all replicas. After a failure nobody knows how
much arrived: whoever sends goes back to where it was certain, so a message may come twice, and none is left out.

Used by `services.publisher`.
"""

from collections.abc import Sequence
from functools import lru_cache

from services.errors import Unexpected
from services.kafka.outbox import Producing
from services.kafka.partition import Partition
from services.kafka.ports import Message
from services.kafka.topics import describe, partition_of
from services.settings import Kafka

_where = lru_cache(maxsize=1 << 17)(partition_of)


class Scatter:
    """All partitions of one topic, to be written. It connects by itself, when first asked."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._producing = Producing(kafka, topic)
        self._partitions = 0

    async def send(self, messages: Sequence[Message]) -> None:
        """Send all, those of each key in this order, and return when all are acknowledged.

        Raises:
            Away: some may have been sent and some not.
            Unexpected: the topic is not there, or takes no message of this size.
        """
        if not self._partitions:
            self._partitions = await self._counted()
        parts: dict[int, list[Message]] = {}
        for message in messages:
            partition = _where((message.key or b"").decode(), self._partitions)
            parts.setdefault(partition, []).append(message)
        await self._producing.send(parts)

    async def emptied(self) -> int | None:
        """Return a partition that was written to and is empty now, if there is one. Raises as `send`."""
        for number in range(await self._counted()):
            partition = Partition(self._kafka, self._topic, number)
            try:
                begin, end = await partition.bounds()
            finally:
                await partition.close()
            if begin == end > 0:
                return number
        return None

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        await self._producing.close()

    async def _counted(self) -> int:
        found = (await describe(self._kafka, [self._topic])).topics.get(self._topic)
        if found is None:
            raise Unexpected(f"Kafka has no topic {self._topic}", "run `defter setup` with DEFTER_POSTINGS=1")
        return found.partitions
