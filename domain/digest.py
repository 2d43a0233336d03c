"""The state of a ledger as one canonical text, and its hash.

Law: two ledgers have the same text exactly when they decide every later command alike, byte for byte. So all is in it
that can change a decision or what it says, and nothing else: not what follows from the rest (who has which alias, which
singleton is open, the market), and not what no decision looks at (the title of a book).
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from heapq import merge
from typing import Final

from domain.state import Admission, Ledger, Place

_Sorted = tuple[str, str, bytes]
"""What the line is sorted by, account and unit or no unit, and the line."""

_encode: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def digest(ledger: Ledger) -> str:
    """Return the SHA-256 of the canonical text, in hexadecimal digits."""
    hashed = sha256()
    for line in lines(ledger):
        hashed.update(line)
    return hashed.hexdigest()


def lines(ledger: Ledger) -> Iterator[bytes]:
    """Give the canonical text, line by line, each with its newline.

    JSON Lines: the header, then section after section. Within a line keys are sorted, numbers are text, and lists whose
    order says nothing are sorted.
    """
    yield _line(type="defter-state.v1", ledger=ledger.name, sequence=str(ledger.sequence), at=ledger.at)
    yield from _registries(ledger)
    # The totals of an account follow it, though the state has them by unit.
    of_units = (_places(unit, places) for unit, places in ledger.places.items())
    yield from (line for *_, line in merge(_accounts(ledger), *of_units))
    yield from _holds(ledger)
    yield from _ads(ledger)
    for sequence in filter(ledger.is_whole, range(8 * len(ledger.whole))):
        yield _line(section="whole", sequence=str(sequence))


def _registries(ledger: Ledger) -> Iterator[bytes]:
    for unit, scale in sorted(ledger.units.items()):
        yield _line(section="unit", unit=unit, scale=str(scale))
    for account_type, of_type in sorted(ledger.account_types.items()):
        # The first policy is the default, so their order is kept.
        yield _line(section="account_type", account_type=account_type, **of_type._asdict())
    for name, kind in sorted(ledger.kinds.items()):
        yield _line(section="kind", kind=name, source=_side(kind.source), destination=_side(kind.destination))
    for _, book in sorted(ledger.books.items()):
        yield _line(
            section="book",
            book=book.name,
            version=str(book.version),
            units=sorted(book.units),
            flags=sorted(book.flags),
            accounts=sorted(book.accounts),
        )


def _accounts(ledger: Ledger) -> Iterator[_Sorted]:
    for name in sorted(ledger.accounts):
        account = ledger.accounts[name]
        terms = account.terms
        # A later event says the flags again, in the order in which they were said.
        line = _line(
            section="account",
            account=name,
            account_type=terms.account_type,
            policy=terms.policy,
            floor=_number(terms.floor),
            flags=terms.flags,
            book=terms.book,
            alias=account.alias,
            state=terms.state,
            version=str(account.version),
        )
        yield name, "", line


def _places(unit: str, places: dict[str, Place]) -> Iterator[_Sorted]:
    for name in sorted(places):
        place = places[name]
        if place.debits or place.credits or place.held:
            # There are millions of these. Neither name holds anything that JSON would escape.
            line = (
                f'{{"account":"{name}","credits":"{place.credits}","debits":"{place.debits}",'
                f'"held":"{place.held}","section":"totals","unit":"{unit}"}}\n'
            )
            yield name, unit, line.encode()


def _holds(ledger: Ledger) -> Iterator[bytes]:
    for name in sorted(ledger.holds):
        hold = ledger.holds[name]
        # What is captured wholly still is a movement of the hold, and movements have an order.
        movements = [[part.source, part.destination, part.unit, str(part.remaining)] for part in hold.parts]
        yield _line(section="hold", hold=name, book=hold.book, expires_at=hold.expires_at, movements=movements)


def _ads(ledger: Ledger) -> Iterator[bytes]:
    for name in sorted(ledger.ads):
        ad = ledger.ads[name]
        yield _line(
            section="ad",
            ad=name,
            account=ad.account,
            base=ad.base,
            quote=ad.quote,
            rate=ad.rate,
            limit=_number(ad.limit),
            taken=str(ad.taken),
        )
    for name in sorted(ledger.withdrawn):
        yield _line(section="withdrawn", ad=name)


def _side(admission: Admission) -> dict[str, list[str]]:
    return {"only": sorted(admission.only), "never": sorted(admission.never)}


def _number(number: int | None) -> str | None:
    return None if number is None else str(number)


def _line(**fields: object) -> bytes:
    return _encode(fields).encode() + b"\n"
