"""Adds up the events of one ledger for itself, and says what must never be.

Law: nothing of the writer is used. Neither its rules nor its fold nor its memory: what follows from an event is worked
out here once more, from what SPEC says of it, so that an error there shows here.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from schemas.codec import decode_event, id_key
from schemas.events import AccountChanged, Event, HeldMovement, HoldExpired, HoldPlaced, HoldReleased, TransferPosted
from schemas.lean import TRANSFER, LeanPosting, LeanTransfer, decode_transfer
from schemas.values import Policy
from services.journal.streams import Told
from services.verify.fault import Check, Fault

Pot = tuple[str, str, str]
"""Source, destination and unit."""

_FRESH: Final = sha256()
_TIME: Final = 24
_REVERSAL: Final = "reversal"


class Terms:
    """What an account has agreed to: `least` is what may not be undercut; `told` stands for all its versions so far."""

    __slots__ = ("least", "told", "version")

    def __init__(self) -> None:
        self.least: int | None = 0
        self.version = 0
        self.told = 0


class Place:
    """The totals of an account in a unit. `told` stands for every posting so far, in order."""

    __slots__ = ("credits", "debits", "held", "terms", "told")

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.debits = 0
        self.credits = 0
        self.held = 0
        self.told = 0


class Ids:
    """The ids that events of several ledgers used up."""

    __slots__ = ("keys", "ledgers", "reverses", "sequences")

    def __init__(self) -> None:
        self.ledgers: list[str] = []
        self.keys: list[bytes] = []
        self.sequences: list[int] = []
        self.reverses: list[int | None] = []

    def add(self, ledger: str, command: str, sequence: int, reverses: int | None) -> None:
        """Note one more."""
        self.ledgers.append(ledger)
        self.keys.append(id_key(ledger, command))
        self.sequences.append(sequence)
        self.reverses.append(reverses)


class Audit:
    """What the events of one ledger add up to.

    Args:
        ledger: its name.
    """

    def __init__(self, ledger: str) -> None:
        self.ledger = ledger
        self.sequence = 0
        self.sealed = 0
        self.outcomes = 0
        self.accounts: dict[str, Terms] = {}
        self.places: dict[str, dict[str, Place]] = {}
        self._position = 0
        self._at = b""
        self._seal = bytes(32)
        self._heads: dict[str, bytes] = {}
        self._holds: dict[str, dict[Pot, int]] = {}

    def take(self, rows: Sequence[Told], seals: dict[int, bytes], ids: Ids) -> None:
        """Take in the next events, and note the ids that they use up.

        Args:
            rows: as they are stored, in the order of their sequences.
            seals: those stored of these sequences.
            ids: what to add to.

        Raises:
            Fault: something is not as it must be.
        """
        for told in rows:
            _, sequence, tag, data = told
            self._follow(told)
            try:
                if tag == TRANSFER:
                    transfer = decode_transfer(data)
                    self._transfer(sequence, transfer)
                    command, kind, reverses = transfer.command, transfer.kind, None
                    if kind == _REVERSAL:
                        reverses = getattr(decode_event(data), "reverses", None)
                    ids.add(self.ledger, command, sequence, reverses)
                    self.outcomes = hash((self.outcomes, command, kind))
                else:
                    self._other(decode_event(data), ids)
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                raise self._fault(Check.BYTES, f"the bytes are no event: {error}") from None
            if sequence in seals:
                self._compare(sequence, seals[sequence])

    def _follow(self, told: Told) -> None:
        """See that an event is the next, and that its row says of it what its bytes say."""
        position, sequence, tag, data = told
        if sequence != self.sequence + 1:
            raise Fault(Check.SEQUENCES, self.ledger, self.sequence + 1, f"it is missing: {sequence} follows")
        self.sequence = sequence
        if position <= self._position:
            raise self._fault(Check.POSITIONS, f"position {position} is not after {self._position}")
        self._position = position
        head = (self._heads.get(tag) or self._head(tag)) % sequence
        if not data.startswith(head):
            raise self._fault(Check.COLUMNS, f"the row says {head.decode()}…, and its bytes {data[: len(head)]!r}…")
        start = len(head)
        at = data[start : start + _TIME]
        if at < self._at:
            raise self._fault(Check.TIMES, f"its time {at!r} is before that of the event before it, {self._at!r}")
        self._at = at
        link = _FRESH.copy()
        link.update(self._seal + data)
        self._seal = link.digest()

    def _transfer(self, sequence: int, transfer: LeanTransfer) -> None:
        sums: dict[str, int] = {}
        sources: list[Place] = []
        for index, posting in enumerate(transfer.postings):
            account, unit, amount = posting.account, posting.unit, posting.amount
            place = self._place(account, unit)
            debits, credits_ = place.debits, place.credits
            if amount < 0:
                debits = place.debits = debits - amount
                sources.append(place)
            else:
                credits_ = place.credits = credits_ + amount
            if posting.debits != debits or posting.credits != credits_:
                raise self._fault(Check.TOTALS, _other_totals(posting, debits, credits_))
            place.told = hash((place.told, sequence, index, amount, debits, credits_))
            sums[unit] = sums.get(unit, 0) + amount
        for unit, moved in sums.items():
            if moved:
                raise self._fault(Check.SUMS, f"its postings in {unit} add up to {moved}")
        if transfer.hold is not None:
            self._capture(transfer.hold, transfer)
        for place in sources:
            least = place.terms.least
            if least is not None and place.credits - place.debits - place.held < least:
                raise self._below(place)

    def _other(self, event: Event, ids: Ids) -> None:
        if event.command is not None:
            ids.add(self.ledger, event.command, event.sequence, None)
            self.outcomes = hash((self.outcomes, event.command, None))
        else:
            self.outcomes = hash((self.outcomes, None, None))
        match event:
            case AccountChanged():
                self._account(event)
            case HoldPlaced():
                self._hold(event)
            case HoldReleased() | HoldExpired():
                left = {pot: amount for pot, amount in self._held(event.hold).items() if amount}
                if left != _pots(event.movements):
                    raise self._fault(Check.HOLDS, f"of hold {event.hold} remained {left}, and another is given back")
                self._end(event.hold)
            case TransferPosted():
                raise self._fault(Check.COLUMNS, "a transfer stands under another tag")
            case _:
                pass

    def _account(self, event: AccountChanged) -> None:
        terms = self.accounts.setdefault(event.account, Terms())
        if event.version != terms.version + 1:
            raise self._fault(Check.ACCOUNTS, f"version {event.version} of {event.account} follows {terms.version}")
        floor = None if event.floor is None else int(event.floor)
        terms.least = 0 if event.policy is Policy.NO_OVERDRAFT else floor
        terms.version = event.version
        state = event.state or "open"
        said = (event.account_type, str(event.policy), floor, event.flags, event.book, event.alias, state)
        terms.told = hash((terms.told, event.version, event.sequence, *said))
        for of_unit in self.places.values():
            place = of_unit.get(event.account)
            if place and terms.least is not None and place.credits - place.debits - place.held < terms.least:
                raise self._below(place)

    def _hold(self, event: HoldPlaced) -> None:
        pots = self._holds[str(event.command)] = _pots(event.movements)
        for (source, _, unit), amount in pots.items():
            place = self._place(source, unit)
            place.held += amount
            if place.terms.least is not None and place.credits - place.debits - place.held < place.terms.least:
                raise self._below(place)

    def _capture(self, hold: str, transfer: LeanTransfer) -> None:
        pots = self._held(hold)
        for out, into in zip(transfer.postings[::2], transfer.postings[1::2], strict=True):
            pot = (out.account, into.account, into.unit)
            pots[pot] = pots.get(pot, 0) - into.amount
            if pots[pot] < 0:
                raise self._fault(Check.HOLDS, f"more than hold {hold} has left is captured: {pot}")
            self._place(out.account, out.unit).held -= into.amount
        if transfer.final or not any(pots.values()):
            self._end(hold)

    def _held(self, hold: str) -> dict[Pot, int]:
        if hold not in self._holds:
            raise self._fault(Check.HOLDS, f"hold {hold} is not open")
        return self._holds[hold]

    def _end(self, hold: str) -> None:
        for (source, _, unit), amount in self._holds.pop(hold).items():
            self._place(source, unit).held -= amount

    def _place(self, account: str, unit: str) -> Place:
        of_unit = self.places.get(unit)
        if of_unit is None:
            of_unit = self.places[unit] = {}
        place = of_unit.get(account)
        if place is None:
            if account not in self.accounts:
                raise self._fault(Check.ACCOUNTS, f"account {account} was never opened")
            place = of_unit[account] = Place(self.accounts[account])
        return place

    def _compare(self, sequence: int, seal: bytes) -> None:
        before, self.sealed = self.sealed, sequence
        if seal != self._seal:
            of = f"{sequence}" if before + 1 == sequence else f"{before + 1} to {sequence}"
            raise Fault(Check.SEALS, self.ledger, before + 1, f"the seal of {of} is not that of the bytes stored")

    def _head(self, tag: str) -> bytes:
        said = f'{{"type":"{tag}","ledger":"{self.ledger}","sequence":'.replace("%", "%%")
        head = self._heads[tag] = said.encode() + b'%d,"at":"'
        return head

    def _below(self, place: Place) -> Fault:
        left = place.credits - place.debits - place.held
        return self._fault(Check.FLOORS, f"an account has {left} left, and its floor is {place.terms.least}")

    def _fault(self, check: Check, detail: str) -> Fault:
        return Fault(check, self.ledger, self.sequence, detail)


def _other_totals(posting: LeanPosting, debits: int, credits_: int) -> str:
    return (
        f"{posting.account} has debits {debits} and credits {credits_} in {posting.unit}, "
        f"and its posting says {posting.debits} and {posting.credits}"
    )


def _pots(movements: Sequence[HeldMovement]) -> dict[Pot, int]:
    pots: dict[Pot, int] = {}
    for movement in movements:
        pot = (movement.source, movement.destination, movement.unit)
        pots[pot] = pots.get(pot, 0) + int(movement.amount)
    return pots
