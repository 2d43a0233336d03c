"""What events leave behind beside postings, row by row as the read models should have it.

Units, books, refusals, holds and ads: worked out from what SPEC says of each event, with nothing of what keeps
the read models. Rows that are never changed again are told by one number for all; what is open is kept as it stands.
"""

from collections.abc import Iterable
from typing import Final

from schemas.events import (
    AdPosted,
    AdWithdrawn,
    BookDefined,
    CommandRefused,
    Event,
    HoldExpired,
    HoldPlaced,
    HoldReleased,
    LedgerOpened,
    UnitDefined,
)
from schemas.lean import LeanTransfer

_BUILT_IN: Final = ("QAZ", 2, None)
_POSTINGS_A_HOP: Final = 4

Row = tuple[object, ...]


class NotOpen(LookupError):
    """An event is about an ad that is not there."""


class Hold:
    """A hold that is open, and what remains of each of its movements: source, destination, unit, amount."""

    __slots__ = ("changed", "movements", "name", "remaining", "state", "terms")

    def __init__(self, event: HoldPlaced) -> None:
        self.name = str(event.command)
        self.terms = (event.sequence, event.kind, event.book, event.expires_at)
        self.movements = [(one.source, one.destination, one.unit, int(one.amount)) for one in event.movements]
        self.remaining = [amount for *_, amount in self.movements]
        self.state = "open"
        self.changed = event.sequence

    def take(self, source: str, destination: str, unit: str, amount: int) -> None:
        """Take an amount out of what remains: of movements that agree in all else, out of the earlier first."""
        for place, movement in enumerate(self.movements):
            if movement[:3] == (source, destination, unit):
                part = min(amount, self.remaining[place])
                self.remaining[place] -= part
                amount -= part

    def rest(self) -> list[tuple[str, str, int]]:
        """Give back what remains: source, unit, and less than nothing."""
        given = [
            (source, unit, -left) for (source, _, unit, _), left in zip(self.movements, self.remaining, strict=True)
        ]
        self.remaining = [0] * len(given)
        return given

    def row(self) -> Row:
        """Give what is to be read of it."""
        columns = tuple(zip(*self.movements, strict=True))
        return (self.name, *self.terms, *columns, tuple(self.remaining), self.state, self.changed)


class Ad:
    """An ad, and how much of it was taken."""

    __slots__ = ("changed", "offer", "sequence", "state", "taken")

    def __init__(self, event: AdPosted) -> None:
        limit = None if event.limit is None else int(event.limit)
        self.offer = (event.account, event.base, event.quote, event.rate, limit)
        self.taken = 0
        self.state = "open"
        self.sequence = self.changed = event.sequence

    def row(self) -> Row:
        """Give what is to be read of it."""
        return (*self.offer, self.taken, self.state, self.sequence, self.changed)


class Registers:
    """What the events of one ledger left behind so far. `told` has a number for each list of rows, in order."""

    def __init__(self) -> None:
        self.told: dict[str, int] = {}
        self.ads: dict[str, Ad] = {}
        self._open: dict[str, Hold] = {}
        self._ended = 0
        self._held: dict[tuple[str, str], int] = {}

    def holds(self) -> int:
        """Return a number for all holds, whatever their order: those that ended, and those that are open."""
        return self._ended + sum(told(0, hold.row()) for hold in self._open.values())

    def take(self, event: Event) -> None:
        """Take in an event that is no transfer. Raises `NotOpen`."""
        match event:
            case LedgerOpened():
                self._tell("units", *_BUILT_IN, event.sequence)
            case UnitDefined():
                self._tell("units", event.unit, event.scale, event.name, event.sequence)
            case BookDefined():
                lists = (event.units, event.flags, event.accounts)
                self._tell("book_versions", event.book, event.version, event.sequence, event.name, *lists)
            case CommandRefused():
                details = tuple(part for pair in event.details.items() for part in pair)
                self._tell("refusals", event.sequence, event.command_type, str(event.reason), details)
            case HoldPlaced():
                hold = self._open[str(event.command)] = Hold(event)
                self._step(hold, event.sequence, [(source, unit, amount) for source, _, unit, amount in hold.movements])
            case HoldReleased() | HoldExpired():
                self._end(event.hold, event.sequence, "expired" if isinstance(event, HoldExpired) else "released")
            case AdPosted():
                self.ads[event.ad] = Ad(event)
            case AdWithdrawn():
                ad = self._ad(event.ad)
                ad.state, ad.changed = "withdrawn", event.sequence
            case _:
                pass

    def capture(self, sequence: int, name: str, transfer: LeanTransfer) -> None:
        """Take in that some of a hold, which is open, was moved."""
        hold = self._open[name]
        steps = []
        for out, into in zip(transfer.postings[::2], transfer.postings[1::2], strict=True):
            hold.take(out.account, into.account, out.unit, into.amount)
            steps.append((out.account, out.unit, out.amount))
        if transfer.final:
            steps += hold.rest()
        if not any(hold.remaining):
            hold.state = "captured"
        self._step(hold, sequence, steps)

    def exchange(self, sequence: int, transfer: LeanTransfer) -> None:
        """Take in what was taken of ads. Raises `NotOpen`."""
        for name, into in zip(transfer.ads, transfer.postings[1::_POSTINGS_A_HOP], strict=False):
            ad = self._ad(name)
            ad.taken += into.amount
            ad.changed = sequence

    def _ad(self, name: str) -> Ad:
        ad = self.ads.get(name)
        if ad is None or ad.state != "open":
            raise NotOpen(f"ad {name} is not open")
        return ad

    def _end(self, name: str, sequence: int, state: str) -> None:
        hold = self._open[name]
        hold.state = state
        self._step(hold, sequence, hold.rest())

    def _step(self, hold: Hold, sequence: int, steps: Iterable[tuple[str, str, int]]) -> None:
        """Note what became of a hold, and what each of its sources has held since."""
        hold.changed = sequence
        touched = {}
        for account, unit, amount in steps:
            touched[account, unit] = self._held[account, unit] = self._held.get((account, unit), 0) + amount
        for place in sorted(touched):
            self._tell("held_lines", sequence, *place, touched[place])
        self._tell("hold_changes", sequence, hold.name, tuple(hold.remaining), hold.state)
        if hold.state != "open":
            self._ended += told(0, self._open.pop(hold.name).row())

    def _tell(self, table: str, *row: object) -> None:
        self.told[table] = told(self.told.get(table, 0), row)


def told(before: int, row: Row) -> int:
    """Return the number that stands for a row, and for all before it.

    Text is hashed under a key of the process, and numbers are not: -1 and -2 have one hash. So a row is hashed as text.
    """
    return hash((before, repr(row)))
