"""Postings, and with them balances: the totals of an account are what its last posting says.

The postings that a page brings are gathered by account and unit, so a page becomes one row for each place that it
touches, however often. The rows go in sorted by place: neighbours in the page are neighbours in the index.
"""

from itertools import pairwise
from operator import attrgetter
from typing import Any, Final

from psycopg import Cursor

from projections.copying import copy, line, lines_rows
from projections.places import Place, Places
from schemas.lean import LeanPosting

MOST_LINES: Final = 100
"""A longer row is divided, though never inside a transfer. At this length two of them fit a page of the table."""

_SEQUENCE: Final = slice(4, 12)

Scope = tuple[str, str]
"""Ledger and unit."""


class Moved:
    """What a page moved in one ledger and unit: in all, and which places it touched, each with its lines."""

    __slots__ = ("credits", "debits", "new", "places", "touched")

    def __init__(self, places: dict[str, Place]) -> None:
        self.debits = 0
        self.credits = 0
        self.places = places
        self.new: dict[str, Place] = {}
        self.touched: list[Place] = []


class Postings:
    """The postings of one page.

    Args:
        schema: of the generation, such as `read_1`.
        places: that were met before.
    """

    def __init__(self, schema: str, places: Places) -> None:
        self.moved: dict[Scope, Moved] = {}
        self._schema = schema
        self._places = places

    def fold(self, ledger: str, sequence: int, postings: tuple[LeanPosting, ...]) -> None:
        """Take in the postings of one transfer."""
        unit = None
        index = 0
        for posting in postings:
            if posting.unit != unit:
                unit = posting.unit
                moved = self._of(ledger, unit)
            amount = posting.amount
            if amount < 0:
                moved.debits -= amount
            else:
                moved.credits += amount
            told = line(8, sequence, 8, index, 8, amount, 8, posting.debits, 8, posting.credits)
            place = moved.places.get(posting.account)
            if place is None:
                place = moved.places[posting.account] = moved.new[posting.account] = Place()
            if place.lines is None:
                place.lines = [told]
                moved.touched.append(place)
            else:
                place.lines.append(told)
            index += 1  # noqa: SIM113 - counting by hand spares a tuple for every posting there is

    def write(self, cursor: Cursor[Any]) -> None:
        """Store what was taken in, and forget it."""
        touched: list[Place] = []
        for (ledger, unit), moved in self.moved.items():
            if moved.new:
                self._places.number(cursor, ledger, unit, moved.new)
            touched += moved.touched
        touched.sort(key=attrgetter("number"))
        rows = [(place.number, part) for place in touched if place.lines for part in _parts(place.lines)]
        if rows:
            copy(cursor, f"{self._schema}.posting_lines", "place, sequence, lines", lines_rows(rows))
        for place in touched:
            place.lines = None
        self.moved.clear()

    def _of(self, ledger: str, unit: str) -> Moved:
        moved = self.moved.get((ledger, unit))
        if moved is None:
            moved = self.moved[ledger, unit] = Moved(self._places.among(ledger, unit))
        return moved


def _parts(lines: list[bytes]) -> list[list[bytes]]:
    """Divide the lines of one place, between transfers, where they are too many for one row."""
    if len(lines) <= MOST_LINES:
        return [lines]
    parts = [[lines[0]]]
    for before, after in pairwise(lines):
        if len(parts[-1]) >= MOST_LINES and before[_SEQUENCE] != after[_SEQUENCE]:
            parts.append([])
        parts[-1].append(after)
    return parts
