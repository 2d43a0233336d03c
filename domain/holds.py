"""Holds: amounts promised by a source and not yet moved. Placed, then captured in parts, released or expired."""

from collections.abc import Sequence

from domain.accounts import out_of_use
from domain.books import not_admitted, version_of
from domain.parts import Remainder, taken
from domain.refusals import Objection, happening, objection, refused
from domain.state import Hold, Ledger
from domain.transfers import Leg, changes_of, kind_refuses, legs_of, same_account, settle, short_of_funds, unknown_unit
from schemas.commands import CaptureHold, PlaceHold, ReleaseHold
from schemas.events import CommandRefused, HeldMovement, HoldExpired, HoldPlaced, HoldReleased, TransferPosted
from schemas.reasons import Reason


def place(ledger: Ledger, command: PlaceHold, at: str) -> HoldPlaced | CommandRefused:
    """Reserve the movements, or say why not.

    All rules of a transfer are asked; funds count gross, what would come in does not.
    """
    legs = legs_of(ledger, command.movements)
    if isinstance(legs, Objection):
        return refused(ledger, command, at, legs)
    changes = changes_of(legs)
    why = (
        same_account(legs)
        or unknown_unit(ledger, [leg.unit for leg in legs])
        or out_of_use([account for account, _, _ in changes])
        or kind_refuses(ledger, command.kind, legs)
        or not_admitted(ledger, command.book, changes)
        or _overflows(ledger, legs)
        or short_of_funds(ledger, _promised(legs))
    )
    if why:
        return refused(ledger, command, at, why)
    return HoldPlaced(
        **happening(ledger, command, at),
        movements=tuple(HeldMovement(leg.source.name, leg.destination.name, leg.unit, str(leg.amount)) for leg in legs),
        kind=command.kind,
        book=command.book,
        expires_at=command.expires_at,
    )


def capture(ledger: Ledger, command: CaptureHold, at: str) -> TransferPosted | CommandRefused:
    """Move what was held, all that remains or these parts, or say why not. Every rule but funds is asked again."""
    hold = ledger.holds.get(command.hold)
    if hold is None:
        return refused(ledger, command, at, _not_open(command.hold))
    remainders = [Remainder(part.source, part.destination, part.unit, part.remaining) for part in hold.parts]
    parts = taken(ledger, remainders, command.movements)
    if isinstance(parts, Objection):
        return refused(ledger, command, at, parts)
    changes = changes_of(parts)
    why = out_of_use([account for account, _, _ in changes]) or not_admitted(ledger, hold.book, changes)
    settled = why or settle(ledger, changes, captured=True)
    if isinstance(settled, Objection):
        return refused(ledger, command, at, settled)
    return TransferPosted(
        **happening(ledger, command, at),
        kind="capture",
        postings=settled.postings,
        book=hold.book,
        book_version=version_of(ledger, hold.book),
        hold=hold.id,
        final=command.final,
    )


def release(ledger: Ledger, command: ReleaseHold, at: str) -> HoldReleased | CommandRefused:
    """Give back what remains, whoever is frozen, or say why not."""
    hold = ledger.holds.get(command.hold)
    if hold is None:
        return refused(ledger, command, at, _not_open(command.hold))
    return HoldReleased(**happening(ledger, command, at), hold=hold.id, movements=_given_back(hold))


def due(ledger: Ledger, at: str, most: int | None = None) -> list[HoldExpired]:
    """Expire the open holds whose time has come, the earliest first, then by id; `most` of them, or all."""
    return [
        HoldExpired(
            ledger=ledger.name,
            sequence=ledger.sequence + place,
            at=at,
            hold=hold,
            movements=_given_back(ledger.holds[hold]),
        )
        for place, (_, hold) in enumerate(ledger.expiring.due(at, most), start=1)
    ]


def _not_open(hold: str) -> Objection:
    return objection(Reason.HOLD_NOT_OPEN, hold=hold)


def _given_back(hold: Hold) -> tuple[HeldMovement, ...]:
    return tuple(
        HeldMovement(part.source, part.destination, part.unit, str(part.remaining))
        for part in hold.parts
        if part.remaining
    )


def _overflows(ledger: Ledger, legs: Sequence[Leg]) -> Objection | None:
    settled = settle(ledger, changes_of(legs))
    return settled if isinstance(settled, Objection) else None


def _promised(legs: Sequence[Leg]) -> dict[tuple[str, str], int]:
    promised: dict[tuple[str, str], int] = {}
    for leg in legs:
        place = (leg.source.name, leg.unit)
        promised[place] = promised.get(place, 0) - leg.amount
    return promised
