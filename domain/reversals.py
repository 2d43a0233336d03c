"""Reversals: what a transfer moved is moved back, whole or in parts, and never more than was moved."""

from collections.abc import Iterable

from domain.accounts import out_of_use
from domain.books import not_admitted, version_of
from domain.facts import Facts
from domain.parts import Remainder, less, not_moved, taken
from domain.refusals import Objection, happening, objection, refused
from domain.state import Change, Ledger
from domain.transfers import Leg, changes_of, settle, short_of_funds
from schemas.commands import ReverseTransfer
from schemas.events import CommandRefused, Event, TransferPosted
from schemas.reasons import Reason


def reverse(ledger: Ledger, command: ReverseTransfer, at: str, facts: Facts) -> TransferPosted | CommandRefused:
    """Move back, or say why not. All rules but the kind's are asked; the book is the original's, as it is now."""
    original = facts.transfer
    if not isinstance(original, TransferPosted):
        return refused(ledger, command, at, objection(Reason.TRANSFER_NOT_FOUND, transfer=command.transfer))
    ways = _whole if ledger.is_whole(original.sequence) else _parts
    changes = ways(ledger, command, original, facts)
    if isinstance(changes, Objection):
        return refused(ledger, command, at, changes)
    why = out_of_use([account for account, _, _ in changes]) or not_admitted(ledger, original.book, changes)
    settled = why or settle(ledger, changes)
    if isinstance(settled, Objection):
        return refused(ledger, command, at, settled)
    if short := short_of_funds(ledger, settled.nets):
        return refused(ledger, command, at, short)
    return TransferPosted(
        **happening(ledger, command, at),
        kind="reversal",
        postings=settled.postings,
        book=original.book,
        book_version=version_of(ledger, original.book),
        reverses=original.sequence,
    )


def movements(event: TransferPosted) -> list[Remainder]:
    """Give what a transfer moved, its fee last; not of an envelope, whose postings are no pairs."""
    pairs = zip(event.postings[::2], event.postings[1::2], strict=True)
    return [Remainder(out.account, into.account, into.unit, int(into.amount)) for out, into in pairs]


def remaining(original: TransferPosted, reversals: Iterable[Event]) -> list[Remainder]:
    """Give what of each movement was not moved back yet. Not of an envelope, which is moved back whole."""
    remainders = movements(original)
    for reversal in reversals:
        assert isinstance(reversal, TransferPosted), reversal
        remainders = less(remainders, [_turned(moved) for moved in movements(reversal)])
    return remainders


def _whole(
    ledger: Ledger, command: ReverseTransfer, original: TransferPosted, facts: Facts
) -> list[Change] | Objection:
    """Turn the sign of every posting, in order: an envelope has no movements to name."""
    if command.movements:
        return not_moved(ledger, command.movements[0])
    if facts.reversals:
        return _already_reversed(command)
    return [(ledger.accounts[posting.account], posting.unit, -int(posting.amount)) for posting in original.postings]


def _parts(
    ledger: Ledger, command: ReverseTransfer, original: TransferPosted, facts: Facts
) -> list[Change] | Objection:
    parts = taken(ledger, remaining(original, facts.reversals), command.movements)
    if isinstance(parts, Objection):
        return parts
    if not parts:
        return _already_reversed(command)
    return changes_of([Leg(part.destination, part.source, part.unit, part.amount) for part in parts])


def _turned(moved: Remainder) -> Remainder:
    return moved._replace(source=moved.destination, destination=moved.source)


def _already_reversed(command: ReverseTransfer) -> Objection:
    return objection(Reason.ALREADY_REVERSED, transfer=command.transfer, remaining=0)
