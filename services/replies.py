"""Tells whoever asked what came of a command, once that is durable.

    a record with the header `reply-to` -> decided, stored (`services.writer`) -> its event or dead letter -> the reply

Law: at least once, through any crash, and never before it is so. `replied` is the offset up to which all is answered;
it is stored with a later commit. From there to `next` records are read again and answered from the journal, never
decided again: at a start, and whenever more waits here than memory should hold. Nothing here holds up deciding, and
commands that ask for no reply pay for one look a batch.

What a reply says: `schemas.replies`. How it travels: `services.kafka.dispatch`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from schemas.replies import decode_told
from services.journal.ports import DeadLetter, Journal, Key, Standing, Wanted
from services.kafka.dispatch import Addressed
from services.kafka.ports import Inbox, Record
from services.patience import Readiness, patiently
from services.reading import Reading, read_all
from services.requests import Found, Request, firsts, headed, replies, requests
from services.shard import Draft
from services.tallies import WriterTally

MOST_BATCHES: Final = 16
"""So many batches wait here at the most. When there are more, all are read again from the topic in their turn."""

_PAGE: Final = 2000
_PAGE_BYTES: Final = 1 << 20
_WAIT_S: Final = 0.25

Send = Callable[[list[Addressed]], Awaitable[int]]
"""Sends all, taking out of the list what is acknowledged; returns how many were ignored. May raise `Away`."""


@dataclass(slots=True)
class Stored:
    """Records from the offset `begin` up to `next`, what was asked of them, and what they brought about."""

    begin: int
    next: int
    requests: Sequence[Request]
    readings: Sequence[Reading | DeadLetter]
    draft: Draft


class Replies:
    """Answers the requests of one partition.

    Args:
        inbox: the partition, read for this alone.
        journal: of the shard.
        send: how replies travel.
        tally: counts what is sent and what is ignored.
        readiness: is told while something is waited for.
    """

    def __init__(self, inbox: Inbox, journal: Journal, send: Send, tally: WriterTally, readiness: Readiness) -> None:
        """Know the partition; nothing is read before `begin`."""
        self.replied = 0
        self._inbox = inbox
        self._journal = journal
        self._send = send
        self._tally = tally
        self._readiness = readiness
        self._part = f"replies {inbox.partition}"
        self._durable = 0
        self._batches: deque[Stored] = deque()
        self._woken = asyncio.Event()
        self._settled = asyncio.Event()
        self._answering: asyncio.Task[None] | None = None

    def begin(self, standing: Standing) -> None:
        """Begin to answer, first of all what the shard has decided and not answered."""
        self.replied, self._durable = standing.replied, standing.next
        self._answering = asyncio.create_task(self._answer())

    def replied_with(self, requests: Sequence[Request], following: int) -> int:
        """Tell what `replied` is when a batch is stored that ends before the offset `following`."""
        return following if self.replied == self._durable and not requests else self.replied

    def stored(self, batch: Stored) -> None:
        """Take a batch that is durable now.

        Raises:
            Unexpected: what is needed to answer is not as expected.
        """
        self.see_that_it_lives()
        self._durable = batch.next
        if batch.requests:
            if len(self._batches) == MOST_BATCHES:
                self._batches.clear()
            else:
                self._batches.append(batch)
            self._woken.set()
            self._settled.clear()
        elif self._batches:
            self._batches[-1].next = batch.next
        elif self.replied == batch.begin:
            self.replied = batch.next

    async def settle(self, within_s: float) -> None:
        """Wait until everything stored is answered, but no longer than this."""
        if self.replied < self._durable:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._settled.wait()

    def see_that_it_lives(self) -> None:
        """Raise what answering ended with, should it have ended."""
        if self._answering is not None and self._answering.done():
            self._answering.result()

    async def end(self) -> None:
        """Answer no more. What is not answered yet will be by the next who writes this shard."""
        answering, self._answering = self._answering, None
        if answering is not None:
            answering.cancel()
            await asyncio.wait({answering})
            if not answering.cancelled():
                answering.exception()
            self._readiness.works(self._part)
        self._batches.clear()

    async def _answer(self) -> None:
        """Answer in order, waiting for what is away."""
        while True:
            batch = self._batches[0] if self._batches else None
            before = batch.begin if batch else self._durable
            if self.replied < before:
                await self._answer_again(before)
            elif batch:
                await self._deliver(await self._of_batch(batch))
                self.replied = max(self.replied, batch.next)
                if self._batches and self._batches[0] is batch:
                    self._batches.popleft()
            else:
                self._woken.clear()
                self._settled.set()
                await self._woken.wait()

    async def _of_batch(self, batch: Stored) -> list[Addressed]:
        """Make the replies to a batch: of what it brought about, and of what the journal holds from before."""
        letters = {letter.offset: letter for letter in batch.draft.dead_letters}
        found: dict[Key, Found] = {}
        old = []
        for request in batch.requests:
            if isinstance(reading := request.reading, Reading):
                here = batch.draft.outcomes.get(reading.key)
                event = here and batch.draft.event((here.ledger, here.sequence))
                if here and event:
                    found[reading.key] = Found(here.sequence, decode_told(event))
                else:
                    old.append(reading)
        first = {offset for key, offset in firsts(batch.readings, letters).items() if key in found}
        return replies(batch.requests, letters, found | await self._recalled(old), first)

    async def _answer_again(self, before: int) -> None:
        """Answer records that were decided earlier, from `replied` on, as many as one page holds, up to `before`."""
        bounds = await patiently(self._part, self._inbox.bounds, self._readiness)
        self.replied = min(max(self.replied, bounds.begin), before)
        await self._inbox.seek(self.replied)
        while self.replied < before:
            taken = await patiently(self._part, lambda: self._inbox.take(_PAGE, _PAGE_BYTES, _WAIT_S), self._readiness)
            await self._deliver(await self._of_records([record for record in taken if record.offset < before]))
            if taken:
                self.replied = min(taken[-1].offset + 1, before)
        await self._inbox.close()

    async def _of_records(self, records: Sequence[Record]) -> list[Addressed]:
        """Make the replies to records that have their outcome in the journal."""
        if not headed(records):
            return []
        readings = read_all(records)
        asking = requests(records, readings)
        if not asking:
            return []
        letters = await self._letters(records[0].offset, records[-1].offset)
        recalled = await self._recalled([request.reading for request in asking if isinstance(request.reading, Reading)])
        # Nothing is kept of which record brought an event about. But none did that came after it.
        decided = [
            reading
            for reading in readings
            if isinstance(reading, Reading) and reading.key in recalled and recalled[reading.key].told.at >= reading.at
        ]
        return replies(asking, letters, recalled, set(firsts(decided, letters).values()))

    async def _letters(self, first: int, last: int) -> dict[int, DeadLetter]:
        """Read the dead letters among the records of these offsets."""
        letters: dict[int, DeadLetter] = {}
        after = first - 1
        while after < last:
            page = partial(self._journal.dead_letters, after, _PAGE)
            some = await patiently(self._part, page, self._readiness)
            letters |= {letter.offset: letter for letter in some if letter.offset <= last}
            after = some[-1].offset if some else last
        return letters

    async def _recalled(self, readings: Sequence[Reading]) -> dict[Key, Found]:
        """Find the outcome of each id in the journal: its sequence, and by that its event."""
        if not readings:
            return {}
        ledgers = {reading.key: reading.command.ledger for reading in readings}
        ids = (
            await patiently(self._part, lambda: self._journal.recall(Wanted(list(ledgers), [], [])), self._readiness)
        ).ids
        places = {key: (ledgers[key], known.sequence) for key, known in ids.items()}
        events = (
            await patiently(
                self._part, lambda: self._journal.recall(Wanted([], [], list(places.values()))), self._readiness
            )
        ).events
        return {key: Found(place[1], decode_told(events[place])) for key, place in places.items() if place in events}

    async def _deliver(self, replies: list[Addressed]) -> None:
        """Send, and wait until all are acknowledged or cannot be delivered."""
        if replies:
            asked = len(replies)
            ignored = await patiently(self._part, lambda: self._send(replies), self._readiness)
            self._tally.replies += asked - ignored
            self._tally.ignored_replies += ignored
