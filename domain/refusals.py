"""How the rules say no."""

from typing import NamedTuple, TypedDict

from domain.state import Ledger
from schemas.commands import Asked
from schemas.events import CommandRefused
from schemas.reasons import Reason


class Objection(NamedTuple):
    """Why a command is refused. `details` have the keys of `SPEC.md` 4.3, in its order; numbers as text."""

    reason: Reason
    details: dict[str, str]


def objection(reason: Reason, **details: object) -> Objection:
    """Object for a reason.

    >>> objection(Reason.ACCOUNT_NOT_FOUND, account="ghost").details
    {'account': 'ghost'}
    """
    return Objection(reason, {name: str(value) for name, value in details.items()})


def refused(ledger: Ledger, command: Asked, at: str, why: Objection) -> CommandRefused:
    """Say no, as the event that it is."""
    tag = type(command).__struct_config__.tag
    return CommandRefused(
        **happening(ledger, command, at), command_type=str(tag), reason=why.reason, details=why.details
    )


class Happening(TypedDict):
    """What every event of a command says."""

    ledger: str
    sequence: int
    at: str
    command: str
    metadata: dict[str, str]


def happening(ledger: Ledger, command: Asked, at: str) -> Happening:
    """Give the next event its place, its time and its command."""
    return Happening(
        ledger=ledger.name,
        sequence=ledger.sequence + 1,
        at=at,
        command=command.id,
        metadata=in_order(command.metadata),
    )


def in_order(metadata: dict[str, str]) -> dict[str, str]:
    """Sort the keys by code point."""
    return dict(sorted(metadata.items())) if metadata else metadata
