"""A ledger's state, and `apply`: the only thing that changes it.

Law: the state is a fold of the events and of nothing else, and a fold cannot fail, because it has happened. Live, at
start, in replay and in `verify` it is the same.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import assert_never

from domain.beginning import built_in
from domain.state import Account, Ad, Book, Hold, Kind, Ledger, Part, Place, TypeOfAccount, terms_of
from schemas.events import (
    AccountChanged,
    AccountClosed,
    AccountFrozen,
    AccountOpened,
    AccountTypeDefined,
    AccountUnfrozen,
    AccountUpdated,
    AdPosted,
    AdWithdrawn,
    BookDefined,
    CommandRefused,
    Event,
    HoldExpired,
    HoldPlaced,
    HoldReleased,
    LedgerOpened,
    Posting,
    TransferKindDefined,
    TransferPosted,
    UnitDefined,
)


def apply(ledger: Ledger, event: Event) -> None:
    """Bring `ledger` up to `event`."""
    assert event.sequence == ledger.sequence + 1, f"{ledger.name}: {event.sequence} after {ledger.sequence}"
    ledger.sequence = event.sequence
    ledger.at = event.at
    # As in `domain.decide`: nearly all are.
    if isinstance(event, TransferPosted):
        _apply_postings(ledger, event)
        return
    match event:
        case CommandRefused():
            pass
        case AccountOpened() | AccountUpdated() | AccountFrozen() | AccountUnfrozen() | AccountClosed():
            _apply_account(ledger, event)
        case HoldPlaced():
            _apply_hold(ledger, event)
        case HoldReleased() | HoldExpired():
            _end(ledger, ledger.holds[event.hold])
        case AdPosted():
            limit = None if event.limit is None else int(event.limit)
            ledger.post_ad(Ad(event.ad, event.account, event.base, event.quote, event.rate, limit))
        case AdWithdrawn():
            ledger.withdraw_ad(event.ad)
        case BookDefined():
            ledger.books[event.book] = _book(event)
            ledger.admitted.clear()
        case UnitDefined():
            ledger.add_unit(event.unit, event.scale)
        case AccountTypeDefined():
            ledger.account_types[event.account_type] = TypeOfAccount(event.policies, singleton=event.singleton)
        case TransferKindDefined():
            ledger.kinds[event.kind] = Kind.between(event.source_types, event.destination_types)
        case LedgerOpened():
            built_in(ledger)
        case _:
            assert_never(event)


def _apply_postings(ledger: Ledger, event: TransferPosted) -> None:
    for posting in event.postings:
        place = ledger.places[posting.unit].get(posting.account) or _begun(ledger, posting.account, posting.unit)
        # One of the two totals has grown, and the other is as it was.
        if posting.amount[0] == "-":
            place.debits = int(posting.debits)
        else:
            place.credits = int(posting.credits)
    if event.hold is not None:
        _apply_capture(ledger, ledger.holds[event.hold], event.postings, final=event.final)
    if event.kind == "envelope" or (event.reverses is not None and ledger.is_whole(event.reverses)):
        ledger.mark_whole(event.sequence)
    if event.ads:
        for hop, ad in enumerate(event.ads):
            ledger.ads[ad].taken += int(event.postings[4 * hop + 1].amount)


def _apply_account(ledger: Ledger, event: AccountChanged) -> None:
    floor = None if event.floor is None else int(event.floor)
    terms = terms_of(event.account_type, event.policy, floor, event.flags, event.book, event.state)
    account = ledger.accounts.get(event.account)
    if account is None:
        account = ledger.accounts[event.account] = Account(event.account, terms)
        if ledger.account_types[event.account_type].singleton:
            ledger.singletons[event.account_type] = account
    else:
        for places in ledger.places.values():
            if place := places.get(account.name):
                place.terms = terms
    if account.alias != event.alias:
        if account.alias is not None:
            del ledger.aliases[account.alias]
        if event.alias is not None:
            ledger.aliases[event.alias] = account
    account.terms = terms
    account.alias = event.alias
    account.version = event.version
    if event.state == "closed" and ledger.singletons.get(event.account_type) is account:
        del ledger.singletons[event.account_type]


def _book(event: BookDefined) -> Book:
    units, flags, accounts = frozenset(event.units), frozenset(event.flags), frozenset(event.accounts)
    return Book(event.book, event.version, units, flags, accounts, event.name)


def _apply_hold(ledger: Ledger, event: HoldPlaced) -> None:
    assert event.command is not None
    parts = [
        Part(movement.source, movement.destination, movement.unit, int(movement.amount)) for movement in event.movements
    ]
    hold = ledger.holds[event.command] = Hold(event.command, event.kind, event.book, event.expires_at, parts)
    for part in parts:
        place = ledger.places[part.unit].get(part.source) or _begun(ledger, part.source, part.unit)
        place.held += part.remaining
    if hold.expires_at is not None:
        ledger.expiring.add((hold.expires_at, hold.id))


def _apply_capture(ledger: Ledger, hold: Hold, postings: Sequence[Posting], *, final: bool) -> None:
    pots: dict[tuple[str, str, str], int] = defaultdict(int)
    for out, into in zip(postings[::2], postings[1::2], strict=True):
        ledger.places[out.unit][out.account].held -= int(into.amount)
        pots[out.account, into.account, out.unit] += int(into.amount)
    hold.take(pots)
    if final or not any(part.remaining for part in hold.parts):
        _end(ledger, hold)


def _end(ledger: Ledger, hold: Hold) -> None:
    for part in hold.parts:
        ledger.places[part.unit][part.source].held -= part.remaining
    del ledger.holds[hold.id]
    if hold.expires_at is not None:
        ledger.expiring.remove((hold.expires_at, hold.id))


def _begun(ledger: Ledger, name: str, unit: str) -> Place:
    """Begin a place, at the first posting or hold there. Its name is the account's own, not another like it."""
    account = ledger.accounts[name]
    place = ledger.places[unit][account.name] = Place(terms=account.terms)
    return place
