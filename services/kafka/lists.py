"""One partition of a topic as a plain list, with an `Inbox` and an `Outbox` on it: as on Kafka, without a broker.

So a whole writer and publisher can run in one process, under a clock and a scheduler that are given. The conformance
suite (`tests/services/kafka/test_conformance.py`) holds this to what Kafka does.
"""

import asyncio
from collections.abc import Callable, Sequence

from services.errors import Unexpected
from services.kafka.inbox import within
from services.kafka.ports import Bounds, Message, Record


class ListTopic:
    """One partition of a topic, kept in memory.

    Args:
        now_ms: the broker's clock, milliseconds since 1970.
        partition: the number of the partition.
        name: of the topic.
    """

    def __init__(self, now_ms: Callable[[], int], partition: int = 0, name: str = "list") -> None:
        self.partition = partition
        self.name = name
        self._now_ms = now_ms
        self._begin = 0
        self._records: list[Record] = []
        self._arrival: asyncio.Future[None] | None = None

    def bounds(self) -> Bounds:
        """Tell what the partition holds now."""
        return Bounds(self._begin, self._begin + len(self._records))

    def append(self, messages: Sequence[Message]) -> None:
        """Add records at the end, stamped with the broker's time."""
        end, at_ms = self.bounds().end, self._now_ms()
        self._records += [
            Record(end + count, at_ms, message.key, message.value, list(message.headers))
            for count, message in enumerate(messages)
        ]
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.set_result(None)

    def drop_before(self, offset: int) -> None:
        """Let the records before `offset` go, as a broker does when they expire."""
        self._records = self.read(offset)
        self._begin = offset

    def read(self, offset: int, most: int | None = None) -> list[Record]:
        """Return the records from `offset` on. Raises `Unexpected` for a place outside of what the partition holds."""
        if not self.bounds().begin <= offset <= self.bounds().end:
            raise self._outside(offset)
        start = offset - self._begin
        return self._records[start:] if most is None else self._records[start : start + most]

    def at(self, offset: int) -> Record:
        """Return the record at `offset`. Raises `Unexpected` where there is none."""
        if not self.bounds().begin <= offset < self.bounds().end:
            raise self._outside(offset)
        return self._records[offset - self._begin]

    async def arrival(self, wait_s: float) -> None:
        """Wait until a record is added, at the most `wait_s`."""
        if self._arrival is None:
            self._arrival = asyncio.get_running_loop().create_future()
        await asyncio.wait({self._arrival}, timeout=wait_s)

    def _outside(self, offset: int) -> Unexpected:
        begin, end = self.bounds()
        return Unexpected(
            f"partition {self.partition} has no record at offset {offset}: it holds {begin} up to {end}",
            "read from a place inside",
        )


class ListInbox:
    """`Inbox` on a list."""

    def __init__(self, topic: ListTopic) -> None:
        self._topic = topic
        self._next = 0

    @property
    def partition(self) -> int:
        """The number of the partition."""
        return self._topic.partition

    async def seek(self, offset: int) -> None:
        """Read on at `offset`, whatever was read before."""
        self._next = offset

    async def take(self, most: int, most_bytes: int, wait_s: float) -> list[Record]:
        """Take the records that have come, as `Inbox.take` says. Raises `Unexpected`."""
        if not self._topic.read(self._next, 1):
            await self._topic.arrival(wait_s)
        taken = within(self._topic.read(self._next, most), most_bytes)
        if taken:
            self._next = taken[-1].offset + 1
        return taken

    async def bounds(self) -> Bounds:
        """Tell what the partition holds now."""
        return self._topic.bounds()

    async def at(self, offset: int) -> Record:
        """Read the one record at `offset`, wherever reading stands. Raises `Unexpected` where there is none."""
        return self._topic.at(offset)

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


class ListOutbox:
    """`Outbox` on a list."""

    def __init__(self, topic: ListTopic) -> None:
        self._topic = topic

    @property
    def topic(self) -> str:
        """The name of the topic."""
        return self._topic.name

    @property
    def partition(self) -> int:
        """The number of the partition."""
        return self._topic.partition

    async def tail(self) -> Record | None:
        """Read the last record of the partition. None where it is empty."""
        begin, end = self._topic.bounds()
        return None if begin == end else self._topic.at(end - 1)

    async def bounds(self) -> Bounds:
        """Tell what the partition holds now."""
        return self._topic.bounds()

    async def first(self, offset: int) -> Record | None:
        """Read the first record from `offset` on; None where there is none. Raises `Unexpected` outside."""
        return next(iter(self._topic.read(offset, 1)), None)

    async def send(self, messages: Sequence[Message]) -> None:
        """Send all, in this order."""
        self._topic.append(messages)

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
