"""Reads ledgers one at a time, each in the order of its sequences: for replay, `verify` and questions about the past.

`services.journal.reading` reads a shard in the order of its positions, as whoever follows it must. Here one ledger is
read from wherever one likes, and no other costs anything. Every method blocks, and is called by one thread at a time.

Law: what is told of a ledger has no gaps. Whoever folds it on stops at an event that is missing, and says which.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
import psycopg
from msgspec import Struct

from services.errors import Unexpected
from services.journal import answers
from services.journal.connection import parameters
from services.journal.recorder import ledger_id, of_shard
from services.migrations import READER, check

# The bytes say all else that their row does: a column more is a fifth of what reading costs.
_PAGE: Final = """
select state from journal.shard_{shard}_events
 where originator_id = %b and originator_version between %b and %b order by originator_version limit %b"""

_SEQUENCES: Final = """
select originator_version from journal.shard_{shard}_events
 where originator_id = %b and originator_version between %b and %b"""

_LAST: Final = """
select max(originator_version) from journal.shard_{shard}_events where originator_id = %b"""

_LEDGERS: Final = b"select name from journal.ledgers where shard = %s"

# As many as stay in the processor's cache from reading to folding. Events may be large, and are read no further ahead.
_ROWS: Final = 1000


_T = TypeVar("_T")


class _Timed(Struct):
    at: str


_timed: Final = msgspec.json.Decoder(_Timed)


class Streams:
    """The ledgers of one shard.

    Args:
        dsn: the database that holds the shard.
        shard: which one.
        name: what PostgreSQL knows the connection by.

    Raises:
        Away: PostgreSQL does not answer.
        Unexpected: it is not the database, or not the schema, that is expected.
    """

    def __init__(self, dsn: str, shard: int, name: str = "defter-replay") -> None:
        self._shard = shard
        with answers.understood():
            self._connection: psycopg.Connection[Any] = psycopg.connect(**parameters(dsn, name), autocommit=True)
            self._connection.execute("select set_config('role', %s, false)", (READER,))
            check(self._connection, shard)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def ledgers(self) -> list[str]:
        """Name every ledger of the shard, in order. Raises `Away`."""
        with answers.understood():
            return sorted(name for (name,) in self._connection.execute(_LEDGERS, (self._shard,)))

    def last(self, ledger: str) -> int:
        """Return the last sequence of a ledger, 0 where there is none. Raises `Away`."""
        ((last,),) = self._ask(_LAST, ledger_id(ledger))
        return last or 0

    def since(self, ledger: str, at: str, last: int) -> int:
        """Return the first sequence at or after a time; the one after `last` where there is none.

        Raises:
            Away: PostgreSQL does not answer.
            Unexpected: an event that was looked at for its time is missing.
        """
        low, high = 1, last + 1
        while low < high:
            middle = (low + high) // 2
            ((event,),) = self._pages(ledger, middle, middle)
            low, high = (middle + 1, high) if _timed.decode(event).at < at else (low, middle)
        return low

    def pages(self, ledger: str, first: int, last: int) -> Iterator[list[bytes]]:
        """Give the events from `first` up to and including `last`, as they are stored.

        The next are fetched while some are worked on.

        Raises:
            Away: PostgreSQL does not answer.
            Unexpected: one of them is missing. Those before its page have been given.
        """
        return ahead(self._pages(ledger, first, last))

    def _pages(self, ledger: str, first: int, last: int) -> Iterator[list[bytes]]:
        while first <= last:
            end = min(first + _ROWS, last + 1)
            page = self._ask(_PAGE, ledger_id(ledger), first, end - 1, _ROWS)
            if len(page) < end - first:
                there = self._ask(_SEQUENCES, ledger_id(ledger), first, end - 1)
                missing = min({*range(first, end)}.difference(sequence for (sequence,) in there))
                raise Unexpected(
                    f"event {missing} of {ledger} is missing from the journal",
                    "`defter verify` tells what else is not as it must be; what to do then: docs/incidents.md",
                )
            yield [event for (event,) in page]
            first = end

    def _ask(self, statement: str, ledger: bytes, *numbers: int) -> list[Any]:
        arguments = (UUID(bytes=ledger), *numbers)
        with answers.understood(), self._connection.cursor(binary=True) as cursor:
            return cursor.execute(of_shard(statement, self._shard), arguments, prepare=True).fetchall()


def ahead(pages: Iterator[_T]) -> Iterator[_T]:
    """Give what an iterator gives, and let it make the next while one is worked on."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = thread.submit(next, pages, None)
            yield page
