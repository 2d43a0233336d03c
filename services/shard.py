"""A shard in memory: its ledgers, and what they decided that is not yet looked up in the journal.

Law: what is decided here stands in no doubt. A batch is decided on top of the one that is still being committed; so
what that one brought about (its ids, its events) is kept here, in generations, until a recall that began after its
commit is in use.

The story: `services.writer` reads records (`services.reading`), asks the journal for `wanted`, and hands both to
`decide`. The `Draft` then goes to `Journal.append`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from domain.decide import advance
from domain.facts import NO_FACTS, Facts, wanted
from domain.ledger import apply
from domain.state import Ledger
from schemas.codec import decode_event, encode_event, id_key
from schemas.commands import Command, OpenLedger, Tick
from schemas.events import Event, TransferPosted
from schemas.reasons import DeadReason
from services.journal.ports import DeadLetter, Entry, Fingerprint, Id, Key, Recalled, Row, Wanted
from services.kafka.topics import partition_of
from services.reading import Reading, dead

NOTHING_RECALLED: Final = Recalled({}, {}, {})

Place = tuple[str, int]
"""Ledger and sequence."""


@dataclass(slots=True)
class Draft:
    """What a batch brought about, in order: to be stored together. It is a generation of memory as well."""

    entries: list[Entry] = field(default_factory=list)
    ids: list[Id] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    duplicates: int = 0
    outcomes: dict[Key, tuple[Fingerprint, Event]] = field(default_factory=dict)
    events: dict[Place, Event] = field(default_factory=dict)
    reversals: dict[Place, list[Event]] = field(default_factory=dict)


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
            if isinstance(reading, Reading) and type(reading.command) is not Tick:
                ids.append(reading.key)
                transfer, sequences = wanted(reading.command)
                if transfer is not None:
                    transfers.append(id_key(reading.command.ledger, transfer))
                places.extend((reading.command.ledger, sequence) for sequence in sequences)
        return Wanted(ids, transfers, places)

    def begin(self) -> Draft:
        """Begin a batch. Its draft joins what is remembered here until `forget`."""
        draft = Draft()
        self._recent.append(draft)
        return draft

    def decide(self, reading: Reading | DeadLetter, recalled: Recalled, draft: Draft) -> None:
        """Decide one record on top of all before it, and add to the draft what comes of it.

        Args:
            reading: the next of the partition.
            recalled: the answer to `wanted`, of this record's batch.
            draft: of this record's batch.
        """
        if isinstance(reading, Reading):
            self._decide(reading, recalled, draft)
        else:
            draft.dead_letters.append(reading)

    def forget(self, drafts: int) -> None:
        """Let go of the oldest drafts: a recall that is in use knows them."""
        del self._recent[:drafts]

    def _decide(self, reading: Reading, recalled: Recalled, draft: Draft) -> None:
        record, at, command, key, fingerprint = reading
        ledger = self.ledgers.get(command.ledger)
        if ledger is None:
            if partition_of(command.ledger, self.partitions) != self.number:
                draft.dead_letters.append(
                    dead(record, DeadReason.WRONG_PARTITION, f"{command.ledger} lives elsewhere - at `$.ledger`")
                )
                return
            if type(command) is not OpenLedger:
                draft.dead_letters.append(
                    dead(record, DeadReason.UNKNOWN_LEDGER, f"{command.ledger} was never opened - at `$.ledger`")
                )
                return
            ledger = self.ledgers[command.ledger] = Ledger(command.ledger)
            draft.opened.append(command.ledger)
        if type(command) is Tick:
            for event in advance(ledger, command, at):
                _record(event, draft)
            return
        known = self._known(key, recalled)
        if known is not None:
            if known == fingerprint:
                draft.duplicates += 1
            else:
                draft.dead_letters.append(
                    dead(record, DeadReason.ID_REUSED, "the id has its outcome, for other content - at `$.id`")
                )
            return
        for event in advance(ledger, command, at, self._facts(command, recalled)):
            _record(event, draft)
        draft.outcomes[key] = (fingerprint, event)
        reverses = event.reverses if type(event) is TransferPosted else None
        draft.ids.append(Id(key, fingerprint, command.ledger, event.sequence, reverses))

    def _known(self, key: Key, recalled: Recalled) -> Fingerprint | None:
        """Find the content that an id stands for; None where it has no outcome yet."""
        for draft in self._recent:
            if key in draft.outcomes:
                return draft.outcomes[key][0]
        known = recalled.ids.get(key)
        return None if known is None else known.fingerprint

    def _facts(self, command: Command, recalled: Recalled) -> Facts:
        transfer, sequences = wanted(command)
        if transfer is not None:
            return self._reversible(command.ledger, id_key(command.ledger, transfer), recalled)
        if sequences:
            found = ((sequence, self._event((command.ledger, sequence), recalled)) for sequence in sequences)
            return Facts(events={sequence: event for sequence, event in found if event is not None})
        return NO_FACTS

    def _reversible(self, ledger: str, key: Key, recalled: Recalled) -> Facts:
        """Put together what is to be reversed, what was reversed of it, and whether it is, at its root, an envelope."""
        told = [decode_event(data) for data in recalled.transfers.get(key, ())]
        for draft in self._recent:
            if key in draft.outcomes:
                told = [draft.outcomes[key][1]]
        if not told or not isinstance(told[0], TransferPosted):
            return NO_FACTS
        reversals = {event.sequence: event for event in told[1:]}
        for draft in self._recent:
            reversals |= {event.sequence: event for event in draft.reversals.get((ledger, told[0].sequence), ())}
        root: Event | None = told[0]
        while isinstance(root, TransferPosted) and root.reverses is not None:
            root = self._event((ledger, root.reverses), recalled)
        whole = isinstance(root, TransferPosted) and root.kind == "envelope"
        return Facts(told[0], tuple(reversals[sequence] for sequence in sorted(reversals)), whole)

    def _event(self, place: Place, recalled: Recalled) -> Event | None:
        for draft in self._recent:
            if place in draft.events:
                return draft.events[place]
        data = recalled.events.get(place)
        return None if data is None else decode_event(data)


def _record(event: Event, draft: Draft) -> None:
    place = (event.ledger, event.sequence)
    draft.entries.append(Entry(event.ledger, event.sequence, tag_of(event), encode_event(event)))
    draft.events[place] = event
    if type(event) is TransferPosted and event.reverses is not None:
        draft.reversals.setdefault((event.ledger, event.reverses), []).append(event)


def tag_of(event: Event) -> str:
    """Give the tag of an event: its name for ever, under which it is stored."""
    return str(type(event).__struct_config__.tag)
