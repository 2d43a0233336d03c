"""Decides the commands of a partition once more, from its beginning, and compares what comes of them with the journal.

Law: the input log alone determines every byte (SPEC 6). So whatever differs was changed behind the journal's back, but
for what older rules decided: that is told as what it is. Nothing of what is to be proved is taken on trust: what the
journal says of an id or an event counts only up to where deciding again has come.

    records -> read -> Journal.recall, less what is yet to come -> decide -> the rows and ids of the journal
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Final, NamedTuple

from domain.ledger import apply
from domain.state import Ledger
from schemas.codec import decode_event
from services.errors import Unexpected
from services.hindsight import so_far
from services.journal.dead_letters import storable
from services.journal.ports import DeadLetter, Entry, Journal, Known, Recalled, Row, Standing, Wanted
from services.kafka.ports import Inbox
from services.reading import Reading, read_all
from services.shard import Draft, Shard
from services.verify.fault import Check, Fault
from services.writer import RULES

_BATCH: Final = 500
_BYTES: Final = 1 << 20
_WAIT_S: Final = 5.0
_PAGE: Final = 5000


class Release(NamedTuple):
    """From this offset on these rules decided, up to where a later release begins, be it before this one."""

    first_offset: int
    rules: str


class Redecided(NamedTuple):
    """What was compared.

    Args:
        records: how many commands were read.
        events: how many events came of them.
        older: the offsets of commands that other rules decided otherwise than these would.
        fault: the first thing that is not as it must be.
    """

    records: int
    events: int
    older: list[int]
    fault: Fault | None


async def redecide(
    inbox: Inbox,
    journal: Journal,
    partitions: int,
    releases: Sequence[Release] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> Redecided:
    """Decide one partition again.

    Args:
        inbox: the partition of the commands topic.
        journal: of its shard.
        partitions: how many there are.
        releases: which rules decided, in order of epoch.
        progress: is told how many records were read, now and then.

    Raises:
        Away: PostgreSQL or Kafka does not answer.
        Unexpected: the topic does not hold all that was decided.
    """
    again = _Again(inbox.partition, journal, partitions, releases)
    offset = 0
    await inbox.seek(0)
    try:
        while offset < (standing := await journal.standing()).next:
            await _holds_all(inbox, standing)
            taken = await inbox.take(_BATCH, _BYTES, _WAIT_S)
            records = [record for record in taken if record.offset < standing.next]
            await again.decide(read_all(records))
            if records:
                offset = records[-1].offset + 1
                await inbox.seek(offset)
            progress(offset)
        await again.end(offset)
    except Fault as fault:
        return Redecided(offset, again.events, again.older, fault)
    return Redecided(offset, again.events, again.older, None)


async def _holds_all(inbox: Inbox, standing: Standing) -> None:
    bounds = await inbox.bounds()
    if bounds.begin > 0 or bounds.end < standing.next:
        raise Unexpected(
            f"commands partition {inbox.partition} holds the offsets {bounds.begin} up to {bounds.end}, "
            f"and those from 0 up to {standing.next} were decided",
            "what is gone cannot be decided again: bring the whole topic back, or verify without --redecide",
        )


class _Otherwise(Exception):
    """These rules decide otherwise than the journal says."""


class _Again:
    """A shard decided again, beside the journal that it is compared with."""

    def __init__(self, number: int, journal: Journal, partitions: int, releases: Sequence[Release]) -> None:
        self.events = 0
        self.older: list[int] = []
        self._journal = journal
        self._shard = Shard(number, partitions)
        self._releases = releases
        self._rows: list[Row] = []
        self._position = 0
        self._passed: dict[str, int] = {}
        self._told: dict[str, Ledger] = {}
        self._letters: list[DeadLetter] = []
        self._offset = -1

    async def decide(self, readings: Sequence[Reading | DeadLetter]) -> None:
        """Decide a batch, and compare. Raises `Fault`."""
        while readings:
            stored = await self._journal.recall(self._shard.wanted(readings))
            past = so_far(readings, stored, self._last_of)
            self._shard.forget(self._shard.drafts)
            draft = self._shard.begin()
            for number, reading in enumerate(readings, start=1):
                try:
                    await self._decide(reading, past, draft, stored)
                except _Otherwise:
                    # What was drafted is not what happened: the rest is decided on what did.
                    await self._follow(reading, stored)
                    readings = readings[number:]
                    break
            else:
                return

    async def end(self, offset: int) -> None:
        """See that nothing is in the journal that no command brought about. Raises `Fault`."""
        row, letter = await self._next_row(), await self._next_letter()
        if (await self._journal.standing()).next > offset:
            return  # more was decided this very moment
        if row:
            raise Fault(Check.DECISIONS, row.ledger, row.sequence, "no command brought it about")
        if letter:
            raise Fault(Check.DECISIONS, None, None, f"the dead letter at offset {letter.offset} is of no command")

    async def _decide(self, reading: Reading | DeadLetter, past: Recalled, draft: Draft, stored: Recalled) -> None:
        entries, letters = len(draft.entries), len(draft.dead_letters)
        self._shard.decide(reading, past, draft)
        for entry in draft.entries[entries:]:
            await self._compare(reading, entry)
            self.events += 1
        for letter in draft.dead_letters[letters:]:
            if await self._next_letter() != storable(letter):
                raise self._otherwise(reading, None, None, f"offset {letter.offset} is a dead letter: {letter.reason}")
            self._letters.pop()
        made = draft.outcomes.get(reading.key) if isinstance(reading, Reading) else None
        if made and len(draft.entries) > entries and stored.ids.get(made.key) != Known(made.fingerprint, made.sequence):
            detail = "the id of its command is not stored, or for other content, or for another event"
            raise Fault(Check.IDS, made.ledger, made.sequence, detail)

    async def _compare(self, reading: Reading | DeadLetter, entry: Entry) -> None:
        row = await self._next_row()
        if row is None:
            raise self._otherwise(reading, entry.ledger, entry.sequence, "it was decided, and is not in the journal")
        if (row.ledger, row.sequence, row.tag, row.data) != (entry.ledger, entry.sequence, entry.tag, entry.data):
            detail = f"position {row.position} is decided otherwise: {entry.data.decode()}"
            raise self._otherwise(reading, row.ledger, row.sequence, detail)
        self._pass()

    def _otherwise(
        self, reading: Reading | DeadLetter, ledger: str | None, sequence: int | None, detail: str
    ) -> Exception:
        offset = reading.record.offset if isinstance(reading, Reading) else reading.offset
        rules = [release.rules for release in self._releases if release.first_offset <= offset]
        if not rules or rules[-1] == RULES:
            return Fault(Check.DECISIONS, ledger, sequence, detail)
        self.older.append(offset)
        return _Otherwise()

    async def _follow(self, reading: Reading | DeadLetter, stored: Recalled) -> None:
        """Pass over what older rules made of a record, and take the state that the journal says."""
        offset = reading.record.offset if isinstance(reading, Reading) else reading.offset
        letter = await self._next_letter()
        if letter and letter.offset == offset:
            self._letters.pop()
        if not isinstance(reading, Reading):
            return
        ledger = reading.command.ledger
        known = stored.ids.get(reading.key)
        while known and (row := await self._next_row()) and row.ledger == ledger and row.sequence <= known.sequence:
            self._pass()
        self._shard.ledgers.pop(ledger, None)
        if passed := self._passed.get(ledger):
            self._shard.ledgers[ledger] = await self._as_told(ledger, passed)

    async def _as_told(self, ledger: str, sequence: int) -> Ledger:
        """Fold what the journal says of a ledger, on from where it was folded to last. Raises `Fault`."""
        state = self._told.setdefault(ledger, Ledger(ledger))
        while state.sequence < sequence:
            end = min(state.sequence + _PAGE, sequence)
            places = [(ledger, place) for place in range(state.sequence + 1, end + 1)]
            told = (await self._journal.recall(Wanted((), (), places))).events
            for place in places:
                if place not in told:
                    raise Fault(Check.SEQUENCES, *place, "it is missing")
                apply(state, decode_event(told[place]))
        return deepcopy(state)

    def _pass(self) -> None:
        row = self._rows.pop()
        self._passed[row.ledger] = row.sequence

    def _last_of(self, ledger: str) -> int:
        state = self._shard.ledgers.get(ledger)
        return state.sequence if state else 0

    async def _next_row(self) -> Row | None:
        """Look at the next event of the journal, without passing it."""
        if not self._rows:
            self._rows = (await self._journal.read(self._position, _PAGE))[::-1]
            if self._rows:
                self._position = self._rows[0].position
        return self._rows[-1] if self._rows else None

    async def _next_letter(self) -> DeadLetter | None:
        """Look at the next dead letter, without passing it."""
        if not self._letters:
            self._letters = (await self._journal.dead_letters(self._offset, _PAGE))[::-1]
            if self._letters:
                self._offset = self._letters[0].offset
        return self._letters[-1] if self._letters else None
