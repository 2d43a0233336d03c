"""How a dead letter is kept as a row, and read back as it came.

Names and values of headers are kept as bytes: Kafka promises nothing about them. Reason and detail are text that
PostgreSQL can store, whatever the record said.
"""

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

from services.journal import arrays
from services.journal.ports import DeadLetter
from services.kafka.ports import Headers


def columns(letters: Sequence[DeadLetter]) -> tuple[arrays.Column, ...]:
    """Return what is stored of `letters`, a column each.

    Returns:
        The headers of all, one after the other; offsets, times, keys, values, reasons, details; and where among those
        headers each letter's own begin and end, as PostgreSQL counts.
    """
    letters = [storable(letter) for letter in letters]
    headers = [_flat(letter.headers) for letter in letters]
    ends = list(accumulate(map(len, headers), initial=0))
    return (
        arrays.byteas_or_null(list(chain.from_iterable(headers))),
        arrays.bigints([letter.offset for letter in letters]),
        arrays.bigints([letter.at_ms for letter in letters]),
        arrays.byteas_or_null([letter.key for letter in letters]),
        arrays.byteas_or_null([letter.value for letter in letters]),
        arrays.texts([letter.reason for letter in letters]),
        arrays.texts([letter.detail for letter in letters]),
        arrays.ints([end + 1 for end in ends[:-1]]),
        arrays.ints(ends[1:]),
    )


def _flat(headers: Headers) -> list[bytes | None]:
    return [part for name, value in headers for part in (name.encode("utf-8", "surrogatepass"), value)]


def from_row(row: Any) -> DeadLetter:
    """Return the dead letter that is stored in `row`: offset, at_ms, key, value, headers, reason, detail."""
    offset, at_ms, key, value, headers, reason, detail = row
    names = [name.decode("utf-8", "surrogatepass") for name in headers[::2]]
    return DeadLetter(offset, at_ms, key, value, tuple(zip(names, headers[1::2], strict=True)), reason, detail)


def storable(letter: DeadLetter) -> DeadLetter:
    r"""Return `letter` with a detail that any database takes: U+0000 and lone surrogates are written out.

    >>> storable(DeadLetter(0, 0, None, None, (), "MALFORMED", "unknown field \ud800\0")).detail
    'unknown field \\ud800\\u0000'
    """
    detail = letter.detail.encode("utf-8", "backslashreplace").decode().replace("\0", "\\u0000")
    return letter._replace(detail=detail, headers=tuple((name, value) for name, value in letter.headers))
