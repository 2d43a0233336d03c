"""Answers questions about one shard's ledgers from the read models.

How they are asked: `projections.questions`, `projections.listings`. What only the journal knows: `services.outcomes`.

Law: an answer shows one state, and says as of which sequence it is. Whoever has just written asks for a minimum
sequence and gets an answer that has it, or is told how far the read models are.
"""

import asyncio
import time
from functools import partial
from typing import Final, NamedTuple, TypeVar

from msgspec import Struct

from domain.clearing import Clearing, clearing
from domain.state import Totals
from projections import listings
from projections.listings import Account, Held, Moved
from projections.questions import Balance, Heading, Line, Place, Questions, Span, Standing
from services.journal.one_thread import OneThread
from services.live import Asked, Live, Question
from services.migrations import READER

_T = TypeVar("_T")

_LOOK_AGAIN_S: Final = 0.02


class NotThere(LookupError):
    """What is asked about does not exist, as far as the read models have come. The message names it."""


class Behind(RuntimeError):
    """The read models have not come to the sequence asked for, and the time to wait is over. It says how far."""

    def __init__(self, ledger: str, wanted: int, sequence: int) -> None:
        super().__init__(f"the read models of ledger {ledger} are at sequence {sequence}, not yet at {wanted}")
        self.sequence = sequence


class Balances(Struct, frozen=True):
    """The totals of an account, by unit, as of a sequence. `scales` are the decimal places of the ledger's units."""

    account: str
    as_of: Standing
    scales: dict[str, int]
    balances: list[Balance]


class Shown(Struct, frozen=True):
    """One line of a statement, and how far its posting is consumed by what the statement is as of."""

    line: Line
    clearing: Clearing


class Bounds(NamedTuple):
    """The balance of a unit before and after the postings of a statement."""

    unit: str
    opening: int
    closing: int


class Statement(Struct, frozen=True):
    """Postings of an account, in order, as of a sequence."""

    account: str
    as_of: Standing
    scales: dict[str, int]
    lines: list[Shown]

    def bounds(self) -> list[Bounds]:
        """Give what the account had of each unit before the first of these postings, and after the last."""
        found: dict[str, Bounds] = {}
        for one in (shown.line for shown in self.lines):
            before = found[one.unit].opening if one.unit in found else one.balance - one.amount
            found[one.unit] = Bounds(one.unit, before, one.balance)
        return [found[unit] for unit in sorted(found)]


class Accounts(Struct, frozen=True):
    """Accounts by name, as of a sequence."""

    as_of: Standing
    accounts: list[Account]


class Holds(Struct, frozen=True):
    """Holds by id, as of a sequence."""

    as_of: Standing
    scales: dict[str, int]
    holds: list[Held]


class TrialBalance(Struct, frozen=True):
    """What left all accounts and what arrived, by unit, as of a sequence."""

    as_of: Standing
    scales: dict[str, int]
    units: list[Moved]


