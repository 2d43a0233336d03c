"""Events of one ledger, in order, once each, from the one after the last that the caller has taken in.

Law: what is given is the next event or nothing. One that was given before is passed over (Defter publishes at least
once); where one is missing, `Gap` is raised and nothing more is given. How far it was read is the caller's to keep,
with what the caller makes of the events, in one transaction; so nothing is kept in Kafka.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final, Self

import msgspec

from .errors import Away, Gap, Unexpected
from .kafka import Kafka
from .reading import Closed, Reader
from .schemas.codec import decode_event
from .schemas.events import Event

NEAR: Final = 2000
"""So many records are read rather than searched."""

_PAUSE_S: Final = 0.2


class Subscription:
    """Events of one ledger, as they come. It waits for the next, also while Kafka is away, until it is closed.

    Args:
        kafka: the cluster.
        topic: of events.
        partition: where the ledger lives.
        ledger: its name.
        after: the sequence of the last event that was taken in; 0 before the first.
        open_ones: those of its client; this one is among them until it is closed.
    """

    def __init__(
        self, kafka: Kafka, topic: str, partition: int, ledger: str, after: int, open_ones: "set[Subscription]"
    ) -> None:
        self.ledger = ledger
        self.after = after
        """The sequence of the last event that was given."""
        self._reader = Reader(kafka, topic, partition)
        self._placed = False
        self._held: deque[Event] = deque()
        self._open_ones = open_ones
        open_ones.add(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Give the next event.

        Raises:
            Gap: it is missing.
            Unexpected: the topic is not there, may not be read, or holds an event that this release does not know.
        """
        while not self._held:
            try:
                await self._more()
            except Closed:
                raise StopAsyncIteration from None
        event = self._held.popleft()
        self.after = event.sequence
        return event

    async def pages(self, most: int = 500) -> AsyncIterator[list[Event]]:
        """Give what has come, at least one event and at the most `most`: for those who store many in one transaction.

        Raises as the iteration over single events.
        """
        async for event in self:
            page = [event]
            while self._held and len(page) < most:
                page.append(await anext(self))
            yield page

    async def close(self) -> None:
        """End the iteration, and let go of connections. The client does it for all its subscriptions when it ends.

        A loop that is left does not do it, for it may be gone on with: `async with` does.
        """
        await self._reader.close()
        self._open_ones.discard(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _more(self) -> None:
        """Hold the events that come next, if what came holds any."""
        if not self._placed:
            self._reader.seek(await self._beginning())
            self._placed = True
        came_from = self._reader.next
        try:
            for record in await self._reader.records():
                if record.key == self.ledger.encode():
                    self._take(record)
        except (Gap, Unexpected):
            # What is whole before it is given first; then it is met again, however often it is asked for.
            self._reader.seek(came_from)
            if not self._held:
                raise

    def _take(self, record: Any) -> None:
        event = self._decoded(record)
        last = self._held[-1].sequence if self._held else self.after
        if event.sequence > last + 1:
            raise Gap(self.ledger, last + 1, event.sequence, f"{self._reader}, offset {record.offset}")
        if event.sequence == last + 1:
            self._held.append(event)

    async def _beginning(self) -> int:
        """Find where to begin, in a few looks at the topic: before the next event, and not far before it.

        Records of a ledger come in order but for some that come again. So after any of them that is not past the last
        taken in, the next is still to come.
        """
        begin, end = await self._bounds()
        while self.after and end - begin > NEAR:
            middle = (begin + end) // 2
            found = await self._first(middle, end)
            if found is not None and found <= self.after:
                begin = middle
            else:
                end = middle
        return begin

    async def _first(self, offset: int, end: int) -> int | None:
        """Return the sequence of this ledger's first event from `offset` on, before `end`."""
        self._reader.seek(offset)
        while self._reader.next < end:
            for record in await self._reader.records():
                if record.offset < end and record.key == self.ledger.encode():
                    return self._decoded(record).sequence
        return None

    async def _bounds(self) -> tuple[int, int]:
        while True:
            try:
                return await self._reader.bounds()
            except Away:
                await asyncio.sleep(_PAUSE_S)

    def _decoded(self, record: Any) -> Event:
        try:
            return decode_event(record.value or b"")
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise Unexpected(
                f"{self._reader}, offset {record.offset}: {error}",
                "an event of a newer release? Install the newest defter-client; nothing is skipped",
            ) from error
