"""Events in a line of plain words, for people."""

from collections.abc import Mapping

from schemas.events import (
    AccountChanged,
    CommandRefused,
    Event,
    HoldExpired,
    HoldPlaced,
    HoldReleased,
    LedgerOpened,
    Posting,
    TransferPosted,
    UnitDefined,
)
from services.cli.screen import whole

MOST_POSTINGS = 8

Scales = dict[str, int]
"""Of units, as far as they are known."""


def sentence(event: Event, scales: Scales) -> str:
    """Tell an event, with its place, in one line.

    Args:
        event: what happened.
        scales: of units, so that amounts can be told in whole units too.
    """
    head = f"{event.ledger} {event.sequence}  {event.at}  {_tag(event).partition('.')[0]}"
    said = substance(event, scales)
    by = f"  ({event.command})" if event.command else ""
    return f"{head}: {said}{by}" if said else f"{head}{by}"


def substance(event: Event, scales: Scales) -> str:
    """Tell what an event says, without its place."""
    match event:
        case LedgerOpened():
            return event.ledger
        case UnitDefined():
            return f"{event.unit}, scale {event.scale}"
        case AccountChanged():
            floor = "" if event.floor is None else f" to {event.floor}"
            return f"{event.account}, {event.account_type}, {event.policy}{floor}, version {event.version}"
        case TransferPosted():
            told = [posting(one, scales) for one in event.postings[:MOST_POSTINGS]]
            more = len(event.postings) - MOST_POSTINGS
            return f"{event.kind}: " + ", ".join(told) + (f", and {more} postings more" if more > 0 else "")
        case CommandRefused():
            return f"{event.command_type}{because(event.reason, event.details)}"
        case HoldPlaced() | HoldReleased() | HoldExpired():
            return ", ".join(f"{one.source} → {one.destination} {one.amount} {one.unit}" for one in event.movements)
        case _:
            return ""


def because(reason: str | None, details: Mapping[str, str]) -> str:
    """Tell why the answer is no; nothing where it is not.

    >>> because("ACCOUNT_NOT_FOUND", {"account": "nobody"})
    ': ACCOUNT_NOT_FOUND (account nobody)'
    """
    said = ", ".join(value if name == "detail" else f"{name} {value}" for name, value in details.items())
    return (f": {reason} ({said})" if said else f": {reason}") if reason else ""


def posting(one: Posting, scales: Scales) -> str:
    """Tell a posting: minimal parts and, in brackets, whole units."""
    whole_units = whole(int(one.amount), scales.get(one.unit))
    sign = "+" if int(one.amount) > 0 else ""
    return f"{one.account} {sign}{one.amount} {one.unit}" + (f" ({sign}{whole_units})" if whole_units else "")


def _tag(event: Event) -> str:
    return str(type(event).__struct_config__.tag)
