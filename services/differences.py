"""What changed between two points of a ledger's past, and what two generations of read models say otherwise.

Law: a point is a sequence, or a time; either way it is when that was over. The journal is asked, so an answer does not
depend on whether any read model is right.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

from domain.ledger import apply
from domain.state import Ledger, Totals
from projections import comparing
from projections.comparing import Compared
from projections.generations import NoGeneration, NotPrepared, find
from schemas.codec import decode_event
from services.errors import Unexpected, WrongSetting
from services.journal import answers
from services.journal.streams import Streams
from services.migrations import READER
from services.projector import REMEDY, connected
from services.reads import NotThere
from services.replay import Place, state_before, touched

_AFTER_ANY_FRACTION = "~"


class Difference(NamedTuple):
    """The totals of an account in a unit at two points, and the units' decimal places."""

    account: str
    unit: str
    before: Totals
    after: Totals


class Between(NamedTuple):
    """Two points of a ledger, by the last sequence of each, and what differs."""

    left: int
    right: int
    scales: dict[str, int]
    differences: list[Difference]


def between(streams: Streams, ledger: str, left: int | str, right: int | str | None) -> Between:
    """Tell which balances changed between two points.

    Args:
        streams: where the ledger is.
        ledger: its name.
        left: the earlier point.
        right: the later point; None is now.

    Raises:
        Away: PostgreSQL does not answer.
        NotThere: there is no such ledger, or it has not come to one of the points.
        Unexpected: an event is missing.
        WrongSetting: the points are the wrong way round.
    """
    first, last = sequence_of(streams, ledger, left), sequence_of(streams, ledger, right)
    if first > last:
        raise WrongSetting(f"what is asked for ends before it begins: from sequence {first} to {last}")
    state = state_before(streams, ledger, first + 1)
    before: dict[Place, Totals] = {}
    for page in streams.pages(ledger, first + 1, last):
        for event in map(decode_event, page):
            for place in touched(state, event):
                if place not in before:
                    before[place] = _totals(state, place)
            apply(state, event)
    changed = ((place, before[place], _totals(state, place)) for place in sorted(before))
    return Between(
        first, last, dict(state.units), [Difference(*place, old, new) for place, old, new in changed if old != new]
    )


def generations(dsn: str, left: int, right: int) -> Iterator[Compared]:
    """Compare two generations of read models, table by table.

    Raises:
        Away: PostgreSQL does not answer.
        NotThere: there is no such generation.
        Unexpected: there are no read models, or one is not of this release's shape.
    """
    with answers.understood(), closing(connected(dsn, "defter-diff", READER)) as connection:
        connection.rollback()
        connection.execute("set transaction isolation level repeatable read read only")
        connection.execute("set local statement_timeout = 0")
        with connection.cursor() as cursor:
            try:
                schemas = [find(cursor, number).schema for number in (left, right)]
            except NoGeneration as none:
                raise NotThere(f"{none}; `defter rebuild --list` tells which there are") from None
            except NotPrepared as not_prepared:
                raise Unexpected(str(not_prepared), REMEDY) from None
        yield from comparing.compare(connection, *schemas)


def sequence_of(streams: Streams, ledger: str, point: int | str | None) -> int:
    """Tell the last sequence that a point of a ledger has; None is now.

    Raises:
        Away: PostgreSQL does not answer.
        NotThere: there is no such ledger, or it has not come to that sequence.
    """
    stored = streams.last(ledger)
    if not stored:
        raise NotThere(f"ledger {ledger} does not exist")
    if isinstance(point, str):
        return streams.since(ledger, point + _AFTER_ANY_FRACTION, stored) - 1
    if point is not None and point > stored:
        raise NotThere(f"ledger {ledger} has come to sequence {stored}, not to {point}")
    return stored if point is None else point


def _totals(state: Ledger, place: Place) -> Totals:
    # As they stand now: those of the state go on.
    return Totals(*state.totals(*place).figures)
