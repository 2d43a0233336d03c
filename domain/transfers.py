"""Transfers: movements that happen together or not at all, and the rules for whatever posts.

Law: questions in the order of `SPEC.md` 4.3, each over the whole transfer; the first that objects is the answer. Holds,
reversals, envelopes and exchanges ask the same questions, from here.
"""

from collections.abc import Iterable
from typing import NamedTuple

from domain import plain
from domain.accounts import not_found, out_of_use, version_mismatch
from domain.beginning import OWN_KINDS
from domain.books import not_admitted, version_of
from domain.refusals import Objection, happening, in_order, objection, refused
from domain.state import Account, Change, Ledger
from schemas.commands import Transfer
from schemas.events import CommandRefused, Posting, TransferPosted
from schemas.reasons import Reason
from schemas.values import LARGEST, Expect, Movement, Policy


class Leg(NamedTuple):
    """A movement between accounts that exist. `amount` in minimal parts."""

    source: Account
    destination: Account
    unit: str
    amount: int


class Settled(NamedTuple):
    """The postings to be, and what they do to each account and unit, net, in the order of first appearance."""

    postings: tuple[Posting, ...]
    nets: dict[tuple[str, str], int]


def post(ledger: Ledger, command: Transfer, at: str) -> TransferPosted | CommandRefused:
    """Post the transfer, or say why not.

    Args:
        ledger: as it stands now; read, never changed.
        command: what is asked for.
        at: the time of the decision, UTC, 24 characters. Rules never read a clock.
    """
    if postings := plain.postings(ledger, command):
        return TransferPosted(
            ledger=ledger.name,
            sequence=ledger.sequence + 1,
            at=at,
            command=command.id,
            metadata=in_order(command.metadata),
            kind=command.kind,
            postings=postings,
            effective_at=command.effective_at,
        )
    return _one_by_one(ledger, command, at)


def _one_by_one(ledger: Ledger, command: Transfer, at: str) -> TransferPosted | CommandRefused:
    """Ask every question of a transfer, in order: this is the law."""
    legs = legs_of(ledger, command.movements)
    if isinstance(legs, Objection):
        return refused(ledger, command, at, legs)
    treasury = ledger.singletons.get("treasury") if command.fee else None
    if treasury and command.fee:
        legs.append(Leg(legs[0].source, treasury, legs[0].unit, command.fee))
    changes = changes_of(legs)
    why = (
        _unknown_pin(ledger, command.expect)
        or same_account(legs)
        or unknown_unit(ledger, [leg.unit for leg in legs])
        or _unknown_pinned_unit(ledger, command.expect)
        or out_of_use([account for account, _, _ in changes])
        or kind_refuses(ledger, command.kind, legs[: len(command.movements)])
        or _no_treasury(ledger, command)
        or not_admitted(ledger, command.book, changes)
        or _pin_fails(ledger, command.expect)
    )
    settled = why or settle(ledger, changes)
    if isinstance(settled, Objection):
        return refused(ledger, command, at, settled)
    if short := short_of_funds(ledger, settled.nets):
        return refused(ledger, command, at, short)
    return TransferPosted(
        **happening(ledger, command, at),
        kind=command.kind,
        postings=settled.postings,
        book=command.book,
        book_version=version_of(ledger, command.book),
        fee=str(command.fee) if command.fee else None,
        effective_at=command.effective_at,
    )


def legs_of(ledger: Ledger, movements: Iterable[Movement]) -> list[Leg] | Objection:
    """Find the accounts of each movement, source before destination."""
    legs = []
    accounts, aliases = ledger.accounts, ledger.aliases
    for movement in movements:
        source = accounts.get(movement.source) or aliases.get(movement.source)
        if source is None:
            return not_found(movement.source)
        destination = accounts.get(movement.destination) or aliases.get(movement.destination)
        if destination is None:
            return not_found(movement.destination)
        legs.append(Leg(source, destination, movement.unit, movement.amount))
    return legs


def changes_of(legs: Iterable[Leg]) -> list[Change]:
    """Take each leg apart: what leaves, then what arrives."""
    changes: list[Change] = []
    for leg in legs:
        changes.append((leg.source, leg.unit, -leg.amount))
        changes.append((leg.destination, leg.unit, leg.amount))
    return changes


def same_account(legs: Iterable[Leg]) -> Objection | None:
    """Ask whether a movement leads back to where it starts."""
    for leg in legs:
        if leg.source is leg.destination:
            return objection(Reason.SAME_ACCOUNT, account=leg.source.name)
    return None


def unknown_unit(ledger: Ledger, units: Iterable[str]) -> Objection | None:
    """Ask whether one of the units was never defined."""
    for unit in units:
        if unit not in ledger.units:
            return objection(Reason.UNKNOWN_UNIT, unit=unit)
    return None


