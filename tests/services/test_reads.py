"""Answers from the read models show one state, say as of which sequence it is, and are those of a plain fold."""

from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import psycopg
import pytest

from domain.clearing import clearing
from domain.ledger import apply
from domain.state import Ledger
from projections.questions import Line, Place, Questions, Span
from schemas.events import AccountChanged, TransferPosted
from services.reads import NotThere, Reads, Shown
from tests.projections.stream import events, folded
from tests.services.models import CASH, MAIN, SHOP, hot, longest, take_in


@pytest.fixture
async def reads(prepared: str) -> AsyncIterator[Reads]:
    """Read models of all that can happen, taken in as a few large pages."""
    take_in(prepared, events(), page=600)
    reads = Reads(prepared)
    yield reads
    await reads.close()


@pytest.fixture
async def often(prepared: str) -> AsyncIterator[Reads]:
    """Read models of two accounts that were posted to again and again, in pages of all sizes."""
    end = 0
    for size in (4, 1, 350, 2, 7, 120, 19):
        end += size
        take_in(prepared, hot()[:end], page=1000)
    reads = Reads(prepared)
    yield reads
    await reads.close()


async def test_a_balance_is_that_of_a_plain_fold_as_of_every_sequence(reads: Reads) -> None:
    ledger = Ledger(longest()[0].ledger)
    for event in longest():
        apply(ledger, event)
        for account in ledger.accounts.values():
            answer = await reads.balances(ledger.name, account.name, as_of=event.sequence)

            found = {one.unit: (one.debits, one.credits, one.held) for one in answer.balances}
            assert found == figures(ledger, account.name), (account.name, event.sequence)
            assert (answer.as_of.sequence, answer.as_of.at) == (event.sequence, event.at)


async def test_a_balance_of_now_is_as_of_the_last_sequence(reads: Reads) -> None:
    for ledger in folded(events()).values():
        for account in list(ledger.accounts.values())[:2]:
            answer = await reads.balances(ledger.name, account.name)

            found = {one.unit: (one.debits, one.credits, one.held) for one in answer.balances}
            assert {unit: said for unit, said in found.items() if any(said)} == {
                unit: there for unit, there in figures(ledger, account.name).items() if any(there)
            }
            assert (answer.as_of.sequence, answer.as_of.at) == (ledger.sequence, ledger.at)
            assert answer.scales == ledger.units


async def test_as_of_a_time_is_as_of_the_last_event_that_is_not_after_it(reads: Reads) -> None:
    name = longest()[0].ledger
    account = any_account()
    times = sorted({event.at for event in longest()})
    assert len(times) > 1
    for at in times:
        last = max(event.sequence for event in longest() if event.at <= at)

        exactly = await reads.balances(name, account, as_of=at)
        within = await reads.balances(name, account, as_of=at[:-1] + "999Z")

        assert (exactly.as_of.sequence, exactly.as_of.at) == (last, at)
        assert within == exactly
    before = await reads.balances(name, account, as_of="0001-01-01T00:00:00.000Z")
    assert (before.as_of.sequence, before.balances) == (0, [])


async def test_an_account_may_be_named_by_its_present_alias(reads: Reads) -> None:
    ledgers = folded(events())
    former: set[tuple[str, str]] = set()
    for event in events():
        if isinstance(event, AccountChanged) and event.alias and event.alias not in ledgers[event.ledger].aliases:
            former.add((event.ledger, event.alias))
    present = [(ledger.name, *pair) for ledger in ledgers.values() for pair in ledger.aliases.items()]
    assert present
    assert former

    for name, alias, account in present:
        assert (await reads.balances(name, alias)).account == account.name
    for name, alias in former:
        with pytest.raises(NotThere):
            await reads.balances(name, alias)


async def test_as_of_a_sequence_an_alias_is_that_of_the_account_that_had_it_then(reads: Reads) -> None:
    ledgers: dict[str, Ledger] = {}
    ever: set[tuple[str, str]] = set()
    moved = 0
    for event in events():
        ledger = ledgers.setdefault(event.ledger, Ledger(event.ledger))
        before = dict(ledger.aliases)
        apply(ledger, event)
        ever.update((ledger.name, alias) for alias in ledger.aliases)
        if ledger.aliases != before:
            moved += len(before.keys() - ledger.aliases.keys())
            for _, alias in (one for one in ever if one[0] == ledger.name):
                if owner := ledger.aliases.get(alias):
                    assert (await reads.balances(ledger.name, alias, event.sequence)).account == owner.name
                else:
                    with pytest.raises(NotThere, match=f"as of sequence {event.sequence}$"):
                        await reads.balances(ledger.name, alias, event.sequence)
    assert moved


async def test_a_statement_shows_postings_in_order_with_their_states(reads: Reads) -> None:
    for name, ledger in list(folded(events()).items())[::5]:
        for account in ledger.accounts:
            answer = await reads.statement(name, account, after=(0, -1), most=1000)

            assert answer.lines == expected(name, account, folded(events())[name])


