"""Copies the journal of one shard to Kafka: events to `events`, dead letters to `dead-letters`, bytes untouched.

Where it is wanted, the postings of a page of events go to `postings` before the page itself goes to `events`. So a
crash in between repeats postings, and leaves none out.

Law: in order, at least once, and nothing left out. The checkpoint is the tail of the output itself: the last event on
`events`, the last `offset` on `dead-letters`. So a crash between sending and noting cannot be told from one before
sending, and under load nothing is written to the database.

The last event is known by its ledger and sequence: a journal that was restored and decided again has the same events
in the same order, but not at the same positions, for what PostgreSQL skipped before it need not skip again.

What happens next is the business of subscribers; they drop duplicates by (`ledger`, `sequence`).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from schemas.cloudevents import attributes
from schemas.lean import TRANSFER
from schemas.postings import encode_posting, postings
from services.errors import Away, Unexpected
from services.journal.one_thread import begun
from services.journal.ports import PART, DeadLetter, Journal, Row
from services.kafka.ports import Message, Outbox, Record
from services.lag import Reached
from services.patience import Readiness, asked_again, patiently
from services.points import POLL_S, Point, no_point
from services.tallies import PublisherTally

_log = structlog.get_logger()

PAGE: Final = 4000
LETTERS: Final = 200

_SEQUENCE: Final = re.compile(rb"[1-9][0-9]{0,17}")

Scatter = Callable[[Sequence[Message]], Awaitable[None]]
"""Sends messages, those of one key in order, and returns when all are acknowledged. May raise `Away`."""

Headers = Callable[[Row], tuple[tuple[str, bytes], ...]]
"""Gives the headers that an event is published with."""


def plain_headers(row: Row) -> tuple[tuple[str, bytes], ...]:
    """Tell the place of an event."""
    return (("ledger", row.ledger.encode()), ("sequence", b"%d" % row.sequence), ("position", b"%d" % row.position))


def cloud_headers(row: Row) -> tuple[tuple[str, bytes], ...]:
    """Tell the place of an event, and what makes a CloudEvent of it."""
    return (*plain_headers(row), *attributes(row.ledger, row.sequence, row.tag, row.data))


def place_of(record: Record) -> tuple[str, int] | None:
    """Tell ledger and sequence of an event that was published; None where the record says none. First headers count."""
    said = dict(reversed(record.headers))
    ledger, sequence = said.get("ledger"), said.get("sequence") or b""
    return (ledger.decode(errors="replace"), int(sequence)) if ledger and _SEQUENCE.fullmatch(sequence) else None


def empty_now(partition: int, topic: str) -> Unexpected:
    """Object to an output that has nothing of what was written to it: it does not say any more where to go on."""
    return Unexpected(
        f"partition {partition} of {topic} was written to and is empty now",
        "bring the records back, or choose where to go on with `defter publisher --from-position`",
    )


@dataclass(slots=True)
class Progress:
    """How far the outputs of a shard have come: the position of the last event, the offset of the last dead letter."""

    position: int = 0
    letter: int = -1


class Publisher:
    """The one publisher of a shard.

    Args:
        journal: of the shard.
        events: the partition of `events` with the shard's number.
        letters: the partition of `dead-letters` with the shard's number.
        commands: the name of the topic that dead letters came from.
        readiness: is told while something is waited for.
        scatter: sends postings; none are sent if not said.
        headers: of each event.
        tally: counts what is sent; one that begins at nothing if not said.
        point: called at `posted`, between the postings of a page and its events, and at `sent`, before the next page.
    """

    def __init__(
        self,
        journal: Journal,
        events: Outbox,
        letters: Outbox,
        commands: str,
        readiness: Readiness,
        *,
        scatter: Scatter | None = None,
        headers: Headers = plain_headers,
        tally: PublisherTally | None = None,
        point: Point = no_point,
    ) -> None:
        """Know the shard and its outputs; nothing is read before `run`."""
        self.progress = Progress()
        self.tally = PublisherTally() if tally is None else tally
        self._journal = journal
        self._events = events
        self._letters = letters
        self._scatter = scatter
        self._headers = headers
        self._origin = (("topic", commands.encode()), ("partition", b"%d" % journal.shard))
        self._readiness = readiness
        self._point = point
        self._part = f"publisher {journal.shard}"
        self._letters_due = 0.0

    async def run(self, stop: asyncio.Event, *, start: int = 0) -> None:
        """Publish until `stop`.

        Args:
            stop: ends the run after the page in flight.
            start: the position to publish after, where `events` holds nothing yet.

        Raises:
            Unexpected: what was published is not in the journal: a restored database; or it is not on its topic any
                more.
        """
        rows: list[Row] = []
        lost = True
        while not stop.is_set():
            try:
                if lost:
                    await patiently(self._part, lambda: self._resume(start), self._readiness)
                    rows, lost = [], False
                letters = await self._send_letters()
                rows = await self._send(rows) if rows else await self._read(self.progress.position)
            except Away as away:
                _log.warning("sending failed, the tail is read again", part=self._part, why=str(away))
                asked_again[self._part] += 1
                lost = True
            else:
                if not rows and not letters:
                    await self._journal.changed(POLL_S)

    def reached(self) -> Reached:
        """Tell how far the outputs have come."""
        return Reached(self.progress.position, self.progress.letter)

    async def _resume(self, start: int) -> None:
        """Find the place to go on from, in the outputs themselves.

        Where nothing is there this begins anew, unless it published before: then the records went, and are not sent
        again in silence.
        """
        last = await self._events.tail()
        if last is None and self.progress.position > start:
            raise empty_now(self._events.partition, self._events.topic)
        self.progress.position = start if last is None else await self._stored(last)
        self._letters_due = 0.0
        letter = await self._letters.tail()
        if letter is None and self.progress.letter >= 0:
            raise empty_now(self._letters.partition, self._letters.topic)
        self.progress.letter = -1 if letter is None else _number(letter, "offset")

    async def _stored(self, last: Record) -> int:
        """Give the position at which the journal has what was published last."""
        place = place_of(last)
        if place is None:
            raise _not_ours(last, "ledger and sequence")
        ledger, sequence = place
        row = await self._journal.event(ledger, sequence)
        if row is None or row.data != last.value:
            raise Unexpected(
                f"event {sequence} of ledger {ledger}, published last, at offset {last.offset}, is not in the journal",
                "the database was restored from before it: restore one that has what subscribers have seen",
            )
        return row.position

    async def _send(self, rows: Sequence[Row]) -> list[Row]:
        """Send a page of events. Where there may be more the next one is read meanwhile, and given."""
        ahead = await begun(self._read(rows[-1].position)) if len(rows) >= PART else None
        try:
            if self._scatter is not None:
                await self._scatter(_postings(rows))
                await self._point("posted")
            headers = self._headers
            await self._events.send([Message(row.ledger.encode(), row.data, headers(row)) for row in rows])
        except BaseException:
            if ahead is not None:
                ahead.cancel()
            raise
        self.progress.position = rows[-1].position
        self.tally.events += len(rows)
        await self._point("sent")
        return [] if ahead is None else await ahead

    async def _send_letters(self) -> int:
        """Look for dead letters now and then: they are few, and nobody waits for one as for an event."""
        now = asyncio.get_running_loop().time()
        if now < self._letters_due:
            return 0
        letters = await patiently(
            self._part, lambda: self._journal.dead_letters(self.progress.letter, LETTERS), self._readiness
        )
        self._letters_due = now if letters else now + POLL_S
        if letters:
            await self._letters.send([self._letter(letter) for letter in letters])
            self.progress.letter = letters[-1].offset
            self.tally.dead_letters += len(letters)
        return len(letters)

    async def _read(self, after: int) -> list[Row]:
        return await patiently(self._part, lambda: self._journal.read(after, PAGE), self._readiness)

    def _letter(self, letter: DeadLetter) -> Message:
        said = (("reason", letter.reason.encode()), ("detail", letter.detail.encode()))
        place = ("offset", b"%d" % letter.offset)
        return Message(letter.key, letter.value, (*said, *self._origin, place, *letter.headers))


def _postings(rows: Sequence[Row]) -> list[Message]:
    return [
        Message(f"{posting.ledger}/{posting.account}".encode(), encode_posting(posting), ())
        for row in rows
        if row.tag == TRANSFER
        for posting in postings(row.data)
    ]


def _number(record: Record, name: str) -> int:
    """Read a header of ours that is a number; the first of a name counts."""
    for header, value in record.headers:
        if header == name and value is not None:
            return int(value)
    raise _not_ours(record, name)


def _not_ours(record: Record, missing: str) -> Unexpected:
    return Unexpected(
        f"the last record, at offset {record.offset}, has no header {missing}",
        "something else wrote to this topic: give Defter topics of its own, or another DEFTER_PREFIX",
    )
