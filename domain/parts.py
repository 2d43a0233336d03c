"""Parts: of a hold that is captured, of a transfer that is reversed.

Law: movements that agree in source, destination and unit are one pot. Parts are taken from the earlier first, several
parts of one command add up, and no more than a pot's amount is ever moved in all together.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from domain.refusals import Objection, objection
from domain.state import Ledger
from domain.transfers import Leg
from schemas.reasons import Reason
from schemas.values import Movement


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
    parts = []
    for movement in named:
        source, destination = ledger.named(movement.source), ledger.named(movement.destination)
        pot = [
            left
            for left in remainders
            if source and destination and left[:3] == (source.name, destination.name, movement.unit)
        ]
        if source is None or destination is None or not pot:
            return objection(
                Reason.MOVEMENT_NOT_FOUND, source=movement.source, destination=movement.destination, unit=movement.unit
            )
        parts.append(Leg(source, destination, movement.unit, movement.amount))
    return _more_than_is_left(remainders, parts) or parts


def less(remainders: Sequence[Remainder], legs: Sequence[Remainder]) -> list[Remainder]:
    """Take these legs away, from the earlier movement of their pot first."""
    amounts = [remainder.amount for remainder in remainders]
    for leg in legs:
        wanted = leg.amount
        for index, remainder in enumerate(remainders):
            if remainder[:3] == leg[:3]:
                part = min(wanted, amounts[index])
                amounts[index] -= part
                wanted -= part
    return [remainder._replace(amount=amount) for remainder, amount in zip(remainders, amounts, strict=True)]


def _more_than_is_left(remainders: Sequence[Remainder], parts: Sequence[Leg]) -> Objection | None:
    left: dict[tuple[str, str, str], int] = defaultdict(int)
    for remainder in remainders:
        left[remainder[:3]] += remainder.amount
    asked: dict[tuple[str, str, str], int] = defaultdict(int)
    for part in parts:
        asked[part.source.name, part.destination.name, part.unit] += part.amount
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
