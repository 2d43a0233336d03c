"""Preparing: a transfer, resolved against the present state into the envelope that moves the same.

Law: committing what was prepared gives every account the balance that the transfer would have given it, or is refused.
What an account pays, net, is taken from its next postings, whole, first in first out, and what they hold too much goes
back to it as change. Versions are pinned, so that it stands only while the accounts are as they were.

What an account may owe it need not have: where there is nothing whole to consume, the envelope creates what it owes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from domain.envelopes import commit
from domain.facts import Facts
from domain.state import Account, Ledger, Totals
from domain.transfers import post
from schemas.commands import CommitEnvelope, Transfer
from schemas.events import CommandRefused, Posting, TransferPosted
from schemas.values import Creation, Policy

Place = tuple[str, str]
"""Account and unit."""


@dataclass(slots=True)
class Payment:
    """What an account is to pay in a unit, and what of it is found in its postings, in minimal parts."""

    totals: Totals
    amount: int
    may_owe: bool
    consumes: list[str] = field(default_factory=list)
    found: int = 0
    over: bool = False

    def offer(self, posting_id: str, posting: Posting) -> bool:
        """Take the next posting, if more is needed and it is not yet consumed; tell whether it was taken."""
        amount, end = int(posting.amount), int(posting.credits)
        if self.over or amount < 0 or end <= self.totals.debits:
            return False
        if self.may_owe and (self.totals.held or end - amount < self.totals.debits):
            # It could not be consumed whole, and nothing that comes after it is next.
            self.over = True
            return False
        self.consumes.append(posting_id)
        self.found += amount
        self.over = self.found >= self.amount
        return True


class Preparation:
    """A transfer that the rules allow, on its way to an envelope. `begin` makes it.

    Args:
        ledger: as it stands; read, never changed.
        command: the transfer.
        at: the time of the decision, UTC, 24 characters.
        postings: those that the transfer would make.
    """

    def __init__(self, ledger: Ledger, command: Transfer, at: str, postings: Iterable[Posting]) -> None:
        self._ledger = ledger
        self._command = command
        self._at = at
        self._events: dict[int, TransferPosted] = {}
        self._nets: dict[Place, int] = {}
        for posting in postings:
            place = posting.account, posting.unit
            self._nets[place] = self._nets.get(place, 0) + int(posting.amount)
        self._payments = {place: self._payment(place, -net) for place, net in self._nets.items() if net < 0}

    def see(self, event: TransferPosted) -> None:
        """Look through a transfer of the past for postings to consume. All of the ledger's are to be seen, in order."""
        for index, posting in enumerate(event.postings):
            payment = self._payments.get((posting.account, posting.unit))
            if payment and payment.offer(f"{event.sequence}.{index}", posting):
                self._events[event.sequence] = event

    def envelope(self) -> CommitEnvelope | CommandRefused:
        """Give the envelope, under the transfer's id, or why the rules would not let it be committed."""
        command = self._command
        creations = [(place, net) for place, net in self._nets.items() if net > 0]
        creations += [(place, paid.found - paid.amount) for place, paid in self._payments.items()]
        envelope = CommitEnvelope(
            id=command.id,
            ledger=command.ledger,
            metadata=command.metadata,
            consumes=tuple(posting for payment in self._payments.values() for posting in payment.consumes),
            creates=tuple(Creation(account, unit, amount) for (account, unit), amount in creations if amount),
            versions=self._versions(),
            book=command.book,
        )
        outcome = commit(self._ledger, envelope, self._at, Facts(events=self._events))
        return outcome if isinstance(outcome, CommandRefused) else envelope

    def _payment(self, place: Place, amount: int) -> Payment:
        policy = self._ledger.accounts[place[0]].terms.policy
        return Payment(self._ledger.totals(*place), amount, policy is not Policy.NO_OVERDRAFT)

    def _versions(self) -> dict[str, int]:
        """Pin whoever takes part, be it in passing, and whoever the transfer pins."""
        parties = {account for account, _ in self._nets}
        expect = self._command.expect
        if expect and expect.versions:
            parties |= {self._named(party).name for party in expect.versions}
        return {party: self._ledger.accounts[party].version for party in sorted(parties)}

    def _named(self, party: str) -> Account:
        account = self._ledger.named(party)
        assert account is not None, party
        return account


def begin(ledger: Ledger, command: Transfer, at: str) -> Preparation | CommandRefused:
    """Ask of the transfer all that the rules ask, and begin to resolve it, or say why not.

    Every transfer of the ledger is then to be shown to `Preparation.see`, in order, before `envelope` is asked for.
    """
    posted = post(ledger, command, at)
    return posted if isinstance(posted, CommandRefused) else Preparation(ledger, command, at, posted.postings)