async def test_a_statement_goes_on_after_any_posting(often: Reads) -> None:
    whole = (await often.statement(MAIN, SHOP, after=(0, -1), most=10_000)).lines
    assert [(one.line.sequence, one.line.index) for one in whole] == places(SHOP)
    for most, start in product((1, 7, 100, 10_000), range(0, len(whole), 97)):
        after: Place = (whole[start].line.sequence, whole[start].line.index)

        page = (await often.statement(MAIN, SHOP, after=after, most=most)).lines

        assert page == whole[start + 1 : start + 1 + most]


async def test_the_last_postings_are_shown_unless_said_otherwise(often: Reads) -> None:
    for most, as_of in product((1, 7, 100, 10_000), (2, 4, 5, 6, 200, 354, 355, 356, 357, 502, 503, None)):
        upto = [place for place in places(CASH) if as_of is None or place[0] <= as_of]

        answer = await often.statement(MAIN, CASH, most=most, as_of=as_of)

        assert [(one.line.sequence, one.line.index) for one in answer.lines] == upto[-most:]
        balances = (await often.balances(MAIN, CASH, as_of)).balances
        assert [one.line.balance for one in answer.lines[-1:]] == [one.balance for one in balances]


async def test_a_statement_may_show_one_unit_only(reads: Reads) -> None:
    several = [
        (name, account, units)
        for name, ledger in folded(events()).items()
        for account in ledger.accounts
        if len(units := figures(ledger, account)) > 1
    ]
    assert several
    for name, account, units in several:
        for unit in units:
            answer = await reads.statement(name, account, unit)

            assert {one.line.unit for one in answer.lines} <= {unit}
            assert answer.lines == [
                one for one in expected(name, account, folded(events())[name]) if one.line.unit == unit
            ]


async def test_as_many_lines_as_may_be_asked_for_may_be_asked_for(often: Reads) -> None:
    answer = await often.statement(MAIN, SHOP, most=2**31 - 1)

    assert len(answer.lines) == len((await often.statement(MAIN, SHOP, most=5000)).lines) > 500


async def test_a_statement_tells_what_there_was_before_it_and_after_it(often: Reads) -> None:
    first = await often.statement(MAIN, SHOP, after=(0, -1), most=10)
    last = await often.statement(MAIN, SHOP, most=10)

    assert [one[1:] for one in first.bounds()] == [(0, first.lines[-1].line.balance)]
    before = (await often.statement(MAIN, SHOP, most=11)).lines[0].line.balance
    assert [one[1:] for one in last.bounds()] == [(before, (await often.balances(MAIN, SHOP)).balances[0].balance)]


async def test_a_balance_of_then_and_a_page_of_a_statement_go_along_indexes(often: Reads, prepared: str) -> None:
    with psycopg.connect(prepared) as connection:
        connection.execute("analyze")
        asked: list[str] = []
        questions = _Explaining(connection, asked)
        questions.balances(MAIN, SHOP, 200)
        questions.statement(MAIN, SHOP, Span(50, as_of=300))
        questions.statement(MAIN, SHOP, Span(50, after=(200, 0)))
        questions.heading(MAIN, SHOP, 200)
        questions.heading(MAIN, SHOP, "2026-11-21T09:30:00.125Z")

    assert len(asked) == 5
    for plan in asked:
        assert "Seq Scan" not in plan, plan
        assert "posting_lines_pkey" in plan or "outcome_runs" in plan, plan


class _Explaining(Questions):
    """Questions of which the plan is kept, as the connections of `services.reads` make it."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], asked: list[str]) -> None:
        super().__init__(connection.cursor(), "read_1")
        connection.execute("set enable_seqscan = off")
        self._asked = asked

    def ask(self, statement: str, arguments: Any, **said: str) -> Any:
        rows = super().ask("explain " + statement, arguments, **said).fetchall()
        self._asked.append("\n".join(row[0] for row in rows))
        return super().ask(statement, arguments, **said)


async def test_what_does_not_exist_is_named(reads: Reads) -> None:
    with pytest.raises(NotThere, match="ledger nowhere does not exist"):
        await reads.trial_balance("nowhere")
    with pytest.raises(NotThere, match=f"account nobody does not exist in ledger {longest()[0].ledger}"):
        await reads.balances(longest()[0].ledger, "nobody")
    with pytest.raises(NotThere, match="not to 1000000"):
        await reads.balances(longest()[0].ledger, any_account(), as_of=1_000_000)


def any_account() -> str:
    return next(iter(folded(longest())[longest()[0].ledger].accounts))


def places(account: str) -> list[Place]:
    return [
        (event.sequence, index)
        for event in hot()
        if isinstance(event, TransferPosted)
        for index, posting in enumerate(event.postings)
        if posting.account == account
    ]


def figures(ledger: Ledger, account: str) -> dict[str, tuple[int, int, int]]:
    return {unit: places[account].figures for unit, places in ledger.places.items() if account in places}


def expected(name: str, account: str, ledger: Ledger) -> list[Shown]:
    shown = []
    for event in events():
        if event.ledger == name and isinstance(event, TransferPosted):
            for index, posting in enumerate(event.postings):
                if posting.account == account:
                    numbers = (int(posting.amount), int(posting.debits), int(posting.credits))
                    said = (event.at, event.command or "", event.kind)
                    line = Line(posting.unit, event.sequence, index, *numbers, *said)
                    shown.append(Shown(line, clearing(*numbers, ledger.totals(account, posting.unit))))
    return shown
