"""How a dead letter is kept as a row, and read back as it came.

Names and values of headers are kept as bytes: Kafka promises nothing about them. Reason and detail are text that
PostgreSQL can store, whatever the record said.
"""

from typing import Any, NamedTuple

from services.journal.ports import DeadLetter


class Kept(NamedTuple):
    """The columns of a dead letter, in the order of the table."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[bytes | None]
    at_ms: int
    reason: str
    detail: str


def as_row(letter: DeadLetter, shard: int) -> Kept:
    """Return what is stored of `letter`."""
    letter = storable(letter)
    headers = [part for name, value in letter.headers for part in (name.encode("utf-8", "surrogatepass"), value)]
    return Kept(shard, letter.offset, letter.key, letter.value, headers, letter.at_ms, letter.reason, letter.detail)


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
