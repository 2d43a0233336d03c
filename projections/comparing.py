"""Whether two generations say the same, table by table: how many rows, their digest, and the first that differs.

Law: what is compared is what is said, not how it is packed. How pages were cut and which numbers places were given make
no difference, so read models that were kept live equal those that were rebuilt.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import tuple_row

from projections.checkpoint import wire_time

Row = tuple[Any, ...]
"""The values of a row, its key first."""


class Digest(NamedTuple):
    """How many rows there are, and the SHA-256 of them all, in the order of their keys."""

    rows: int
    sha256: str


class Difference(NamedTuple):
    """The first row that is not the same in both; None where one has no such row."""

    table: str
    columns: tuple[str, ...]
    left: Row | None
    right: Row | None

    def __str__(self) -> str:
        """Name the row, and say what each has where they differ."""
        key = TABLES[self.table].key
        left, right = self.left or (), self.right or ()
        place = " ".join(str(value) for value in (left or right)[:key])
        if not left or not right:
            return f"{self.table}: {place} is only in the {'first' if left else 'second'}"
        told = zip(self.columns, left, right, strict=True)
        apart = ", ".join(f"{column} {one} and {other}" for column, one, other in told if one != other)
        return f"{self.table}: {place} has {apart}"


class Compared(NamedTuple):
    """One table of two generations, and the first difference if there is one."""

    table: str
    left: Digest
    right: Digest
    difference: Difference | None


class Table(NamedTuple):
    """Something that read models say: its columns, of which the first so many are the key, and where they are."""

    columns: tuple[str, ...]
    key: int
    source: str


def _table(columns: str, key: int, source: str) -> Table:
    return Table(tuple(column.strip() for column in columns.split(",")), key, source)


_TIMES: Final = {"at", "expires_at"}

_LINES: Final = """
(select ledger, account, unit, lines[n][1] as sequence, lines[n][2] as index, lines[n][3] as amount,
        lines[n][4] as debits, lines[n][5] as credits
   from {schema}.places join {schema}.posting_lines using (place) cross join generate_subscripts(lines, 1) as n)"""

TABLES: Final[dict[str, Table]] = {
    "balances": _table("ledger, account, unit, debits, credits, held, sequence", 3, "{schema}.balances"),
    "trial_balance": _table("ledger, unit, debits, credits", 2, "{schema}.trial_balance"),
    "postings": _table("ledger, account, unit, sequence, index, amount, debits, credits", 5, _LINES),
    "held": _table(
        "ledger, account, unit, sequence, held",
        4,
        "(select * from {schema}.held_lines join {schema}.places using (place))",
    ),
    "outcomes": _table("ledger, sequence, command, kind, reason, details, command_type", 2, "{schema}.outcomes"),
    "accounts": _table(
        "ledger, account, version, sequence, account_type, policy, floor, flags, book, alias, state",
        3,
        "{schema}.account_versions",
    ),
    "books": _table("ledger, book, version, sequence, name, units, flags, accounts", 3, "{schema}.book_versions"),
    "units": _table("ledger, unit, scale, name, sequence", 2, "{schema}.units"),
    "holds": _table(
        "ledger, hold, sequence, kind, book, expires_at, sources, destinations, units, amounts, remaining, state, "
        "changed",
        2,
        "{schema}.holds",
    ),
    "hold_changes": _table("ledger, hold, sequence, remaining, state", 3, "{schema}.hold_changes"),
    "ads": _table(
        'ledger, ad, account, base, quote, rate, "limit", taken, state, sequence, changed', 2, "{schema}.ads"
    ),
    "ledgers": _table("ledger, shard, sequence, at", 1, "{schema}.ledgers"),
    "moments": _table("ledger, sequence, at", 2, "{schema}.moments"),
}
"""What there is to compare, the gravest first."""


def compare(
    connection: psycopg.Connection[Any], left: str, right: str, tables: Iterable[str] = ()
) -> Iterator[Compared]:
    """Compare two generations, table by table.

    Args:
        connection: in a transaction that sees one state of the database.
        left: the schema of one, such as `read_1`.
        right: that of the other.
        tables: which; all of them if not said.
    """
    for table in tables or TABLES:
        found = digest(connection, left, table), digest(connection, right, table)
        differs = found[0] != found[1]
        yield Compared(table, *found, first_difference(connection, left, right, table) if differs else None)


def digest(connection: psycopg.Connection[Any], schema: str, table: str) -> Digest:
    """Give the digest of one table of a generation."""
    told = sha256()
    count = 0
    statement = f"copy ({_select(schema, table)}) to stdout"
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copied:
        for part in map(bytes, copied):
            told.update(part)
            count += part.count(b"\n")
    return Digest(count, told.hexdigest())


def rows(connection: psycopg.Connection[Any], schema: str, table: str) -> Iterator[Row]:
    """Give the rows of one table of a generation, by key, a few at a time."""
    name = f"rows of {schema}.{table}"
    with connection.cursor(name, row_factory=tuple_row) as cursor:
        cursor.execute(_select(schema, table).encode())
        yield from cursor


def first_difference(connection: psycopg.Connection[Any], left: str, right: str, table: str) -> Difference | None:
    """Give the first row, by key, that one of two generations has not or has otherwise; None where there is none."""
    columns, key, _ = TABLES[table]
    coming = rows(connection, left, table), rows(connection, right, table)
    while True:
        ours, theirs = next(coming[0], None), next(coming[1], None)
        if ours == theirs:
            if ours is None:
                return None
            continue
        if ours is None or theirs is None or ours[:key] == theirs[:key]:
            return Difference(table, columns, ours, theirs)
        # What comes first is missing in the other one.
        return Difference(table, columns, *((ours, None) if ours[:key] < theirs[:key] else (None, theirs)))


def _select(schema: str, table: str) -> str:
    columns, key, source = TABLES[table]
    said = (wire_time(column) if column in _TIMES else column for column in columns)
    order = ", ".join(columns[:key])
    return f"select {', '.join(said)} from {source.format(schema=schema)} as source order by {order}"
