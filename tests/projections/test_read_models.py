"""What the read models show is what a plain fold of the same events says."""

from typing import Any

import psycopg
import pytest

from domain.clearing import clearing
from domain.ledger import apply
from domain.state import Ledger
from projections.checkpoint import wire_time
from schemas.events import (
    AccountChanged,
    AdWithdrawn,
    BookDefined,
    CommandRefused,
    Happened,
    HoldPlaced,
    TransferPosted,
)
from tests.projections.stream import events, folded, project, shown, stored


@pytest.fixture
def reads(reads: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Read models into which the events of all scenarios were taken."""
    project(reads, stored(events()), page=97)
    return reads


def test_balances_are_those_of_a_plain_fold(reads: psycopg.Connection[Any]) -> None:
    expected = {
        (ledger.name, account, unit): (*totals.figures, totals.balance, totals.available)
        for ledger in folded(events()).values()
        for unit, places in ledger.places.items()
        for account, totals in places.items()
        if any(totals.figures)
    }

    rows = shown(reads, "balances", "ledger, account, unit, debits, credits, held, balance, available")

    assert {row[:3]: row[3:] for row in rows if any(row[3:])} == expected
    assert any(totals[2] for totals in expected.values()), "some of it is held"


def test_the_last_sequence_of_a_balance_is_that_of_the_event_that_changed_it_last(
    reads: psycopg.Connection[Any],
) -> None:
    ledgers: dict[str, Ledger] = {}
    expected: dict[tuple[str, str, str], int] = {}
    for event in events():
        ledger = ledgers.setdefault(event.ledger, Ledger(event.ledger))
        before = _totals(ledger)
        apply(ledger, event)
        changed = (place for place, totals in _totals(ledger).items() if totals != before.get(place, (0, 0, 0)))
        expected |= {(event.ledger, *place): event.sequence for place in changed}

    rows = shown(reads, "balances", "ledger, account, unit, sequence")

    assert {row[:3]: row[3] for row in rows} == expected


def test_postings_have_the_state_that_follows_from_running_totals(reads: psycopg.Connection[Any]) -> None:
    ledgers = folded(events())
    expected = set()
    for event in events():
        if isinstance(event, TransferPosted):
            for index, posting in enumerate(event.postings):
                numbers = (int(posting.amount), int(posting.debits), int(posting.credits))
                totals = ledgers[event.ledger].totals(posting.account, posting.unit)
                parts = clearing(*numbers, totals)
                place = (event.ledger, posting.account, posting.unit, event.sequence, index)
                expected.add((*place, f"{event.sequence}.{index}", *numbers, parts.consumed, parts.open, parts.state))

    rows = shown(
        reads,
        "postings",
        "ledger, account, unit, sequence, index, id, amount, debits, credits, consumed, open, state",
    )

    assert set(rows) == expected
    assert {row[-1] for row in rows} == {"active", "pending", "inactive"}


def test_a_posting_tells_when_and_by_which_command_it_came_about(reads: psycopg.Connection[Any]) -> None:
    expected = {
        (event.ledger, event.sequence, event.command, event.kind, event.at)
        for event in events()
        if isinstance(event, TransferPosted)
    }

    rows = shown(
        reads,
        "postings",
        """ledger, sequence, command, kind, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""",
    )

    assert set(rows) == expected


def test_every_command_has_its_outcome(reads: psycopg.Connection[Any]) -> None:
    expected = set()
    for event in events():
        if event.command is not None:
            refused = isinstance(event, CommandRefused)
            expected.add((event.ledger, event.sequence, event.command, "refused" if refused else "accepted"))

    assert set(shown(reads, "outcomes", "ledger, sequence, command, outcome")) == expected


def test_a_refusal_tells_its_reason_and_details(reads: psycopg.Connection[Any]) -> None:
    expected = {
        (event.ledger, event.sequence): (event.reason.value, [part for pair in event.details.items() for part in pair])
        for event in events()
        if isinstance(event, CommandRefused)
    }

    rows = shown(reads, "outcomes", "ledger, sequence, reason, details, outcome")

    assert {row[:2]: row[2:4] for row in rows if row[4] == "refused"} == expected
    assert {row[2:4] for row in rows if row[4] == "accepted"} == {(None, None)}


def test_every_version_of_an_account_is_kept_and_the_last_is_the_present(reads: psycopg.Connection[Any]) -> None:
    expected = [_version(event) for event in events() if isinstance(event, AccountChanged)]
    columns = "ledger, account, version, sequence, account_type, policy, floor, flags, book, alias, state"

    versions = shown(reads, "account_versions", columns)
    present = shown(reads, "accounts", columns)

    assert sorted(versions, key=str) == sorted(expected, key=str)
    assert {row[:2]: row for row in present} == {row[:2]: row for row in sorted(expected, key=lambda row: row[2])}
    assert len(present) < len(versions)


def test_a_hold_shows_what_remains_of_it(reads: psycopg.Connection[Any]) -> None:
    placed = {(event.ledger, event.command): event for event in events() if isinstance(event, HoldPlaced)}
    ledgers = folded(events())
    open_ = {
        (ledger.name, hold.id): [part.remaining for part in hold.parts]
        for ledger in ledgers.values()
        for hold in ledger.holds.values()
    }

    rows = shown(reads, "holds", "ledger, hold, state, remaining, amounts, sequence, kind, book")

    assert {row[:2] for row in rows} == placed.keys()
    assert {row[:2]: row[3] for row in rows if row[2] == "open"} == open_
    assert {row[2] for row in rows} == {"open", "captured", "released", "expired"}
    for row in rows:
        event = placed[row[:2]]
        assert row[4:] == ([int(part.amount) for part in event.movements], event.sequence, event.kind, event.book)
        assert row[2] == "open" or not any(row[3])


def test_a_hold_tells_what_remained_of_it_after_each_change(reads: psycopg.Connection[Any]) -> None:
    ledgers: dict[str, Ledger] = {}
    expected: dict[tuple[str, str, int], list[int] | None] = {}
    for event in events():
        ledger = ledgers.setdefault(event.ledger, Ledger(event.ledger))
        before = _remaining(ledger)
        apply(ledger, event)
        after = _remaining(ledger)
        for hold in before.keys() | after.keys():
            if before.get(hold) != after.get(hold):
                expected[event.ledger, hold, event.sequence] = after.get(hold)

    rows = shown(reads, "hold_changes", "ledger, hold, sequence, remaining, state")

    assert {row[:3] for row in rows} == expected.keys()
    for *place, remaining, state in rows:
        still = expected[place[0], place[1], place[2]]
        assert (state == "open") == (still is not None)
        assert remaining == still or not any(remaining)


def test_ads_tell_what_was_taken_of_them(reads: psycopg.Connection[Any]) -> None:
    expected = {
        (name, ad.id, ad.account, ad.base, ad.quote, ad.rate, ad.limit, ad.taken, "open")
        for name, ledger in folded(events()).items()
        for ad in ledger.ads.values()
    }
    withdrawn = {(event.ledger, event.ad) for event in events() if isinstance(event, AdWithdrawn)}

    rows = shown(reads, "ads", 'ledger, ad, account, base, quote, rate, "limit", taken, state')

    assert {row for row in rows if row[-1] == "open"} == expected
    assert {row[:2] for row in rows if row[-1] == "withdrawn"} == withdrawn
    assert any(row[7] for row in rows)
    assert withdrawn


def test_every_book_is_there_in_its_last_version(reads: psycopg.Connection[Any]) -> None:
    last = {(event.ledger, event.book): event for event in events() if isinstance(event, BookDefined)}
    expected = {
        (*key, event.version, event.sequence, event.name, event.units, event.flags, event.accounts)
        for key, event in last.items()
    }

    rows = shown(reads, "books", "ledger, book, version, sequence, name, units, flags, accounts")

    assert {(*row[:5], *map(tuple, row[5:])) for row in rows} == expected
    assert len(shown(reads, "book_versions")) > len(rows) > 0


def test_transfers_are_listed_with_id_kind_and_time(reads: psycopg.Connection[Any]) -> None:
    expected = {
        (event.ledger, event.sequence, event.command, event.kind, event.at)
        for event in events()
        if isinstance(event, TransferPosted)
    }

    columns = f"ledger, sequence, id, kind, {wire_time('at')}"

    assert set(shown(reads, "transfers", columns)) == expected


def test_what_left_accounts_is_what_arrived(reads: psycopg.Connection[Any]) -> None:
    balances = reads.execute(
        "select ledger, unit, sum(debits), sum(credits) from read.balances group by 1, 2 having sum(debits) > 0"
    ).fetchall()

    rows = shown(reads, "trial_balance", "ledger, unit, debits, credits, balance")

    assert {row[4] for row in rows} == {0}
    assert {row[:4] for row in rows} == set(balances)


def test_a_ledger_tells_how_far_it_has_come(reads: psycopg.Connection[Any]) -> None:
    expected = {(name, ledger.sequence) for name, ledger in folded(events()).items()}

    assert set(shown(reads, "ledgers", "ledger, sequence")) == expected


def test_every_unit_has_its_scale(reads: psycopg.Connection[Any]) -> None:
    expected = {
        (name, unit, scale) for name, ledger in folded(events()).items() for unit, scale in ledger.units.items()
    }

    assert set(shown(reads, "units", "ledger, unit, scale")) == expected


def test_all_that_can_happen_happened() -> None:
    kinds = {type(event) for event in events()}

    assert kinds == _leaves(Happened)


def _totals(ledger: Ledger) -> dict[tuple[str, str], tuple[int, int, int]]:
    return {
        (account, unit): place.figures for unit, places in ledger.places.items() for account, place in places.items()
    }


def _remaining(ledger: Ledger) -> dict[str, list[int]]:
    return {hold.id: [part.remaining for part in hold.parts] for hold in ledger.holds.values()}


def _version(event: AccountChanged) -> tuple[Any, ...]:
    floor = None if event.floor is None else int(event.floor)
    said = (event.account_type, event.policy.value, floor, list(event.flags), event.book, event.alias)
    return (event.ledger, event.account, event.version, event.sequence, *said, event.state or "open")


def _leaves(kind: type[Happened]) -> set[type[Happened]]:
    children: list[type[Happened]] = kind.__subclasses__()
    return {leaf for child in children for leaf in _leaves(child)} or {kind}
