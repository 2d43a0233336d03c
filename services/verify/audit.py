"""Adds up the events of one ledger for itself, and says what must never be.

Law: nothing of the writer is used. Neither its rules nor its fold nor its memory: what follows from an event is worked
out here once more, from what SPEC says of it, so that an error there shows here.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final

import msgspec

from schemas.codec import decode_event
from schemas.events import AccountChanged, Event, HeldMovement, HoldExpired, HoldPlaced, HoldReleased, TransferPosted
from schemas.lean import TRANSFER, LeanPosting, LeanTransfer, decode_transfer
from schemas.values import Policy
from services.verify.fault import Check, Fault
from services.verify.registers import NotOpen, Registers, told

Pot = tuple[str, str, str]
"""Source, destination and unit."""

LINE: Final = Struct("!iqiqiqiqiq")
"""A posting as PostgreSQL sends it in an array: sequence, index, amount, debits and credits, each after its width."""

_line: Final = LINE.pack


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


_NOWHERE: Final[dict[str, Place]] = {}


class Audit:
    """What the events of one ledger add up to.

    Args:
        ledger: its name.
    """

    def __init__(self, ledger: str) -> None:
        self.ledger = ledger
        self.sequence = 0
        self.at = ""
        self.outcomes = 0
        self.accounts: dict[str, Terms] = {}
        self.places: dict[str, dict[str, Place]] = {}
        self.registers = Registers()
        self._holds: dict[str, dict[Pot, int]] = {}

    def take(self, sequence: int, tag: str, data: bytes) -> None:
        """Take in the next event.

        Args:
            sequence: its own.
            tag: which event it is.
            data: its bytes.

        Raises:
            Fault: something is not as it must be.
        """
        self.sequence = sequence
        try:
            if tag == TRANSFER:
                transfer = decode_transfer(data)
                self.at = transfer.at
                self.outcomes = hash((self.outcomes, transfer.at, transfer.command, transfer.kind))
                self._transfer(sequence, transfer)
            else:
                event = decode_event(data)
                self.at = event.at
                self.outcomes = hash((self.outcomes, event.at, event.command, None))
                self._other(event)
                self.registers.take(event)
        except NotOpen as error:
            raise self._fault(Check.ADS, str(error)) from None
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise self._fault(Check.BYTES, f"the bytes are no event: {error}") from None

    def _transfer(self, sequence: int, transfer: LeanTransfer) -> None:
        """Add up what a transfer moved. Most events are one: this is where the time goes."""
        unit, moved, index = "", 0, 0
        sums: dict[str, int] = {}
        sources: list[Place] = []
        for posting in transfer.postings:
            if posting.unit != unit:
                if unit:
                    sums[unit] = sums.get(unit, 0) + moved
                unit, moved = posting.unit, 0
                places = self.places.get(unit, _NOWHERE)
            amount = posting.amount
            place = places.get(posting.account) or self._place(posting.account, unit)
            if amount < 0:
                place.debits -= amount
                sources.append(place)
            else:
                place.credits += amount
            if posting.debits != place.debits or posting.credits != place.credits:
                raise self._fault(Check.TOTALS, _other_totals(posting, place))
            line = _line(8, sequence, 8, index, 8, amount, 8, posting.debits, 8, posting.credits)
            place.told = hash((place.told, line))
            moved += amount
            index += 1  # noqa: SIM113 - counting by hand spares a tuple for every posting there is
        if moved or sums:
            sums[unit] = sums.get(unit, 0) + moved
            if any(sums.values()):
                raise self._fault(Check.SUMS, f"its postings add up to {sums}")
        if transfer.hold is not None:
            self._capture(transfer.hold, transfer)
            self.registers.capture(sequence, transfer.hold, transfer)
        if transfer.ads:
            self.registers.exchange(sequence, transfer)
        for place in sources:
            least = place.terms.least
            if least is not None and place.credits - place.debits - place.held < least:
                raise self._below(place)

    def _other(self, event: Event) -> None:
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
        terms.told = told(terms.told, (event.version, event.sequence, *said))
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

    def _below(self, place: Place) -> Fault:
        left = place.credits - place.debits - place.held
        return self._fault(Check.FLOORS, f"an account has {left} left, and its floor is {place.terms.least}")

    def _fault(self, check: Check, detail: str) -> Fault:
        return Fault(check, self.ledger, self.sequence, detail)


def _other_totals(posting: LeanPosting, place: Place) -> str:
    return (
        f"{posting.account} has debits {place.debits} and credits {place.credits} in {posting.unit}, "
        f"and its posting says {posting.debits} and {posting.credits}"
    )


def _pots(movements: Sequence[HeldMovement]) -> dict[Pot, int]:
    pots: dict[Pot, int] = {}
    for movement in movements:
        pot = (movement.source, movement.destination, movement.unit)
        pots[pot] = pots.get(pot, 0) + int(movement.amount)
    return pots
