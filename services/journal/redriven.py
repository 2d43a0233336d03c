"""Dead letters as a person looks at them after an incident, and which of them were sent again. Every function blocks.

Law: a row says that a letter was sent again and lies there now; none says that it was not. Rows are only added.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from psycopg.rows import tuple_row

from services.journal.connection import Connection
from services.journal.dead_letters import from_row
from services.journal.ports import DeadLetter

_COLUMNS: Final = '"offset", at_ms, key, value, headers, reason, detail'

_SOME: Final = """
select {columns} from journal.dead_letters as letters
 where "partition" = %(shard)s and "offset" > %(after)s and "offset" <= %(until)s
   and (%(reason)s::text is null or reason = %(reason)s)
   and not (%(pending)s and exists (select from journal.redriven where redriven."partition" = letters."partition"
                                       and redriven."offset" = letters."offset"))
 order by "offset" {order} limit %(most)s"""

_REDRIVEN: Final = """
select "offset", to_partition, to_offset, corrected,
       to_char(redriven_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  from journal.redriven where "partition" = %s and "offset" = any(%s) order by redriven_at"""

_NOTE: Final = """
insert into journal.redriven ("partition", "offset", to_partition, to_offset, corrected)
select %s, * from unnest(%s::int8[], %s::int4[], %s::int8[], %s::bool[])
on conflict do nothing"""

LAST: Final = 2**63 - 1
"""Past every offset."""


class Redriven(NamedTuple):
    """Where a letter was sent again to, whether with other bytes, and when, UTC."""

    partition: int
    offset: int
    corrected: bool
    at: str


class Kept(NamedTuple):
    """A dead letter, where it lay, and each time that it was sent again, the first one first."""

    partition: int
    letter: DeadLetter
    redriven: tuple[Redriven, ...]

    @property
    def place(self) -> str:
        """How a person names it: `0/17`."""
        return f"{self.partition}/{self.letter.offset}"


class Noted(NamedTuple):
    """One letter that was sent again: its offset, and where it lies now."""

    offset: int
    to_partition: int
    to_offset: int
    corrected: bool


class Which(NamedTuple):
    """Which letters are meant. `pending` leaves out those that were sent again."""

    reason: str | None = None
    pending: bool = False


def letters(connection: Connection, shard: int, which: Which, most: int, after: int, until: int) -> list[Kept]:
    """Return the first letters of offsets after `after` up to `until`, in order."""
    return _letters(connection, shard, which, {"after": after, "until": until, "most": most}, "asc")


def last_letters(connection: Connection, shard: int, which: Which, most: int) -> list[Kept]:
    """Return the last letters, in order."""
    return _letters(connection, shard, which, {"after": -1, "until": LAST, "most": most}, "desc")[::-1]


def note(connection: Connection, shard: int, noted: Sequence[Noted]) -> None:
    """Note that letters of a shard were sent again. To note the same twice is to note it once."""
    connection.execute(_NOTE.encode(), (shard, *map(list, zip(*noted, strict=True))))


def _letters(connection: Connection, shard: int, which: Which, span: dict[str, int], order: str) -> list[Kept]:
    statement = _SOME.format(columns=_COLUMNS, order=order).encode()
    arguments: dict[str, Any] = {"shard": shard, **which._asdict(), **span}
    with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        found = [from_row(row) for row in cursor.execute(statement, arguments)]
        cursor.execute(_REDRIVEN.encode(), (shard, [letter.offset for letter in found]))
        again: dict[int, list[Redriven]] = {}
        for offset, *place in cursor:
            again.setdefault(offset, []).append(Redriven(*place))
    return [Kept(shard, letter, tuple(again.get(letter.offset, ()))) for letter in found]
