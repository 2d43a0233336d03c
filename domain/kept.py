"""A ledger's state as plain values, to be put away and taken back: numbers, texts, tuples.

Law: what comes back decides like what went in, byte for byte: both have the same digest (`domain.digest`). What follows
from the rest (who has which alias, which singleton is open, the market) is not kept, but made again.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from domain.expiries import Expiries
from domain.state import Account, Ad, Admission, Book, Hold, Kind, Ledger, Part, Place, TypeOfAccount, terms_of
from schemas.values import Policy

SHAPE: Final = 2
"""The version of these values. It changes when they do, or when `domain.state` holds more than they tell."""

Values = tuple[Any, ...]

_POLICIES: Final = {policy.value: policy for policy in Policy}


def head(ledger: Ledger) -> Values:
    """Give all of a ledger but its accounts and their places."""
    return (
        ledger.name,
        ledger.sequence,
        ledger.at,
        tuple(ledger.units.items()),
        tuple((name, *of_type) for name, of_type in ledger.account_types.items()),
        tuple((name, _sides(kind.source), _sides(kind.destination)) for name, kind in ledger.kinds.items()),
        tuple(
            (book.name, book.version, sorted(book.units), sorted(book.flags), sorted(book.accounts), book.title)
            for book in ledger.books.values()
        ),
        tuple(
            (
                hold.id,
                hold.kind,
                hold.book,
                hold.expires_at,
                [(part.source, part.destination, part.unit, part.remaining) for part in hold.parts],
            )
            for hold in ledger.holds.values()
        ),
        tuple((ad.id, ad.account, ad.base, ad.quote, ad.rate, ad.limit, ad.taken) for ad in ledger.ads.values()),
        sorted(ledger.withdrawn),
        bytes(ledger.whole),
    )


def accounts(ledger: Ledger) -> Iterator[Values]:
    """Give the accounts of a ledger, in the order in which they were opened."""
    for account in ledger.accounts.values():
        terms = account.terms
        yield (
            account.name,
            terms.account_type,
            terms.policy.value,
            terms.floor,
            terms.flags,
            terms.book,
            account.alias,
            terms.state,
            account.version,
        )


def places(ledger: Ledger) -> Iterator[Values]:
    """Give the places of a ledger, unit by unit."""
    for unit, of_unit in ledger.places.items():
        for account, place in of_unit.items():
            yield unit, account, place.debits, place.credits, place.held


def ledger_of(values: Values) -> Ledger:
    """Make a ledger of what `head` gave; `take_accounts` and `take_places` are to follow, and `complete` after them."""
    name, sequence, at, units, types, kinds, books, holds, ads, withdrawn, whole = values
    ledger = Ledger(name, sequence, at)
    for unit, scale in units:
        ledger.add_unit(unit, scale)
    for account_type, policies, singleton in types:
        ledger.account_types[account_type] = TypeOfAccount(tuple(map(Policy, policies)), singleton=singleton)
    for kind, source, destination in kinds:
        ledger.kinds[kind] = Kind(_admission(source), _admission(destination))
    for book, version, of_units, flags, of_accounts, title in books:
        ledger.books[book] = Book(book, version, frozenset(of_units), frozenset(flags), frozenset(of_accounts), title)
    for hold, of_kind, of_book, expires_at, parts in holds:
        ledger.holds[hold] = Hold(hold, of_kind, of_book, expires_at, [Part(*part) for part in parts])
    for ad in ads:
        ledger.post_ad(Ad(*ad))
    ledger.withdrawn.update(withdrawn)
    ledger.whole.extend(whole)
    return ledger


def take_accounts(ledger: Ledger, values: Iterable[Values]) -> None:
    """Put accounts back, as `accounts` gave them."""
    for name, account_type, policy, floor, flags, book, alias, state, version in values:
        terms = terms_of(account_type, _POLICIES[policy], floor, tuple(flags), book, state)
        ledger.accounts[name] = Account(name, terms, alias, version)


def take_places(ledger: Ledger, values: Iterable[Values]) -> None:
    """Put places back, as `places` gave them, where their accounts are back already."""
    for unit, name, debits, credits_, held in values:
        account = ledger.accounts[name]
        ledger.places[unit][account.name] = Place(debits, credits_, held, terms=account.terms)


def complete(ledger: Ledger) -> None:
    """Make again what follows from the rest."""
    for account in ledger.accounts.values():
        if account.alias is not None:
            ledger.aliases[account.alias] = account
        if account.terms.state != "closed" and ledger.account_types[account.terms.account_type].singleton:
            ledger.singletons[account.terms.account_type] = account
    ledger.expiring = Expiries((hold.expires_at, hold.id) for hold in ledger.holds.values() if hold.expires_at)


def _sides(admission: Admission) -> tuple[list[str], list[str]]:
    return sorted(admission.only), sorted(admission.never)


def _admission(sides: Iterable[Iterable[str]]) -> Admission:
    return Admission(*map(frozenset, sides))
