"""Looks at events as they come, knowing nothing of the rules, and says what must never be.

It adds up for itself what the ledger says of each posting, hold and account.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from domain.clearing import clearing
from domain.state import Ledger, Totals
from schemas.events import (
    AccountChanged,
    Event,
    HeldMovement,
    HoldExpired,
    HoldPlaced,
    HoldReleased,
    Posting,
    TransferPosted,
)
from schemas.values import Policy

Place = tuple[str, str]
"""Account and unit."""
Pot = tuple[str, str, str]
"""Source, destination and unit."""

LEAST: Final = {Policy.NO_OVERDRAFT: 0}


@dataclass
class Auditor:
    """What the events of one ledger add up to."""

    sequence: int = 0
    at: str = ""
    postings: dict[Place, list[Posting]] = field(default_factory=lambda: defaultdict(list))
    totals: dict[Place, Totals] = field(default_factory=lambda: defaultdict(Totals))
    accounts: dict[str, AccountChanged] = field(default_factory=dict)
    holds: dict[str, Counter[Pot]] = field(default_factory=dict)
    moved: dict[int, Counter[Pot]] = field(default_factory=dict)
    reversed: set[int] = field(default_factory=set)
    outcomes: set[str] = field(default_factory=set)

    def look(self, event: Event) -> None:
        """Take one more event in, and check what must be so after any event."""
        assert event.sequence == self.sequence + 1
        assert event.at >= self.at
        self.sequence, self.at = event.sequence, event.at
        if event.command is not None:
            assert event.command not in self.outcomes, "one id, one outcome"
            self.outcomes.add(event.command)
        match event:
            case TransferPosted():
                self._transfer(event)
            case HoldPlaced():
                self._hold(str(event.command), _promised(event.movements))
            case HoldReleased() | HoldExpired():
                assert +self.holds[event.hold] == _promised(event.movements)
                self._end(event.hold)
            case AccountChanged():
                self.accounts[event.account] = event
            case _:
                pass
        self._floors()

    def compare(self, ledger: Ledger) -> None:
        """Check that the ledger says the same."""
        for (account, unit), totals in self.totals.items():
            assert ledger.totals(account, unit).figures == totals.figures, (account, unit)
        assert ledger.holds.keys() == self.holds.keys()
        for unit in {unit for _, unit in self.totals}:
            of_unit = [totals for place, totals in self.totals.items() if place[1] == unit]
            assert sum(totals.balance for totals in of_unit) == 0
            assert sum(totals.debits for totals in of_unit) == sum(totals.credits for totals in of_unit)
        self._clearings()

    def _transfer(self, event: TransferPosted) -> None:
        sums = Counter[str]()
        for posting in event.postings:
            amount, totals = int(posting.amount), self.totals[posting.account, posting.unit]
            totals.debits -= min(amount, 0)
            totals.credits += max(amount, 0)
            assert (posting.debits, posting.credits) == (str(totals.debits), str(totals.credits))
            sums[posting.unit] += amount
            self.postings[posting.account, posting.unit].append(posting)
        assert not any(sums.values()), "per unit a transfer adds up to zero"
        if event.hold is not None:
            self._capture(event, event.hold)
        if event.reverses is not None:
            self._reversal(event, event.reverses)
        in_parts = event.kind != "envelope" if event.reverses is None else event.reverses in self.moved
        if in_parts:
            self.moved[event.sequence] = _pots(event)

    def _capture(self, event: TransferPosted, hold: str) -> None:
        for (source, destination, unit), amount in _pots(event).items():
            left = self.holds[hold]
            left[source, destination, unit] -= amount
            assert left[source, destination, unit] >= 0, "never more than was held"
            self.totals[source, unit].held -= amount
        if event.final or not +self.holds[hold]:
            self._end(hold)

    def _reversal(self, event: TransferPosted, original: int) -> None:
        if original not in self.moved:
            assert original not in self.reversed, "an envelope is reversed once"
            self.reversed.add(original)
            return
        left = self.moved[original]
        for (source, destination, unit), amount in _pots(event).items():
            left[destination, source, unit] -= amount
            assert left[destination, source, unit] >= 0, "never more than was moved"

    def _hold(self, hold: str, pots: Counter[Pot]) -> None:
        self.holds[hold] = pots
        for (source, _, unit), amount in pots.items():
            self.totals[source, unit].held += amount

    def _end(self, hold: str) -> None:
        for (source, _, unit), amount in self.holds.pop(hold).items():
            self.totals[source, unit].held -= amount

    def _floors(self) -> None:
        for (account, unit), totals in self.totals.items():
            said = self.accounts[account]
            least = int(said.floor) if said.floor is not None else LEAST.get(said.policy)
            assert least is None or totals.available >= least, f"{account} is below its floor in {unit}"

    def _clearings(self) -> None:
        for place, postings in self.postings.items():
            totals = self.totals[place]
            unconsumed = opened = 0
            for posting in postings:
                amount = int(posting.amount)
                divided = clearing(amount, int(posting.debits), int(posting.credits), totals)
                assert min(divided) >= 0
                assert sum(divided) == abs(amount)
                sign = 1 if amount > 0 else -1
                unconsumed += sign * (divided.reserved + divided.open)
                opened += sign * divided.open
            assert unconsumed == totals.balance
            assert totals.available < 0 or opened == totals.available


def _promised(movements: Iterable[HeldMovement]) -> Counter[Pot]:
    pots = Counter[Pot]()
    for movement in movements:
        pots[movement.source, movement.destination, movement.unit] += int(movement.amount)
    return pots


def _pots(event: TransferPosted) -> Counter[Pot]:
    pots = Counter[Pot]()
    for out, into in zip(event.postings[::2], event.postings[1::2], strict=True):
        assert int(out.amount) == -int(into.amount)
        pots[out.account, into.account, into.unit] += int(into.amount)
    return pots
