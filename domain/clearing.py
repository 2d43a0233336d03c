"""The state of a posting, from running totals alone.

Postings of an account in a unit are consumed first in, first out, and nothing is ever rewritten.

Law: what is not consumed of all postings, signed, adds up to the balance; what is open adds up to `available`, wherever
that is not below zero.

Source:
    Unspent outputs, as in Bitcoin; consumption by position in a running total, so that no posting is ever touched
    again.
"""

from enum import StrEnum
from typing import NamedTuple

from domain.state import Totals


class PostingState(StrEnum):
    """How far a posting is consumed."""

    ACTIVE = "active"
    PENDING = "pending"
    INACTIVE = "inactive"


class Clearing(NamedTuple):
    """How the amount of a posting is divided, in minimal parts; the three add up to it, without its sign."""

    consumed: int
    reserved: int
    open: int

    @property
    def state(self) -> PostingState:
        """Name the state."""
        if self.open:
            return PostingState.ACTIVE
        return PostingState.PENDING if self.reserved else PostingState.INACTIVE


def clearing(amount: int, debits: int, credits_: int, totals: Totals) -> Clearing:
    """Divide a posting.

    >>> clearing(100, debits=0, credits_=100, totals=Totals(debits=60, credits=100))
    Clearing(consumed=60, reserved=0, open=40)

    Args:
        amount: signed, of the posting.
        debits: the account's total just after the posting.
        credits_: likewise.
        totals: of the account in that unit, at the time of asking.
    """
    if amount < 0:
        consumed = _covered(debits + amount, debits, totals.credits)
        return Clearing(consumed, 0, -amount - consumed)
    start = credits_ - amount
    consumed = _covered(start, credits_, totals.debits)
    spoken_for = _covered(start, credits_, totals.debits + totals.held)
    return Clearing(consumed, spoken_for - consumed, amount - spoken_for)


def _covered(start: int, end: int, mark: int) -> int:
    """How much of the stretch from `start` to `end` lies up to `mark`."""
    return max(0, min(end, mark) - start)
