"""Events in a line of plain words, for people."""

from collections.abc import Iterator, Mapping

from schemas.events import (
    AccountChanged,
    CommandRefused,
    Event,
    Happened,
    HoldExpired,
    HoldPlaced,
    HoldReleased,
    LedgerOpened,
    Posting,
    TransferPosted,
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
    """Tell what an event says, without its place and metadata."""
    match event:
        case LedgerOpened():
            return event.ledger
        case AccountChanged():
            floor = "" if event.floor is None else f" to {event.floor}"
            head = f"{event.account}, {event.account_type}, {event.policy}{floor}"
            return ", ".join((head, *_fields(event, "account", "account_type", "policy", "floor")))
        case TransferPosted():
            told = [posting(one, scales) for one in event.postings[:MOST_POSTINGS]]
            more = len(event.postings) - MOST_POSTINGS
            told += [f"and {more} postings more"] if more > 0 else []
            return f"{event.kind}: " + ", ".join((*told, *_fields(event, "kind", "postings")))
        case CommandRefused():
            return f"{event.command_type}{because(event.reason, event.details)}"
        case HoldPlaced() | HoldReleased() | HoldExpired():
            moved = [f"{one.source} → {one.destination} {one.amount} {one.unit}" for one in event.movements]
            return ", ".join((*moved, *_fields(event, "movements")))
        case _:
            return ", ".join(_fields(event))


def beside_postings(event: Event) -> Iterator[str]:
    """Tell, a line each, what a transfer says beside its postings, and the metadata of any event."""
    if isinstance(event, TransferPosted):
        yield ", ".join(_fields(event, "postings"))
    if event.metadata:
        yield in_one_line("metadata " + ", ".join(f"{key}={value}" for key, value in event.metadata.items()))


def _fields(event: Event, *told: str) -> Iterator[str]:
    """Tell what is said in the fields that are not told yet, by their names; nothing of those that say nothing."""
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name in told or name in Happened.__struct_fields__ or value is None or value is False or value == ():
            continue
        text = " ".join(value) if isinstance(value, tuple) else str(value)
        yield name.replace("_", " ") + ("" if value is True else f" {in_one_line(text)}")


def in_one_line(text: str) -> str:
    r"""Show where lines end in a text of others, so that none of it looks like a line of ours.

    >>> in_one_line("gold\nmain 5")
    'gold\\nmain 5'
    """
    return text.replace("\n", r"\n")


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
