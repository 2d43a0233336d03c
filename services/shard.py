"""A shard in memory: its ledgers, and what they decided that is not yet looked up in the journal.

Law: what is decided here stands in no doubt. A batch is decided on top of the one that is still being committed; so
what that one brought about (its ids, its events) is kept here, in generations, until a recall that began after its
commit is in use.

The story: `services.writer` reads records (`services.reading`), asks the journal for `wanted`, and hands both to
`decide`. The `Draft` then goes to `Journal.append`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

from domain.decide import decide, lapse
from domain.facts import NO_FACTS, REFERRING, Facts, wanted
from domain.ledger import apply
from domain.state import Ledger
from schemas.codec import decode_event, encode_events, id_key
from schemas.commands import Command, OpenLedger, Tick
from schemas.events import CommandRefused, Event, TransferPosted
from schemas.reasons import DeadReason
from services.journal.ports import DeadLetter, Entry, Fingerprint, Id, Key, Recalled, Row, Wanted
from services.kafka.topics import partition_of
from services.reading import PORTION, Reading, dead

AT_ONCE: Final = 2000
"""So many holds expire in one step, which takes some tens of milliseconds."""

NOTHING_RECALLED: Final = Recalled({}, {}, {})

Place = tuple[str, int]
"""Ledger and sequence."""

_TAGS: Final = {event: str(event.__struct_config__.tag) for event in get_args(Event)}


@dataclass(slots=True)
class Draft:
    """What a batch brought about, in order: to be stored together. It is a generation of memory as well."""

    outcomes: dict[Key, Id] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    duplicates: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    reversals: dict[Place, list[int]] = field(default_factory=dict)
    _entries: list[Entry] = field(default_factory=list)
    _events: list[Event] = field(default_factory=list)
    _places: dict[Place, bytes] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Note what happened. It becomes bytes together with what happens next, or when somebody looks."""
        self._events.append(event)
        if len(self._events) == PORTION:
            self._encode()

    @property
    def entries(self) -> list[Entry]:
        """What happened, as it is to be stored."""
        if self._events:
            self._encode()
        return self._entries

    @property
    def ids(self) -> list[Id]:
        """The ids that have their outcome now."""
        return list(self.outcomes.values())

    def event(self, place: Place) -> bytes | None:
        """Find the event at a place. Few commands ask, so the index grows only when one does."""
        for entry in self.entries[len(self._places) :]:
            self._places[entry.ledger, entry.sequence] = entry.data
        return self._places.get(place)

    def _encode(self) -> None:
        self._entries += [
            Entry(event.ledger, event.sequence, _TAGS[type(event)], data)
            for event, data in zip(self._events, encode_events(self._events), strict=True)
        ]
        self._events.clear()


