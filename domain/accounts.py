"""Accounts: opened, updated, frozen, unfrozen, closed.

Each change is a version, and each event says all of the account.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, TypedDict

from domain.refusals import Objection, happening, objection, refused
from domain.state import Account, Ledger, Terms, Totals, TypeOfAccount
from schemas.commands import CloseAccount, FreezeAccount, OpenAccount, UnfreezeAccount, UpdateAccount
from schemas.events import AccountClosed, AccountFrozen, AccountOpened, AccountUnfrozen, AccountUpdated, CommandRefused
from schemas.reasons import Reason
from schemas.values import Policy, said_or

FROZEN: Final = "frozen"
CLOSED: Final = "closed"


def open_account(ledger: Ledger, command: OpenAccount, at: str) -> AccountOpened | CommandRefused:
    """Open the account at version 1, or say why not."""
    of_type = ledger.account_types.get(command.account_type)
    policy = command.policy or (of_type.policies[0] if of_type else Policy.NO_OVERDRAFT)
    terms = Terms(command.account_type, policy, command.floor, command.flags, command.book)
    why = (
        _exists(ledger, command.account)
        or _alias_taken(ledger, None, command.alias)
        or _second_singleton(ledger, command.account_type)
        or _type_refuses(of_type, terms)
        or _unknown_book(ledger, terms.book)
    )
    if why:
        return refused(ledger, command, at, why)
    return AccountOpened(
        **happening(ledger, command, at), **_as_said(Account(command.account, terms, command.alias, version=1))
    )


def update(ledger: Ledger, command: UpdateAccount, at: str) -> AccountUpdated | CommandRefused:
    """Append a version of the account, or say why not. What the command leaves out stays."""
    account = ledger.named(command.account)
    if account is None:
        why = _alias_taken(ledger, None, said_or(command.alias, None)) or not_found(command.account)
        return refused(ledger, command, at, why)
    terms, alias = _updated(account.terms, command), said_or(command.alias, account.alias)
    objections = (
        _alias_taken(ledger, account, alias)
        or _type_refuses(ledger.account_types[terms.account_type], terms)
        or _closed(account)
        or _unknown_book(ledger, terms.book)
        or _moved_on(account, command.expected_version)
        or _could_not_stand(ledger, account, terms)
    )
    if objections:
        return refused(ledger, command, at, objections)
    return AccountUpdated(**happening(ledger, command, at), **_as_said(_next(account, terms, alias)))


def freeze(ledger: Ledger, command: FreezeAccount, at: str) -> AccountFrozen | CommandRefused:
    """Let nothing in or out, or say why not."""
    account = ledger.named(command.account)
    if account is None:
        return refused(ledger, command, at, not_found(command.account))
    why = out_of_use([account]) or _moved_on(account, command.expected_version)
    if why:
        return refused(ledger, command, at, why)
    return AccountFrozen(**happening(ledger, command, at), **_as_said(_in_state(account, FROZEN)))


def unfreeze(ledger: Ledger, command: UnfreezeAccount, at: str) -> AccountUnfrozen | CommandRefused:
    """Let the account take part again, or say why not."""
    account = ledger.named(command.account)
    if account is None:
        return refused(ledger, command, at, not_found(command.account))
    why = _closed(account) or _not_frozen(account) or _moved_on(account, command.expected_version)
    if why:
        return refused(ledger, command, at, why)
    return AccountUnfrozen(**happening(ledger, command, at), **_as_said(_in_state(account, None)))


def close(ledger: Ledger, command: CloseAccount, at: str) -> AccountClosed | CommandRefused:
    """Close the account for good, or say why not."""
    account = ledger.named(command.account)
    if account is None:
        return refused(ledger, command, at, not_found(command.account))
    why = _closed(account) or _moved_on(account, command.expected_version) or _not_empty(ledger, account)
    if why:
        return refused(ledger, command, at, why)
    return AccountClosed(**happening(ledger, command, at), **_as_said(_in_state(account, CLOSED)))


def not_found(party: str) -> Objection:
    """Object to a name or an alias that no account has."""
    return objection(Reason.ACCOUNT_NOT_FOUND, account=party)


def out_of_use(accounts: Iterable[Account]) -> Objection | None:
    """Ask whether one is closed, or else whether one is frozen."""
    stopped = [account for account in accounts if account.terms.state is not None]
    if not stopped:
        return None
    for account in stopped:
        if account.terms.state == CLOSED:
            return _closed(account)
    return objection(Reason.ACCOUNT_FROZEN, account=stopped[0].name)


def version_mismatch(account: Account, expected: int) -> Objection | None:
    """Ask whether the account is still at the version that the caller saw."""
    if account.version == expected:
        return None
    return objection(Reason.VERSION_MISMATCH, account=account.name, expected=expected, actual=account.version)


class _AsSaid(TypedDict):
    account: str
    account_type: str
    policy: Policy
    floor: str | None
    flags: tuple[str, ...]
    book: str | None
    alias: str | None
    state: str | None
    version: int


def _as_said(account: Account) -> _AsSaid:
    terms = account.terms
    return _AsSaid(
        account=account.name,
        account_type=terms.account_type,
        policy=terms.policy,
        floor=None if terms.floor is None else str(terms.floor),
        flags=terms.flags,
        book=terms.book,
        alias=account.alias,
        state=terms.state,
        version=account.version,
    )


def _next(account: Account, terms: Terms, alias: str | None) -> Account:
    """Give the next version of an account."""
    return Account(account.name, terms, alias, account.version + 1)


def _in_state(account: Account, state: str | None) -> Account:
    return _next(account, replace(account.terms, state=state), account.alias)


def _updated(terms: Terms, command: UpdateAccount) -> Terms:
    floor = terms.floor if command.policy in (None, Policy.CAPPED_OVERDRAFT) else None
    return replace(
        terms,
        policy=command.policy or terms.policy,
        floor=said_or(command.floor, floor),
        flags=terms.flags if command.flags is None else command.flags,
        book=said_or(command.book, terms.book),
    )


def _exists(ledger: Ledger, name: str) -> Objection | None:
    return objection(Reason.ACCOUNT_EXISTS, account=name) if name in ledger.accounts else None


def _alias_taken(ledger: Ledger, account: Account | None, alias: str | None) -> Objection | None:
    holder = ledger.aliases.get(alias) if alias else None
    if holder is None or holder is account:
        return None
    return objection(Reason.ALIAS_TAKEN, alias=alias, account=holder.name)


def _second_singleton(ledger: Ledger, account_type: str) -> Objection | None:
    first = ledger.singletons.get(account_type)
    return objection(Reason.SINGLETON_EXISTS, account_type=account_type, account=first.name) if first else None


def _type_refuses(of_type: TypeOfAccount | None, terms: Terms) -> Objection | None:
    if of_type is None:
        return objection(Reason.UNKNOWN_ACCOUNT_TYPE, account_type=terms.account_type)
    if terms.policy not in of_type.policies:
        return objection(Reason.POLICY_NOT_ALLOWED, account_type=terms.account_type, policy=terms.policy)
    if (terms.policy is Policy.CAPPED_OVERDRAFT) == (terms.floor is not None) and (terms.floor or 0) <= 0:
        return None
    floor = {} if terms.floor is None else {"floor": terms.floor}
    return objection(Reason.INVALID_FLOOR, policy=terms.policy, **floor)


def _unknown_book(ledger: Ledger, book: str | None) -> Objection | None:
    return None if book is None or book in ledger.books else objection(Reason.BOOK_NOT_FOUND, book=book)


def _closed(account: Account) -> Objection | None:
    return objection(Reason.ACCOUNT_CLOSED, account=account.name) if account.terms.state == CLOSED else None


def _not_frozen(account: Account) -> Objection | None:
    return None if account.terms.state == FROZEN else objection(Reason.ACCOUNT_NOT_FROZEN, account=account.name)


def _moved_on(account: Account, expected: int | None) -> Objection | None:
    return None if expected is None else version_mismatch(account, expected)


def _could_not_stand(ledger: Ledger, account: Account, terms: Terms) -> Objection | None:
    if terms.least is None:
        return None
    for unit, totals in _by_unit(ledger, account):
        available = totals.available
        if available < terms.least:
            return objection(
                Reason.OVERDRAFT_EXCEEDED,
                account=account.name,
                unit=unit,
                available=available,
                requested=0,
                floor=terms.least,
                projected=available,
            )
    return None


def _not_empty(ledger: Ledger, account: Account) -> Objection | None:
    for unit, totals in _by_unit(ledger, account):
        if balance := totals.balance:
            return objection(Reason.ACCOUNT_NOT_EMPTY, account=account.name, unit=unit, balance=balance)
    # The least of its own; the holds of all others, of which there may be very many, are not put in order for that.
    hold = min(
        (
            hold.id
            for hold in ledger.holds.values()
            if any(account.name in (part.source, part.destination) for part in hold.parts)
        ),
        default=None,
    )
    if hold is not None:
        return objection(Reason.ACCOUNT_NOT_EMPTY, account=account.name, hold=hold)
    for ad in sorted(ad.id for ad in ledger.ads.values() if ad.account == account.name):
        return objection(Reason.ACCOUNT_NOT_EMPTY, account=account.name, ad=ad)
    return None


def _by_unit(ledger: Ledger, account: Account) -> list[tuple[str, Totals]]:
    """Give the totals of an account wherever it has a place, in order of the units."""
    return [(unit, places[account.name]) for unit, places in sorted(ledger.places.items()) if account.name in places]
