"""Accounts, holds and sums are those of a plain fold, now and as of every sequence."""

from collections.abc import AsyncIterator

import pytest

from domain.ledger import apply
from domain.state import Ledger
from schemas.events import HoldPlaced
from services.reads import Reads
from tests.projections.stream import events, folded
from tests.services.models import longest, take_in


@pytest.fixture
async def reads(prepared: str) -> AsyncIterator[Reads]:
    """Read models of all that can happen."""
    take_in(prepared, events(), page=600)
    reads = Reads(prepared)
    yield reads
    await reads.close()


async def test_accounts_are_shown_by_name(reads: Reads) -> None:
    for name, ledger in folded(events()).items():
        first = await reads.accounts(name, most=2)
        rest = await reads.accounts(name, after=first.accounts[-1].account if first.accounts else "")

        shown = {one.account: one for one in (*first.accounts, *rest.accounts)}
        assert list(shown) == sorted(ledger.accounts)
        for account in ledger.accounts.values():
            one = shown[account.name]
            assert (one.version, one.state) == (account.version, account.terms.state or "open")
            assert (one.policy, one.floor, one.alias) == (account.terms.policy, account.terms.floor, account.alias)


async def test_the_trial_balance_is_zero(reads: Reads) -> None:
    for name in folded(events()):
        assert all(one.balance == 0 for one in (await reads.trial_balance(name)).units)
    assert any([(await reads.trial_balance(name)).units for name in folded(events())])


async def test_accounts_holds_and_sums_are_those_of_a_plain_fold_as_of_every_sequence(reads: Reads) -> None:
    ledger = Ledger(longest()[0].ledger)
    for event in longest():
        apply(ledger, event)

        accounts = (await reads.accounts(ledger.name, as_of=event.sequence)).accounts
        holds = (await reads.holds(ledger.name, as_of=event.sequence)).holds
        sums = (await reads.trial_balance(ledger.name, as_of=event.sequence)).units

        assert {one.account: (one.version, one.alias) for one in accounts} == {
            account.name: (account.version, account.alias) for account in ledger.accounts.values()
        }
        assert {one.hold: (one.movements, one.remaining, one.expires_at) for one in holds} == {
            hold.id: (
                [
                    (part.source, part.destination, part.unit, amount)
                    for part, amount in zip(hold.parts, placed, strict=True)
                ],
                [part.remaining for part in hold.parts],
                hold.expires_at,
            )
            for hold in ledger.holds.values()
            for placed in [amounts_of(hold.id)]
        }
        moved = [place for places in ledger.places.values() for place in places.values()]
        assert sum(one.debits for one in sums) == sum(one.debits for one in moved)
        assert all(one.balance == 0 for one in sums)
    assert (await reads.trial_balance(ledger.name)).units == sums


def amounts_of(hold: str) -> list[int]:
    placed = next(event for event in longest() if isinstance(event, HoldPlaced) and event.command == hold)
    return [int(movement.amount) for movement in placed.movements]


async def test_holds_may_be_those_of_one_account_and_those_that_ended(reads: Reads) -> None:
    name = longest()[0].ledger
    placed = [event for event in longest() if isinstance(event, HoldPlaced)]
    account = placed[0].movements[0].destination

    ended = (await reads.holds(name, ended=True)).holds
    of_one = (await reads.holds(name, account, ended=True)).holds
    rest = (await reads.holds(name, ended=True, after=ended[0].hold, most=2)).holds

    assert [one.hold for one in ended] == sorted(event.command or "" for event in placed)
    assert {one.hold for one in of_one} == {
        event.command for event in placed if any(account in {one.source, one.destination} for one in event.movements)
    }
    assert rest == ended[1:3]
