"""Books: who and what may take part in a transfer. They never partition balances."""

from collections.abc import Sequence

from domain.refusals import Objection, happening, objection, refused
from domain.state import Change, Ledger, Terms
from schemas.commands import DefineBook
from schemas.events import BookDefined, CommandRefused
from schemas.reasons import Reason
from schemas.values import DEFAULT_BOOK


def define(ledger: Ledger, command: DefineBook, at: str) -> BookDefined | CommandRefused:
    """Create the book, or replace it whole at its next version."""
    book = ledger.books.get(command.book)
    actual = book.version if book else 0
    if command.expected_version is not None and command.expected_version != actual:
        mismatch = objection(
            Reason.VERSION_MISMATCH, book=command.book, expected=command.expected_version, actual=actual
        )
        return refused(ledger, command, at, mismatch)
    return BookDefined(
        **happening(ledger, command, at),
        book=command.book,
        name=command.name,
        units=command.units,
        flags=command.flags,
        accounts=command.accounts,
        version=actual + 1,
    )


def not_admitted(ledger: Ledger, named: str | None, changes: Sequence[Change]) -> Objection | None:
    """Ask whether each posting is admitted by the book that judges it.

    That is the named one, else the account's home, else `default`, else none.
    """
    if named is not None:
        book = ledger.books.get(named)
        if book is None:
            return objection(Reason.BOOK_NOT_FOUND, book=named)
        judged = [(book, account, unit) for account, unit, _ in changes]
    else:
        homes = ((ledger.books.get(account.terms.book or DEFAULT_BOOK), account, unit) for account, unit, _ in changes)
        judged = [(book, account, unit) for book, account, unit in homes if book is not None]
    for book, _, unit in judged:
        if book.units and unit not in book.units:
            return objection(Reason.BOOK_UNIT_NOT_ALLOWED, book=book.name, unit=unit)
    for book, account, _ in judged:
        if not book.admits(account.name, account.terms):
            return objection(Reason.BOOK_ACCOUNT_NOT_ALLOWED, book=book.name, account=account.name)
    return None


def is_at_home(ledger: Ledger, account: str | None, terms: Terms, unit: str) -> bool:
    """Tell whether an account, or every one of these terms, may take part with this unit where no book is named."""
    book = ledger.books.get(terms.book or DEFAULT_BOOK)
    return book is None or ((not book.units or unit in book.units) and book.admits(account, terms))


def version_of(ledger: Ledger, named: str | None) -> int | None:
    """Tell which version of the named book judged; None where none was named."""
    return None if named is None else ledger.books[named].version
