"""Rows in the form that COPY takes them in: PostgreSQL's own binary format, the cheapest way in for many rows.

A field is its width and its bytes. Whatever can be made once is made once, so that a row costs a pack and a join.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from psycopg import Cursor

_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TAIL: Final = b"\xff\xff"
_POSTGRESQL_BEGINS: Final = datetime(2000, 1, 1, tzinfo=UTC)
_INT8_OID: Final = 20
_TEXT_OID: Final = 25

_fields: Final = Struct("!h").pack
_width: Final = lru_cache(maxsize=1 << 16)(Struct("!i").pack)
_int8: Final = Struct("!iq").pack
_list: Final = Struct("!iiiiii").pack
_table: Final = Struct("!iiiiiiii").pack
_lines_row: Final = Struct("!hii").pack
_NULL: Final = _width(-1)

line: Final = Struct("!iqiqiqiqiq").pack
"""Makes an element of `lines_rows`: five bigints, each after its width, 8. The first twelve bytes are a field."""

_FIRST: Final = slice(12)
_NUMBERS: Final = 5
_LINE_BYTES: Final = 12 * _NUMBERS


def copy(cursor: Cursor[Any], table: str, columns: str, rows: Iterable[bytes]) -> None:
    """Send rows, whole or in pieces, to `table`, which is qualified by its schema, in one stroke."""
    with cursor.copy(f"copy {table} ({columns}) from stdin (format binary)") as stream:
        stream.write(b"".join((_HEAD, *rows, _TAIL)))


def lines_rows(rows: Iterable[tuple[int, Sequence[bytes]]]) -> list[bytes]:
    """Make rows of an int4, the first number of the last line as an int8, and the lines as a `bigint[][]`."""
    pieces: list[bytes] = []
    for number, lines in rows:
        pieces += (_lines_row(3, 4, number), lines[-1][_FIRST], _lines_head(len(lines)))
        pieces += lines
    return pieces


@lru_cache(maxsize=1024)
def _lines_head(length: int) -> bytes:
    return _table(28 + _LINE_BYTES * length, 2, 0, _INT8_OID, length, 1, _NUMBERS, 1)


def row(*fields: bytes) -> bytes:
    """Make a row of fields."""
    return _fields(len(fields)) + b"".join(fields)


def int8(value: int) -> bytes:
    """Make a field of an int8."""
    return _int8(8, value)


@lru_cache(maxsize=1024)
def time(value: str) -> bytes:
    """Make a field of a timestamptz, from a time as messages have it."""
    return int8((datetime.fromisoformat(value) - _POSTGRESQL_BEGINS) // timedelta(microseconds=1))


def text(value: str | None) -> bytes:
    """Make a field of a text, or an element of `texts`."""
    if value is None:
        return _NULL
    encoded = value.encode()
    return _width(len(encoded)) + encoded


def elements(values: Sequence[str | None]) -> list[bytes]:
    """Make elements of `texts`. Hardly ever is one of them null."""
    if None in values:
        return [text(value) for value in values]
    return [_width(len(one)) + one for one in map(str.encode, values)]  # type: ignore[arg-type]


def texts(made: Sequence[bytes]) -> bytes:
    """Make a field of a `text[]` of its elements."""
    joined = b"".join(made)
    return _list(20 + len(joined), 1, 1, _TEXT_OID, len(made), 1) + joined
