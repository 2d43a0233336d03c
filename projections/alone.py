"""Balances alone: what is needed to compare them, and nothing else, in a fraction of the time.

Of the postings that a page brings to an account only the last is kept, because it has the totals. So a generation of
this kind can be asked for balances, and for nothing else; it is never shown to anybody.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import Cursor

from projections.checkpoint import Stored
from projections.copying import copy, line, lines_rows
from projections.generations import Generation
from projections.places import Place, Places
from projections.postings import Scope
from projections.projection import Projection
from schemas.codec import decode_event
from schemas.events import HoldExpired, HoldPlaced, HoldReleased
from schemas.lean import TRANSFER, LeanPosting, decode_transfer

_Last = tuple[int, int, LeanPosting]


def projection(connection: psycopg.Connection[Any], generation: Generation, shard: int) -> Projection:
    """Give what takes pages into a generation: into all of it, or into balances alone."""
    kind = Projection if generation.whole else BalancesAlone
    return kind(connection, generation, shard)


class BalancesAlone(Projection):
    """As `Projection`, of a generation that is not whole."""

    def __init__(self, connection: psycopg.Connection[Any], generation: Generation, shard: int) -> None:
        super().__init__(connection, generation, shard)
        self._last = LastPostings(generation.schema, self._places)
        self._models = (self._last, self._holds, self._checkpoint)

    def fold(self, rows: Sequence[Stored]) -> None:
        """Take events into the page. See `Projection.fold`."""
        fold, time = self._last.fold, self._checkpoint.time
        for ledger, sequence, tag, data in self._checkpoint.due(rows):
            if tag == TRANSFER:
                transfer = decode_transfer(data)
                time(ledger, transfer.at)
                fold(ledger, sequence, transfer.postings)
                if transfer.hold is not None:
                    self._holds.capture(ledger, sequence, transfer.hold, transfer)
            else:
                event = decode_event(data)
                time(ledger, event.at)
                if isinstance(event, HoldPlaced | HoldReleased | HoldExpired):
                    self._fold(event)


class LastPostings:
    """The last posting of each account and unit that one page brings.

    Args:
        schema: of the generation, such as `read_2`.
        places: that were met before.
    """

    def __init__(self, schema: str, places: Places) -> None:
        self._schema = schema
        self._places = places
        self._last: dict[Scope, dict[str, _Last]] = {}

    def fold(self, ledger: str, sequence: int, postings: tuple[LeanPosting, ...]) -> None:
        """Take in the postings of one transfer."""
        unit = None
        index = 0
        for posting in postings:
            if posting.unit != unit:
                unit = posting.unit
                last = self._last.setdefault((ledger, unit), {})
            last[posting.account] = (sequence, index, posting)
            index += 1  # noqa: SIM113 - as in `Postings.fold`

    def write(self, cursor: Cursor[Any]) -> None:
        """Store what was taken in, and forget it."""
        rows: list[tuple[int, list[bytes]]] = []
        for (ledger, unit), last in self._last.items():
            places = self._places.among(ledger, unit)
            if new := {account: Place() for account in last.keys() - places.keys()}:
                self._places.number(cursor, ledger, unit, new)
                places |= new
            rows += [(places[account].number, [_line(*told)]) for account, told in last.items()]
        if rows:
            rows.sort()
            copy(cursor, f"{self._schema}.posting_lines", "place, sequence, lines", lines_rows(rows))
        self._last.clear()


def _line(sequence: int, index: int, posting: LeanPosting) -> bytes:
    return line(8, sequence, 8, index, 8, posting.amount, 8, posting.debits, 8, posting.credits)
