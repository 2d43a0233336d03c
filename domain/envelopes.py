"""Envelopes: transfers that name the exact postings that they consume and create.

Law: of two that consume one posting, the first wins.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from domain.accounts import not_found, out_of_use
from domain.books import not_admitted, version_of
from domain.facts import Facts
from domain.refusals import Objection, happening, objection, refused
from domain.state import Account, Change, Ledger
from domain.transfers import settle, short_of_funds, stale_version, unknown_party, unknown_unit
from schemas.commands import CommitEnvelope
from schemas.events import CommandRefused, TransferPosted
from schemas.reasons import Reason
from schemas.values import Policy


class Consumed(NamedTuple):
    """A positive posting to be consumed: the credits of its account after `start`, up to and including `end`."""

    id: str
    account: Account
    unit: str
    start: int
    end: int


def commit(ledger: Ledger, command: CommitEnvelope, at: str, facts: Facts) -> TransferPosted | CommandRefused:
    """Consume and create, or say why not."""
    consumed = _found(ledger, command, facts)
    if isinstance(consumed, Objection):
        return refused(ledger, command, at, consumed)
    created = _misshapen(command) or _created(ledger, command)
    if isinstance(created, Objection):
        return refused(ledger, command, at, created)
    changes = [(posting.account, posting.unit, posting.start - posting.end) for posting in consumed] + created
    why = (
        unknown_party(ledger, sorted(command.versions))
        or unknown_unit(ledger, [unit for _, unit, _ in created])
        or out_of_use([account for account, _, _ in changes])
        or not_admitted(ledger, command.book, changes)
        or stale_version(ledger, command.versions)
        or _already_consumed(ledger, consumed)
        or _not_next(ledger, consumed)
        or _not_conserved(changes, len(consumed))
        or _negative(created)
    )
    settled = why or settle(ledger, changes)
    if isinstance(settled, Objection):
        return refused(ledger, command, at, settled)
    if short := short_of_funds(ledger, settled.nets):
        return refused(ledger, command, at, short)
    return TransferPosted(
        **happening(ledger, command, at),
        kind="envelope",
        postings=settled.postings,
        book=command.book,
        book_version=version_of(ledger, command.book),
    )


def _found(ledger: Ledger, command: CommitEnvelope, facts: Facts) -> list[Consumed] | Objection:
    consumed = []
    for posting_id in command.consumes:
        sequence, _, index = posting_id.partition(".")
        event = facts.events.get(int(sequence))
        postings = event.postings if isinstance(event, TransferPosted) else ()
        posting = postings[int(index)] if int(index) < len(postings) else None
        if posting is None or int(posting.amount) < 0:
            return objection(Reason.POSTING_NOT_FOUND, posting=posting_id)
        end = int(posting.credits)
        consumed.append(
            Consumed(posting_id, ledger.accounts[posting.account], posting.unit, end - int(posting.amount), end)
        )
    return consumed


def _misshapen(command: CommitEnvelope) -> Objection | None:
    if not command.consumes and not command.creates:
        return objection(Reason.EMPTY_TRANSFER)
    seen: set[str] = set()
    for posting in command.consumes:
        if posting in seen:
            return objection(Reason.DUPLICATE_POSTING, posting=posting)
        seen.add(posting)
    return None


def _created(ledger: Ledger, command: CommitEnvelope) -> list[Change] | Objection:
    created: list[Change] = []
    for creation in command.creates:
        account = ledger.named(creation.account)
        if account is None:
            return not_found(creation.account)
        created.append((account, creation.unit, creation.amount))
    return created


def _already_consumed(ledger: Ledger, consumed: Sequence[Consumed]) -> Objection | None:
    for posting in consumed:
        if posting.end <= ledger.totals(posting.account.name, posting.unit).debits:
            return objection(Reason.POSTING_ALREADY_CONSUMED, posting=posting.id)
    return None


def _not_next(ledger: Ledger, consumed: Sequence[Consumed]) -> Objection | None:
    """Ask whether the postings of an account and unit, put in order, begin where consumption stands, without a gap."""
    reached: dict[tuple[str, str], int] = {}
    late: set[str] = set()
    for posting in sorted(consumed, key=lambda posting: posting.start):
        place = (posting.account.name, posting.unit)
        totals = ledger.totals(*place)
        if totals.held or posting.start != reached.get(place, totals.debits):
            late.add(posting.id)
        else:
            reached[place] = posting.end
    for posting in consumed:
        if posting.id in late:
            return objection(Reason.POSTING_NOT_NEXT, posting=posting.id)
    return None


def _not_conserved(changes: Sequence[Change], consumes: int) -> Objection | None:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for index, (_, unit, amount) in enumerate(changes):
        if index < consumes:
            sums[unit][0] -= amount
        else:
            sums[unit][1] += amount
    for unit in sorted(sums):
        consumed, created = sums[unit]
        if consumed != created:
            return objection(Reason.CONSERVATION_VIOLATION, unit=unit, consumed=consumed, created=created)
    return None


def _negative(created: Sequence[Change]) -> Objection | None:
    for account, unit, amount in created:
        if amount < 0 and account.terms.policy is Policy.NO_OVERDRAFT:
            return objection(Reason.NEGATIVE_POSTING, account=account.name, unit=unit, amount=amount)
    return None
