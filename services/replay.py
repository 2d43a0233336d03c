"""Plays a window of a ledger's past again, event by event, with what each changed.

Law: same journal, same bytes, on every machine and run. The state before the window comes of folding what was before
it; nothing is printed but what the journal says.

    {"type":"window.v1","ledger":…,"first":…,"last":…,"digest":…}     the state before `first`
    {"event":{…},"changes":[{"account":…,"unit":…,"before":{…},"after":{…}}]}
    {"type":"window.v1","ledger":…,"first":…,"last":…,"digest":…}     the state after `last`
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from domain.digest import digest
from domain.ledger import apply
from domain.state import Ledger
from schemas.codec import decode_event
from schemas.events import Event, HoldExpired, HoldPlaced, HoldReleased, Posting, TransferPosted
from services.journal.streams import Streams

Place = tuple[str, str]
"""Account and unit."""


class Window(NamedTuple):
    """From where to where: `begin` inclusive, `end` exclusive. A sequence, or a time; None is no bound."""

    begin: int | str | None = None
    end: int | str | None = None


class Bounds(NamedTuple):
    """The first and the last sequence of a window. `last` is the one before `first` where no event is inside."""

    first: int
    last: int


def bounds(streams: Streams, ledger: str, window: Window) -> Bounds:
    """Find which events of a ledger are in a window. Raises `Away`; `Unexpected` where an event is missing."""
    stored = streams.last(ledger)

    def sequence_of(bound: int | str | None, otherwise: int) -> int:
        if bound is None:
            return otherwise
        return streams.since(ledger, bound, stored) if isinstance(bound, str) else min(max(bound, 1), stored + 1)

    first = sequence_of(window.begin, 1)
    return Bounds(first, max(sequence_of(window.end, stored + 1) - 1, first - 1))


def state_before(streams: Streams, ledger: str, sequence: int) -> Ledger:
    """Fold a ledger up to, and not including, an event. Raises `Away`; `Unexpected` where one before it is missing."""
    state = Ledger(ledger)
    for page in streams.pages(ledger, 1, sequence - 1):
        for data in page:
            apply(state, decode_event(data))
    return state


def replay(streams: Streams, ledger: str, inside: Bounds) -> Iterator[bytes]:
    """Play a window of one ledger.

    Args:
        streams: where the ledger is.
        ledger: its name.
        inside: what to play, as `bounds` gives it.

    Yields:
        JSON Lines, some thousand at a time, each with its newline.

    Raises:
        Away: PostgreSQL does not answer.
        Unexpected: an event is missing. What was before it has been given.
    """
    state = state_before(streams, ledger, inside.first)
    yield _border(state, inside)
    for page in streams.pages(ledger, *inside):
        lines: list[bytes] = []
        for data in page:
            lines += (b'{"event":', data, b',"changes":[', _played(state, data), b"]}\n")
        yield b"".join(lines)
    yield _border(state, inside)


def _border(state: Ledger, inside: Bounds) -> bytes:
    line = {"type": "window.v1", "ledger": state.name, "first": inside.first, "last": inside.last}
    return msgspec.json.encode(line | {"digest": digest(state)}) + b"\n"


def _played(state: Ledger, data: bytes) -> bytes:
    """Play one event, and say what it changed."""
    event = decode_event(data)
    if type(event) is TransferPosted and len(event.postings) == _TWO and event.hold is None:
        one, two = event.postings
        if one.account != two.account:
            changes = _of_two(state, one, two)
            apply(state, event)
            return changes.encode()
    places = touched(state, event)
    before = [_totals(state, place) for place in places]
    apply(state, event)
    return ",".join(
        _CHANGE % (*place, old, new)
        for place, old in zip(places, before, strict=True)
        if (new := _totals(state, place)) != old
    ).encode()


def _of_two(state: Ledger, one: Posting, two: Posting) -> str:
    """Say what two postings change, of one unit and two accounts: so are nearly all transfers."""
    if two.account < one.account:
        one, two = two, one
    first = state.totals(one.account, one.unit)
    second = state.totals(two.account, two.unit)
    return (
        f'{{"account":"{one.account}","unit":"{one.unit}",'
        f'"before":{{"debits":"{first.debits}","credits":"{first.credits}","held":"{first.held}"}},'
        f'"after":{{"debits":"{one.debits}","credits":"{one.credits}","held":"{first.held}"}}}},'
        f'{{"account":"{two.account}","unit":"{two.unit}",'
        f'"before":{{"debits":"{second.debits}","credits":"{second.credits}","held":"{second.held}"}},'
        f'"after":{{"debits":"{two.debits}","credits":"{two.credits}","held":"{second.held}"}}}}'
    )


# Names of accounts and units hold nothing that JSON would escape (SPEC 2).
_CHANGE: Final = '{"account":"%s","unit":"%s","before":%s,"after":%s}'
_TOTALS: Final = '{"debits":"%d","credits":"%d","held":"%d"}'
_TWO: Final = 2


def _totals(state: Ledger, place: Place) -> str:
    return _TOTALS % state.totals(*place).figures


def touched(state: Ledger, event: Event) -> list[Place]:
    """Name what an event may change, in order."""
    places: set[Place] = set()
    if isinstance(event, TransferPosted):
        places.update((posting.account, posting.unit) for posting in event.postings)
        if event.hold is not None:
            places.update((part.source, part.unit) for part in state.holds[event.hold].parts)
    elif isinstance(event, HoldPlaced | HoldReleased | HoldExpired):
        places.update((movement.source, movement.unit) for movement in event.movements)
    return sorted(places)