def kind_refuses(ledger: Ledger, name: str, legs: Iterable[Leg]) -> Objection | None:
    """Ask whether the kind may be named, and admits each source and destination."""
    kind = ledger.kinds.get(name)
    if kind is None or name in OWN_KINDS:
        return objection(Reason.UNKNOWN_KIND, kind=name)
    for leg in legs:
        if not kind.source.admits(leg.source.terms.account_type):
            return _type_not_allowed(leg.source)
        if not kind.destination.admits(leg.destination.terms.account_type):
            return _type_not_allowed(leg.destination)
    return None


def settle(ledger: Ledger, changes: Iterable[Change], *, captured: bool = False) -> Settled | Objection:
    """Work out the postings with their running totals, or object to the first total that leaves the number range.

    Args:
        ledger: as it stands.
        changes: in the order in which they are posted.
        captured: what leaves was held, and is held no longer.
    """
    after: dict[tuple[str, str], list[int]] = {}
    postings = []
    for account, unit, amount in changes:
        place = (account.name, unit)
        running = after.get(place)
        if running is None:
            totals = ledger.totals(account.name, unit)
            running = after[place] = [totals.debits, totals.credits, totals.held, 0]
        if amount < 0:
            running[0] -= amount
            if captured:
                running[2] += amount
        else:
            running[1] += amount
        running[3] += amount
        debits, credits_, held, _ = running
        if debits + held > LARGEST or credits_ > LARGEST:
            return objection(Reason.OVERFLOW, account=account.name, unit=unit)
        postings.append(Posting(account.name, unit, str(amount), str(debits), str(credits_)))
    return Settled(tuple(postings), {place: running[3] for place, running in after.items()})


def short_of_funds(ledger: Ledger, nets: dict[tuple[str, str], int]) -> Objection | None:
    """Ask whether what leaves, net, is more than its account may give.

    Those that may not overdraw are asked first, then those with a floor.
    """
    beyond = None
    for (name, unit), net in nets.items():
        terms = ledger.accounts[name].terms
        if net >= 0 or terms.least is None:
            continue
        available = ledger.totals(name, unit).available
        if available + net >= terms.least:
            continue
        if terms.policy is Policy.NO_OVERDRAFT:
            return objection(Reason.INSUFFICIENT_FUNDS, account=name, unit=unit, available=available, requested=-net)
        beyond = beyond or objection(
            Reason.OVERDRAFT_EXCEEDED,
            account=name,
            unit=unit,
            available=available,
            requested=-net,
            floor=terms.least,
            projected=available + net,
        )
    return beyond


def stale_version(ledger: Ledger, versions: dict[str, int] | None) -> Objection | None:
    """Ask whether a pinned account has moved on, in order of the names."""
    for party in sorted(versions or ()):
        account = ledger.named(party)
        if account and versions and (why := version_mismatch(account, versions[party])):
            return why
    return None


def unknown_party(ledger: Ledger, parties: Iterable[str]) -> Objection | None:
    """Ask whether one of the names belongs to no account."""
    for party in parties:
        if ledger.named(party) is None:
            return not_found(party)
    return None


def _unknown_pin(ledger: Ledger, expect: Expect | None) -> Objection | None:
    if expect is None:
        return None
    return unknown_party(ledger, [*sorted(expect.versions or ()), *(pin.account for pin in expect.balances or ())])


def _unknown_pinned_unit(ledger: Ledger, expect: Expect | None) -> Objection | None:
    return None if expect is None else unknown_unit(ledger, [pin.unit for pin in expect.balances or ()])


def _type_not_allowed(account: Account) -> Objection:
    return objection(Reason.ACCOUNT_TYPE_NOT_ALLOWED, account=account.name, account_type=account.terms.account_type)


def _no_treasury(ledger: Ledger, command: Transfer) -> Objection | None:
    return objection(Reason.TREASURY_NOT_FOUND) if command.fee and "treasury" not in ledger.singletons else None


def _pin_fails(ledger: Ledger, expect: Expect | None) -> Objection | None:
    if expect is None:
        return None
    if why := stale_version(ledger, expect.versions):
        return why
    for pin in expect.balances or ():
        account = ledger.named(pin.account)
        assert account is not None, pin.account
        balance = ledger.totals(account.name, pin.unit).balance
        for bound, fails in (
            (pin.at_least, balance < (pin.at_least or 0)),
            (pin.at_most, balance > (pin.at_most or 0)),
        ):
            if bound is not None and fails:
                return objection(
                    Reason.EXPECTATION_FAILED, account=account.name, unit=pin.unit, expected=bound, actual=balance
                )
    return None
