"""What the writer and the publisher know of Kafka: records that come, messages that go.

`Inbox` and `Outbox` have two implementations each: on Kafka (`services.kafka.inbox`, `services.kafka.outbox`), and on
plain lists (`services.kafka.lists`), so that a whole writer and publisher can run in one process without a broker. One
conformance suite holds both to the same behaviour.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

Headers = Sequence[tuple[str, bytes | None]]


class Record(Struct, frozen=True, gc=False):
    """One record as the broker keeps it.

    `at_ms` is the broker's own time of appending, in milliseconds since 1970 (topics are created with `LogAppendTime`).
    """

    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Message(Struct, frozen=True, gc=False):
    """One record about to be sent."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def size_of(one: Record | Message) -> int:
    """Return how many bytes a record or message is: all of it that may be large."""
    told = sum(len(name) + len(said or b"") for name, said in one.headers) if one.headers else 0
    return len(one.key or b"") + len(one.value or b"") + told


class Bounds(NamedTuple):
    """What a partition holds now: offsets from `begin` up to, not including, `end`."""

    begin: int
    end: int


class Inbox(Protocol):
    """One partition of the commands topic, read in order from a place that the reader names."""

    @property
    def partition(self) -> int:
        """The number of the partition."""
        ...

    async def seek(self, offset: int) -> None:
        """Read on at `offset`, whatever was read before."""
        ...

    async def take(self, most: int, most_bytes: int, wait_s: float) -> list[Record]:
        """Take the records that have come, at the most `most`, at least one where there is one.

        Args:
            most: how many records at the most.
            most_bytes: stop after the record with which all together reach this size.
            wait_s: how long to wait for the first; then the answer is empty.

        Raises:
            Away: Kafka does not answer.
            Unexpected: the place asked for is outside of what the partition holds.
        """
        ...

    async def bounds(self) -> Bounds:
        """Tell what the partition holds now. Raises `Away`."""
        ...

    async def at(self, offset: int) -> Record:
        """Read the one record at `offset`, wherever reading stands.

        Raises:
            Away: Kafka does not answer.
            Unexpected: there is no record at this place.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        ...


class Outbox(Protocol):
    """One partition of a topic, written in order. What is sent is acknowledged by all replicas, at least once."""

    @property
    def topic(self) -> str:
        """The name of the topic."""
        ...

    @property
    def partition(self) -> int:
        """The number of the partition."""
        ...

    async def tail(self) -> Record | None:
        """Read the last record of the partition: the sender's own checkpoint. None where it is empty. Raises `Away`."""
        ...

    async def bounds(self) -> Bounds:
        """Tell what the partition holds now. Raises `Away`."""
        ...

    async def first(self, offset: int) -> Record | None:
        """Read the first record from `offset` on; None where there is none, though the partition may go on.

        Raises:
            Away: Kafka does not answer.
            Unexpected: the partition does not hold this place.
        """
        ...

    async def send(self, messages: Sequence[Message]) -> None:
        """Send all, in this order, and return when all are acknowledged.

        Raises:
            Away: some may have been sent and some not; read the tail again before going on.
            Unexpected: the topic is not there, or takes no message of this size.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        ...