class Shard:
    """The ledgers of one partition.

    Args:
        number: of the shard, which is that of the partition.
        partitions: how many there are in all; a ledger lives where its name hashes.
    """

    def __init__(self, number: int, partitions: int) -> None:
        """Begin with no ledger."""
        self.number = number
        self.partitions = partitions
        self.ledgers: dict[str, Ledger] = {}
        self._recent: list[Draft] = []

    @property
    def drafts(self) -> int:
        """How many drafts are remembered."""
        return len(self._recent)

    def restore(self, rows: Iterable[Row]) -> None:
        """Fold events of the journal, in order: the state at start is what was live."""
        for row in rows:
            event = decode_event(row.data)
            ledger = self.ledgers.get(row.ledger)
            if ledger is None:
                ledger = self.ledgers[row.ledger] = Ledger(row.ledger)
            apply(ledger, event)

    def wanted(self, readings: Sequence[Reading | DeadLetter]) -> Wanted:
        """Tell what deciding these needs to know of the past."""
        ids: list[Key] = []
        transfers: list[Key] = []
        places: list[tuple[str, int]] = []
        for reading in readings:
            if isinstance(reading, Reading) and type(command := reading.command) is not Tick:
                ids.append(reading.key)
                if type(command) in REFERRING:
                    transfer, sequences = wanted(command)
                    if transfer is not None:
                        transfers.append(id_key(command.ledger, transfer))
                    places.extend((command.ledger, sequence) for sequence in sequences)
        return Wanted(ids, transfers, places)

    def begin(self) -> Draft:
        """Begin a batch. Its draft joins what is remembered here until `forget`."""
        draft = Draft()
        self._recent.append(draft)
        return draft

    def decide(self, reading: Reading | DeadLetter, recalled: Recalled, draft: Draft) -> None:
        """Decide one record on top of all before it, and add to the draft what comes of it. Arguments as of `step`."""
        while not self.step(reading, recalled, draft):
            pass

    def step(self, reading: Reading | DeadLetter, recalled: Recalled, draft: Draft) -> bool:
        """Go on deciding one record: where very many holds expire before it, it takes more than one step.

        Args:
            reading: the next of the partition.
            recalled: the answer to `wanted`, of this record's batch.
            draft: of this record's batch.

        Returns:
            Whether it is decided.
        """
        if not isinstance(reading, Reading):
            draft.dead_letters.append(reading)
            return True
        command = reading.command
        ledger = self.ledgers.get(command.ledger) or self._opened(reading, draft)
        if ledger is None:
            return True
        if type(command) is not Tick:
            known = self._known(reading.key, recalled)
            if known is not None:
                _again(reading, known, draft)
                return True
        at = max(reading.at, ledger.at)
        if ledger.expiring.first <= at:
            for expired in lapse(ledger, at, AT_ONCE):
                draft.add(expired)
            if ledger.expiring.first <= at:
                return False
        if type(command) is not Tick:
            self._decide(ledger, reading, at, recalled, draft)
        return True

    def forget(self, drafts: int) -> None:
        """Let go of the oldest drafts: a recall that is in use knows them."""
        del self._recent[:drafts]

    def _opened(self, reading: Reading, draft: Draft) -> Ledger | None:
        """Open a ledger that is not there yet, or say why this command cannot."""
        record, command = reading.record, reading.command
        if partition_of(command.ledger, self.partitions) != self.number:
            draft.dead_letters.append(
                dead(record, DeadReason.WRONG_PARTITION, f"{command.ledger} lives elsewhere - at `$.ledger`")
            )
            return None
        if type(command) is not OpenLedger:
            draft.dead_letters.append(
                dead(record, DeadReason.UNKNOWN_LEDGER, f"{command.ledger} was never opened - at `$.ledger`")
            )
            return None
        ledger = self.ledgers[command.ledger] = Ledger(command.ledger)
        draft.opened.append(command.ledger)
        return ledger

    def _decide(self, ledger: Ledger, reading: Reading, at: str, recalled: Recalled, draft: Draft) -> None:
        command, key = reading.command, reading.key
        facts = self._facts(command, recalled) if type(command) in REFERRING else NO_FACTS
        outcome = decide(ledger, command, at, facts)
        apply(ledger, outcome)
        draft.add(outcome)
        reverses = None
        if type(outcome) is TransferPosted:
            reverses = outcome.reverses
        elif type(outcome) is CommandRefused:
            draft.refusals[outcome.reason] += 1
        draft.outcomes[key] = Id(key, reading.fingerprint, command.ledger, outcome.sequence, reverses)
        if reverses is not None:
            draft.reversals.setdefault((command.ledger, reverses), []).append(outcome.sequence)

    def _known(self, key: Key, recalled: Recalled) -> Fingerprint | None:
        """Find the content that an id stands for; None where it has no outcome yet."""
        for draft in self._recent:
            if key in draft.outcomes:
                return draft.outcomes[key].fingerprint
        known = recalled.ids.get(key)
        return None if known is None else known.fingerprint

    def _facts(self, command: Command, recalled: Recalled) -> Facts:
        transfer, sequences = wanted(command)
        if transfer is not None:
            return self._reversible(command.ledger, id_key(command.ledger, transfer), recalled)
        found = ((sequence, self._event((command.ledger, sequence), recalled)) for sequence in sequences)
        return Facts(events={sequence: event for sequence, event in found if event is not None})

    def _reversible(self, ledger: str, key: Key, recalled: Recalled) -> Facts:
        """Put together what is to be reversed, and what was reversed of it."""
        told: list[Event | None] = [decode_event(data) for data in recalled.transfers.get(key, ())]
        for draft in self._recent:
            if key in draft.outcomes:
                told = [self._event((ledger, draft.outcomes[key].sequence), recalled)]
        if not told or not isinstance(told[0], TransferPosted):
            return NO_FACTS
        original = told[0]
        reversals = {event.sequence: event for event in told[1:] if event is not None}
        for draft in self._recent:
            for sequence in draft.reversals.get((ledger, original.sequence), ()):
                event = self._event((ledger, sequence), recalled)
                assert event is not None, sequence
                reversals[sequence] = event
        return Facts(original, tuple(reversals[sequence] for sequence in sorted(reversals)))

    def _event(self, place: Place, recalled: Recalled) -> Event | None:
        for draft in self._recent:
            data = draft.event(place)
            if data is not None:
                return decode_event(data)
        data = recalled.events.get(place)
        return None if data is None else decode_event(data)


def _again(reading: Reading, known: Fingerprint, draft: Draft) -> None:
    """Note that an id has its outcome already."""
    if known == reading.fingerprint:
        draft.duplicates += 1
    else:
        draft.dead_letters.append(
            dead(reading.record, DeadReason.ID_REUSED, "the id has its outcome, for other content - at `$.id`")
        )
