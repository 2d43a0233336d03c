"""Parts: of a hold that is captured, of a transfer that is reversed.

Law: movements that agree in source, destination and unit are one pot. Parts are taken from the earlier first, several
parts of one command add up, and no more than a pot's amount is ever moved in all together.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from domain.refusals import Objection, objection
from domain.state import Ledger
from domain.transfers import Leg
from schemas.reasons import Reason
from schemas.values import Movement

Pot = tuple[str, str, str]
"""Source, destination and unit."""


class Remainder(NamedTuple):
    """What is left of one movement, in minimal parts."""

    source: str
    destination: str
    unit: str
    amount: int


def taken(ledger: Ledger, remainders: Sequence[Remainder], named: Sequence[Movement] | None) -> list[Leg] | Objection:
    """Give the legs that are taken, or object.

    Args:
        ledger: knows the accounts.
        remainders: what is left of each movement, in their order.
        named: the parts asked for, as the original named source, destination and unit; None for all that is left.
    """
    accounts = ledger.accounts
    if named is None:
        return [
            Leg(accounts[left.source], accounts[left.destination], left.unit, left.amount)
            for left in remainders
            if left.amount
        ]
    pots = _pots(remainders)
    parts = []
    for movement in named:
        source, destination = ledger.named(movement.source), ledger.named(movement.destination)
        if source is None or destination is None or (source.name, destination.name, movement.unit) not in pots:
            return not_moved(ledger, movement)
        parts.append(Leg(source, destination, movement.unit, movement.amount))
    return _more_than_is_left(pots, parts) or parts


def not_moved(ledger: Ledger, named: Movement) -> Objection:
    """Object to a part of what was never moved. As in every event, an alias gives way to its account, if it has one."""
    source, destination = (
        party.name if (party := ledger.named(name)) else name for name in (named.source, named.destination)
    )
    return objection(Reason.MOVEMENT_NOT_FOUND, source=source, destination=destination, unit=named.unit)


def less(remainders: Sequence[Remainder], legs: Sequence[Remainder]) -> list[Remainder]:
    """Take these legs away, from the earlier movement of their pot first."""
    wanted = _pots(legs)
    left = []
    for remainder in remainders:
        pot = remainder[:3]
        part = min(wanted.get(pot, 0), remainder.amount)
        if part:
            wanted[pot] -= part
        left.append(remainder._replace(amount=remainder.amount - part))
    return left


def _pots(movements: Iterable[Remainder]) -> dict[Pot, int]:
    pots: dict[Pot, int] = defaultdict(int)
    for movement in movements:
        pots[movement[:3]] += movement.amount
    return pots


def _more_than_is_left(left: Mapping[Pot, int], parts: Iterable[Leg]) -> Objection | None:
    asked = _pots(Remainder(part.source.name, part.destination.name, part.unit, part.amount) for part in parts)
    for (source, destination, unit), requested in asked.items():
        remaining = left[source, destination, unit]
        if requested > remaining:
            return objection(
                Reason.AMOUNT_EXCEEDS_REMAINING,
                source=source,
                destination=destination,
                unit=unit,
                remaining=remaining,
                requested=requested,
            )
    return None
