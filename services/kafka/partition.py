"""One partition, read: what it holds, the record at a place, the records from a place on.

Law: reading begins exactly where the reader says. A place outside of what the partition holds is `Unexpected`, never a
silent jump to another; and a broker that is restarted is met anew within the patience of one question.

`services.kafka.inbox` reads on with it, `services.kafka.outbox` finds its own tail.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    UnsupportedCodecError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest

from services.errors import Away, Unexpected
from services.kafka.client import PATIENCE_S, Client, failure
from services.kafka.ports import Bounds, Record
from services.kafka.records import Chunk, decoded
from services.settings import Kafka

_Answer = TypeVar("_Answer")

# How long a broker keeps a question for new records before it answers that there are none.
HOLDS_S: Final = 0.5

_FETCH_BYTES: Final = 2**20
_PAUSE_S: Final = 0.1
_EARLIEST: Final = -2
_LATEST: Final = -1
_CONSUMER: Final = -1
_READ_UNCOMMITTED: Final = 0
_READING_ON: Final = 2


class _Missing(Away):
    """The cluster answers that there is no such partition, as it also does for a moment after it was made."""


class Partition:
    """One partition of a topic, to be read. Connections come and go by themselves."""

    def __init__(self, kafka: Kafka, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self._kafka = kafka
        self._client = Client(kafka)

    async def bounds(self) -> Bounds:
        """Tell what the partition holds now. Raises `Away`."""
        return await self._answer(self._bounds)

    async def at(self, offset: int) -> Record:
        """Read the one record at `offset`. Raises `Away`, and `Unexpected` where there is none."""

        async def ask() -> Record:
            chunk = await self._fetch(offset, wait_s=0, lane=0)
            if not chunk.records or chunk.records[0].offset != offset:
                raise self._outside(offset, await self._bounds())
            return chunk.records[0]

        return await self._answer(ask)

    async def first(self, offset: int) -> Record | None:
        """Read the first record from `offset` on; None where there is none.

        Where a partition ends says less: the end of a producer's transaction takes an offset, and is no record.

        Raises:
            Away: Kafka does not answer.
            Unexpected: the partition does not hold this place, or what it holds there cannot be read.
        """
        while True:
            chunk = await self._answer(partial(self._fetch, offset, wait_s=0, lane=0))
            if chunk.records:
                return chunk.records[0]
            if not chunk.more:
                return None
            offset = chunk.next

    async def after(self, offset: int) -> Chunk:
        """Read the records from `offset` on, as many as one answer holds; wait until there are some.

        Raises:
            Away: Kafka does not answer. While it answers that there is nothing new, the wait goes on.
            Unexpected: the partition does not hold this place, or what it holds there cannot be read.
        """
        while True:
            chunk = await self.heard(offset)
            if chunk.records:
                return chunk
            offset = chunk.next

    async def heard(self, offset: int) -> Chunk:
        """Do as `after`, and return the first answer even if it is that there is nothing new."""
        return await self._answer(partial(self._fetch, offset, wait_s=HOLDS_S, lane=_READING_ON))

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        await self._client.close()

    async def _answer(self, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Ask, and ask again while nobody answers, as long as patience lasts: a restarted broker is soon back."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        missing_until: float | None = None
        while True:
            try:
                return await ask()
            except _Missing as missing:
                # A topic that was made this moment is not known everywhere. So patience counts from the first such
                # answer, however long there was none. A topic that stays away is gone.
                missing_until = missing_until or loop.time() + PATIENCE_S
                if loop.time() + _PAUSE_S >= missing_until:
                    raise Unexpected(
                        str(missing), "run `defter setup`, or set DEFTER_KAFKA and DEFTER_PREFIX right"
                    ) from None
            except Away:
                if loop.time() + _PAUSE_S >= until:
                    raise
            await asyncio.sleep(_PAUSE_S)

    async def _bounds(self) -> Bounds:
        return Bounds(await self._edge(_EARLIEST), await self._edge(_LATEST))

    async def _edge(self, which: int) -> int:
        question = OffsetRequest(_CONSUMER, _READ_UNCOMMITTED, [(self.topic, [(self.number, which)])])
        answer = await self._client.ask(question, node=await self._leader())
        _, code, _, offset = answer.topics[0][1][0]
        await self._raise_for(code, which)
        return int(offset)

    async def _fetch(self, offset: int, *, wait_s: float, lane: int) -> Chunk:
        question = FetchRequest(
            max_wait_time=int(wait_s * 1000),
            min_bytes=1,
            max_bytes=_FETCH_BYTES,
            isolation_level=_READ_UNCOMMITTED,
            topics=[(self.topic, [(self.number, offset, _FETCH_BYTES)])],
            rack_id="",
        )
        answer = await self._client.ask(question, node=await self._leader(), lane=lane, within_s=wait_s + PATIENCE_S)
        _, code, end, *_, batches = answer.topics[0][1][0]
        await self._raise_for(code, offset)
        try:
            return decoded(batches, offset, end)
        except (CorruptRecordException, UnsupportedCodecError) as error:
            raise Unexpected(
                f"{self.topic}, partition {self.number}, cannot be read from offset {offset} on: {error}",
                "restore the partition from a replica or a backup; nothing is skipped",
            ) from error

    async def _leader(self) -> int:
        node = await self._client.leader(self.topic, self.number)
        if node is None:
            raise _Missing(f"Kafka has no topic {self.topic} with a partition {self.number}")
        return node

    async def _raise_for(self, code: int, offset: int) -> None:
        error: type[KafkaError] = for_code(code)
        if error is OffsetOutOfRangeError:
            raise self._outside(offset, await self._bounds())
        if error is TopicAuthorizationFailedError:
            raise failure(error(self.topic), self._kafka)
        if code:
            # Leader moved, topic gone, replica behind: the next question goes by what the cluster says then.
            await self._client.close()
            raise Away(f"{self.topic}, partition {self.number}: {error.__name__}")

    def _outside(self, offset: int, bounds: Bounds) -> Unexpected:
        return Unexpected(
            f"{self.topic}, partition {self.number}, has no record at offset {offset}: "
            f"it holds {bounds.begin} up to, not including, {bounds.end}",
            "the topic was cut short, expired or made anew: bring back the one that was read before, or begin with a "
            "fresh database and prefix",
        )
