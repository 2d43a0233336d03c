"""Plain transfers: one movement, with no book named, no fee and no pin. Nearly all are.

Law: no answer is given here that `domain.transfers` would not give. What to object, and in which order, is known there
alone; here all questions are asked together, and as soon as one of them wants a closer look nothing is said.
"""

from typing import Final

from domain.books import is_at_home
from domain.state import Admitted, Ledger, Terms
from schemas.commands import Transfer
from schemas.events import Posting
from schemas.values import LARGEST, Movement

_MOST_REMEMBERED: Final = 10_000
"""Terms a side. There are as many as there are ways to agree, for most ledgers some dozens."""


def postings(ledger: Ledger, command: Transfer) -> tuple[Posting, Posting] | None:
    """Give the two postings of a plain transfer; None where it is not plain, or there is anything to look at."""
    if len(command.movements) > 1 or command.book or command.fee or command.expect:
        return None
    movement = command.movements[0]
    unit, amount = movement.unit, movement.amount
    places = ledger.places.get(unit)
    if places is None:
        return None
    out, into = places.get(movement.source), places.get(movement.destination)
    if out is None or into is None or out is into:
        return None
    source, destination = out.terms, into.terms
    admitted = ledger.admitted.get((command.kind, unit))
    if (
        admitted is None or source not in admitted.sources or destination not in admitted.destinations
    ) and not _are_admitted(ledger, command.kind, movement, source, destination):
        return None
    debits, credits_ = out.debits + amount, into.credits + amount
    if debits + out.held > LARGEST or credits_ > LARGEST:
        return None
    if source.least is not None and out.credits - debits - out.held < source.least:
        return None
    return (
        Posting(movement.source, unit, str(-amount), str(debits), str(out.credits)),
        Posting(movement.destination, unit, str(amount), str(into.debits), str(credits_)),
    )


def _are_admitted(ledger: Ledger, name: str, movement: Movement, source: Terms, destination: Terms) -> bool:
    """Ask whether both accounts are in use, and admitted by the kind and by their books at home.

    Where that holds for every account of the same terms it is remembered, until a book changes.
    """
    kind = ledger.kinds.get(name)
    if kind is None:
        return False
    admitted = ledger.admitted.setdefault((name, movement.unit), Admitted())
    for account, terms, admission, remembered in (
        (movement.source, source, kind.source, admitted.sources),
        (movement.destination, destination, kind.destination, admitted.destinations),
    ):
        if terms.state or not admission.admits(terms.account_type):
            return False
        if is_at_home(ledger, None, terms, movement.unit):
            if len(remembered) == _MOST_REMEMBERED:
                remembered.clear()
            remembered.add(terms)
        elif not is_at_home(ledger, account, terms, movement.unit):
            return False
    return True
