"""Takes the records of one partition of `commands` in order, from the place that the writer names.

Law: no record is left out and none comes twice between two `seek`s; nothing is kept in Kafka about how far it was read
(the journal knows). While records are being decided the next ones are on their way, where there are more already.

What happens to a record next: `services.writer`.
"""

import asyncio

from services.errors import Away
from services.kafka.partition import Partition
from services.kafka.ports import Bounds, Record, size_of
from services.kafka.records import Chunk
from services.settings import Kafka


class KafkaInbox:
    """`Inbox` on Kafka. It connects by itself, when first asked; reading begins at 0 unless `seek` says otherwise.

    A broker that goes away for some seconds is not noticed but by silence: `take` comes back empty. Longer, it raises
    `Away`, again and again until the broker is heard, and goes on at the same place.
    """

    def __init__(self, kafka: Kafka, topic: str, partition: int) -> None:
        self._partition = Partition(kafka, topic, partition)
        self._next = 0
        self._held: list[Record] = []
        self._taken = 0
        self._coming: asyncio.Task[Chunk] | None = None
        self._away: str | None = None

    @property
    def partition(self) -> int:
        """The number of the partition."""
        return self._partition.number

    async def seek(self, offset: int) -> None:
        """Read on at `offset`, whatever was read before."""
        await self._stop_reading()
        self._held, self._taken, self._next = [], 0, offset

    async def take(self, most: int, most_bytes: int, wait_s: float) -> list[Record]:
        """Take the records that have come, at the most `most`, at least one where there is one.

        Args:
            most: how many records at the most.
            most_bytes: stop after the record with which all together reach this size.
            wait_s: how long to wait for the first; then the answer is empty.

        Raises:
            Away: Kafka has not answered for some seconds.
            Unexpected: the place asked for is outside of what the partition holds, or what is there cannot be read.
        """
        if self._taken == len(self._held) and not await self._arrived(wait_s):
            return []
        end = min(self._taken + most, len(self._held))
        taken = within(self._held[self._taken : end], most_bytes)
        self._taken += len(taken)
        return taken

    async def bounds(self) -> Bounds:
        """Tell what the partition holds now. Raises `Away`."""
        return await self._partition.bounds()

    async def at(self, offset: int) -> Record:
        """Read the one record at `offset`, wherever reading stands. Raises `Away`, `Unexpected` where there is none."""
        return await self._partition.at(offset)

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        await self._stop_reading()
        await self._partition.close()

    async def _arrived(self, wait_s: float) -> bool:
        """Bring in what comes next, and ask for what comes after it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while True:
            if self._coming is None:
                self._coming = asyncio.create_task(self._partition.heard(self._next))
            done, _ = await asyncio.wait({self._coming}, timeout=max(until - loop.time(), 0))
            if not done:
                # Silence is no answer: who was away is away until heard.
                if self._away is not None:
                    raise Away(self._away)
                return False
            coming, self._coming = self._coming, None
            try:
                chunk = coming.result()
            except Away as away:
                self._away = str(away)
                raise
            self._away = None
            self._held, self._taken, self._next = chunk.records, 0, chunk.next
            # At the end of the partition the answer would be the next record alone, and all that come after that one
            # would wait behind it. Who asks when it is ready gets them together.
            if chunk.more:
                self._coming = asyncio.create_task(self._partition.heard(self._next))
            if chunk.records:
                return True

    async def _stop_reading(self) -> None:
        coming, self._coming = self._coming, None
        if coming is not None:
            coming.cancel()
            await asyncio.wait({coming})
            if not coming.cancelled():
                coming.exception()
            # The broker would answer the next question on this connection only after the one given up.
            await self._partition.close()


def within(records: list[Record], most_bytes: int) -> list[Record]:
    """Return the first of `records`, up to and including the one with which they reach `most_bytes`."""
    # Most have no headers: those that do are counted once too often here, and exactly below.
    headed = [record for record in records if record.headers]
    plain = sum([len(record.value or b"") + len(record.key or b"") for record in records])
    if plain + sum(map(size_of, headed)) <= most_bytes:
        return records
    size = 0
    for count, record in enumerate(records, 1):
        size += size_of(record)
        if size >= most_bytes:
            return records[:count]
    return records
