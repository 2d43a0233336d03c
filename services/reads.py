"""Answers questions about one shard's ledgers from the read models.

How they are asked: `projections.questions`, `projections.listings`. What only the journal knows: `services.outcomes`.

Law: an answer shows one state, and says as of which sequence it is. Whoever has just written asks for a minimum
sequence and gets an answer that has it, or is told how far the read models are.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import psycopg
from msgspec import Struct

from domain.clearing import Clearing, clearing
from domain.state import Totals
from projections import generations, listings
from projections.generations import NotPrepared
from projections.listings import Account, Held, Moved
from projections.questions import Balance, Line, Place, Questions, Span, Standing
from services.errors import Away, Unexpected
from services.journal import answers
from services.journal.one_thread import OneThread
from services.migrations import READER
from services.projector import REMEDY, connected

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
        self._dsn = dsn
        self._min_sequence = min_sequence
        self._wait_s = wait_s
        self._role = role
        self._connection: psycopg.Connection[Any] | None = None
        self._thread = OneThread("reads", self._disconnect)

    async def balances(self, ledger: str, party: str, as_of: int | str | None = None) -> Balances:
        """Tell what an account has, by its name or alias; as of a sequence or a time, if one is said."""

        def question(ask: Questions, standing: Standing) -> Balances:
            account, at = _account(ask, ledger, party), _at(ask, ledger, standing, as_of)
            return Balances(account, at, ask.scales(ledger), ask.balances(ledger, account, at.sequence))

        return await self._ask(ledger, question)

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

        def question(ask: Questions, standing: Standing) -> Statement:
            account, at = _account(ask, ledger, party), _at(ask, ledger, standing, as_of)
            lines = ask.statement(ledger, account, Span(most, unit, after, at.sequence))
            balances = ask.balances(ledger, account, at.sequence)
            totals = {one.unit: Totals(one.debits, one.credits, one.held) for one in balances}
            shown = [Shown(line, clearing(line.amount, line.debits, line.credits, totals[line.unit])) for line in lines]
            return Statement(account, at, ask.scales(ledger), shown)

        return await self._ask(ledger, question)

    async def accounts(
        self, ledger: str, after: str = "", most: int = 1000, as_of: int | str | None = None
    ) -> Accounts:
        """Show accounts as they stand, or stood, by name: those whose names come after `after`."""

        def question(ask: Questions, standing: Standing) -> Accounts:
            at = _at(ask, ledger, standing, as_of)
            return Accounts(at, listings.accounts(ask, ledger, after, most, at.sequence))

        return await self._ask(ledger, question)

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

        def question(ask: Questions, standing: Standing) -> Holds:
            account, at = party and _account(ask, ledger, party), _at(ask, ledger, standing, as_of)
            which = listings.Which(account, after, most, at.sequence, ended=ended)
            return Holds(at, ask.scales(ledger), listings.holds(ask, ledger, which))

        return await self._ask(ledger, question)

    async def trial_balance(self, ledger: str, as_of: int | str | None = None) -> TrialBalance:
        """Show what left all accounts and what arrived."""

        def question(ask: Questions, standing: Standing) -> TrialBalance:
            at = _at(ask, ledger, standing, as_of)
            sums = listings.trial_balance(ask, ledger, None if as_of is None else at.sequence)
            return TrialBalance(at, ask.scales(ledger), sums)

        return await self._ask(ledger, question)

    async def scales(self, ledger: str) -> dict[str, int]:
        """Give the number of decimal places of each unit."""
        return await self._ask(ledger, lambda ask, _: ask.scales(ledger))

    async def standing(self, ledger: str) -> Standing:
        """Tell how far the read models of a ledger have come."""
        return await self._ask(ledger, lambda _, standing: standing)

    async def close(self) -> None:
        """Let go of the connection. Never raises."""
        self._thread.stop()

    async def _ask(self, ledger: str, question: Callable[[Questions, Standing], _T]) -> _T:
        """Ask until the answer has the minimum sequence, or the time to wait is over."""
        until = time.monotonic() + self._wait_s
        while True:
            try:
                return await self._thread.run(partial(self._answer, ledger, question))
            except Behind:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_LOOK_AGAIN_S)

    def _answer(self, ledger: str, question: Callable[[Questions, Standing], _T]) -> _T:
        """Answer in one transaction that sees one state, of one generation."""
        try:
            with answers.understood(), self._connected().transaction(), self._connected().cursor() as cursor:
                ask = Questions(cursor, generations.find(cursor).schema)
                return question(ask, self._standing(ask, ledger))
        except NotPrepared as not_prepared:
            raise Unexpected(str(not_prepared), REMEDY) from None
        except Away:
            self._disconnect()
            raise

    def _standing(self, ask: Questions, ledger: str) -> Standing:
        standing = ask.standing(ledger)
        sequence = standing.sequence if standing else 0
        if sequence < self._min_sequence:
            raise Behind(ledger, self._min_sequence, sequence)
        if standing is None:
            raise NotThere(f"ledger {ledger} does not exist")
        return standing

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = connected(self._dsn, "defter-reads", self._role)
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _at(ask: Questions, ledger: str, standing: Standing, as_of: int | str | None) -> Standing:
    """Give the sequence and time that an answer is as of; for a time, those of the last event that is not after it.

    Raises:
        NotThere: the ledger has no such sequence yet.
    """
    if as_of is None:
        return standing
    if isinstance(as_of, str):
        sequence = min(ask.sequence_at(ledger, as_of), standing.sequence)
    elif as_of <= standing.sequence:
        sequence = as_of
    else:
        raise NotThere(f"ledger {ledger} has come to sequence {standing.sequence}, not to {as_of}")
    return Standing(sequence, ask.time_of(ledger, sequence))


def _account(ask: Questions, ledger: str, party: str) -> str:
    account = ask.account(ledger, party)
    if account is None:
        raise NotThere(f"account {party} does not exist in ledger {ledger}")
    return account
