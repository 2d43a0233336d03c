"""Postings, and with them balances: the totals of an account are what its last posting says.

The postings that a page brings are gathered by account and unit, so a page becomes one row for each place that it
touches, however often. The rows go in sorted by place: neighbours in the page are neighbours in the index.
"""

from collections import defaultdict
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final

from psycopg import Cursor

from projections.copying import copy, line, lines_rows
from projections.places import Places
from schemas.lean import LeanPosting

MOST_LINES: Final = 100
"""A longer row is divided, though never inside a transfer. At this length two of them fit a page of the table."""

_SEQUENCE: Final = slice(4, 12)

Scope = tuple[str, str]
"""Ledger and unit."""


class Moved:
    """What a page moved in one ledger and unit: in all, and the lines of each account."""

    __slots__ = ("credits", "debits", "lines")

    def __init__(self) -> None:
        self.debits = 0
        self.credits = 0
        self.lines: defaultdict[str, list[bytes]] = defaultdict(list)


class Postings:
    """The postings of one page.

    Args:
        schema: of the generation, such as `read_1`.
        places: the numbers of places.
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
                lines = moved.lines
            amount = posting.amount
            if amount < 0:
                moved.debits -= amount
            else:
                moved.credits += amount
            lines[posting.account].append(line(8, sequence, 8, index, 8, amount, 8, posting.debits, 8, posting.credits))
            index += 1  # noqa: SIM113 - counting by hand spares a tuple for every posting there is

    def write(self, cursor: Cursor[Any]) -> None:
        """Store what was taken in, and forget it."""
        rows: list[tuple[int, list[bytes]]] = []
        for (ledger, unit), moved in self.moved.items():
            rows += zip(self._places.of(cursor, ledger, unit, moved.lines), moved.lines.values(), strict=True)
        if rows:
            rows.sort(key=itemgetter(0))
            if max(len(lines) for _, lines in rows) > MOST_LINES:
                rows = [(number, part) for number, lines in rows for part in _parts(lines)]
            copy(cursor, f"{self._schema}.posting_lines", "place, sequence, lines", lines_rows(rows))
        self.moved.clear()

    def _of(self, ledger: str, unit: str) -> Moved:
        moved = self.moved.get((ledger, unit))
        if moved is None:
            moved = self.moved[ledger, unit] = Moved()
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