class Reads:
    """The read models of one shard, to be asked.

    Every question raises `NotThere` where there is no such ledger or account, `Behind` where the read models have not
    come to `min_sequence`, `Away` where PostgreSQL does not answer, and `Unexpected` where there are no read models.

    Args:
        dsn: the database of the read models.
        min_sequence: what the answers must have.
        wait_s: how long to wait until they do.
        role: whose rights are taken.
    """

    def __init__(self, dsn: str, *, min_sequence: int = 0, wait_s: float = 10.0, role: str = READER) -> None:
        """Know the database; nothing is connected before the first question."""
        self._min_sequence = min_sequence
        self._wait_s = wait_s
        self._live = Live(dsn, role)
        self._thread = OneThread("reads", self._live.close)

    async def balances(self, ledger: str, party: str, as_of: int | str | None = None) -> Balances:
        """Tell what an account has, by its name or alias; as of a sequence or a time, if one is said."""

        def question(ask: Questions, of: Heading) -> Balances:
            return Balances(of.account, of.as_of, of.scales, ask.balances(ledger, of.account, of.as_of.sequence))

        return await self._ask(question, ledger, party, as_of)

    async def statement(
        self,
        ledger: str,
        party: str,
        unit: str | None = None,
        *,
        most: int = 100,
        after: Place | None = None,
        as_of: int | str | None = None,
    ) -> Statement:
        """Show postings of an account, by its name or alias: the last ones, or those that come after one of them.

        Args:
            ledger: whose account.
            party: the account.
            unit: the only one to show, or all.
            most: how many at most.
            after: sequence and index of the posting that they come after; (0, -1) begins at the beginning.
            as_of: a sequence or a time; what is later is not shown, and counts for nothing.
        """

        def question(ask: Questions, of: Heading) -> Statement:
            lines = ask.statement(ledger, of.account, Span(most, unit, after, of.as_of.sequence))
            return Statement(of.account, of.as_of, of.scales, [_shown(*line) for line in lines])

        return await self._ask(question, ledger, party, as_of)

    async def accounts(
        self, ledger: str, after: str = "", most: int = 1000, as_of: int | str | None = None
    ) -> Accounts:
        """Show accounts as they stand, or stood, by name: those whose names come after `after`."""

        def question(ask: Questions, of: Heading) -> Accounts:
            return Accounts(of.as_of, listings.accounts(ask, ledger, after, most, of.as_of.sequence))

        return await self._ask(question, ledger, as_of=as_of)

    async def holds(
        self,
        ledger: str,
        party: str | None = None,
        *,
        ended: bool = False,
        after: str = "",
        most: int = 1000,
        as_of: int | str | None = None,
    ) -> Holds:
        """Show holds as they stand, or stood, by id.

        Args:
            ledger: whose holds.
            party: only those of this account, by its name or alias.
            ended: also those that are not open any more.
            after: those whose ids come after this one.
            most: how many at most.
            as_of: a sequence or a time.
        """

        def question(ask: Questions, of: Heading) -> Holds:
            which = listings.Which(of.account or None, after, most, of.as_of.sequence, ended=ended)
            return Holds(of.as_of, of.scales, listings.holds(ask, ledger, which))

        return await self._ask(question, ledger, party, as_of)

    async def trial_balance(self, ledger: str, as_of: int | str | None = None) -> TrialBalance:
        """Show what left all accounts and what arrived."""

        def question(ask: Questions, of: Heading) -> TrialBalance:
            sums = listings.trial_balance(ask, ledger, None if as_of is None else of.as_of.sequence)
            return TrialBalance(of.as_of, of.scales, sums)

        return await self._ask(question, ledger, as_of=as_of, together=True)

    async def scales(self, ledger: str) -> dict[str, int]:
        """Give the number of decimal places of each unit."""
        return await self._ask(lambda _, of: of.scales, ledger)

    async def close(self) -> None:
        """Let go of the connection. Never raises."""
        self._thread.stop()

    async def _ask(
        self,
        question: Question[_T],
        ledger: str,
        party: str | None = None,
        as_of: int | str | None = None,
        *,
        together: bool = False,
    ) -> _T:
        """Ask until the answer has the minimum sequence, or the time to wait is over.

        Args:
            question: asks what the answer is made of.
            ledger: what it is about.
            party: the account that it is about.
            as_of: a sequence or a time.
            together: it asks for what is so now, and so in one transaction.
        """
        asked = Asked(ledger, party, as_of)

        def checked(ask: Questions, of: Heading) -> _T:
            self._check(of, asked)
            return question(ask, of)

        until = time.monotonic() + self._wait_s
        while True:
            try:
                return await self._thread.run(partial(self._live.answer, asked, checked, together=together))
            except Behind:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_LOOK_AGAIN_S)

    def _check(self, of: Heading, asked: Asked) -> None:
        """See that there is what was asked about."""
        sequence = of.standing.sequence if of.standing else 0
        if sequence < self._min_sequence:
            raise Behind(asked.ledger, self._min_sequence, sequence)
        if of.standing is None:
            raise NotThere(f"ledger {asked.ledger} does not exist")
        if of.as_of.sequence > sequence:
            raise NotThere(f"ledger {asked.ledger} has come to sequence {sequence}, not to {of.as_of.sequence}")
        if asked.party and not of.account:
            then = "" if asked.as_of is None else f" as of sequence {of.as_of.sequence}"
            raise NotThere(f"account {asked.party} does not exist in ledger {asked.ledger}{then}")


def _shown(line: Line, of_unit: Balance) -> Shown:
    totals = Totals(of_unit.debits, of_unit.credits, of_unit.held)
    return Shown(line, clearing(line.amount, line.debits, line.credits, totals))
