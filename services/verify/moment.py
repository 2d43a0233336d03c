"""The database as of one moment, on as many connections as one likes.

Law: all that is compared is of the same moment, so that a journal that grows meanwhile looks neither cut short nor too
long. The first connection shows its snapshot, the others take it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from services.journal import answers, arrays
from services.journal.connection import parameters
from services.migrations import READER

# A worker may be busy with a page for long, and one statement looks at a whole shard.
_PATIENT = "set idle_in_transaction_session_timeout = 0; set statement_timeout = 0"


class Moment:
    """A connection that sees one moment, and changes nothing.

    Args:
        dsn: the database.
        snapshot: what `shown` gave elsewhere; without it the moment is now.

    Raises:
        Away: PostgreSQL does not answer.
        Unexpected: the login or the role is not the one expected.
    """

    def __init__(self, dsn: str, snapshot: str | None = None) -> None:
        with answers.understood():
            self._connection: psycopg.Connection[Any] = psycopg.connect(
                **parameters(dsn, "defter-verify"), autocommit=True
            )
            arrays.register(self._connection)
            self._connection.execute("select set_config('role', %s, false)", (READER,))
            self._connection.execute(_PATIENT)
            self._connection.execute("begin isolation level repeatable read read only")
            if snapshot:
                self._connection.execute(sql.SQL("set transaction snapshot {}").format(sql.Literal(snapshot)))

    def shown(self) -> str:
        """Return what another connection needs to see the same, as long as this one is open."""
        ((snapshot,),) = self.rows(b"select pg_export_snapshot()")
        return str(snapshot)

    def rows(self, statement: bytes, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask, and return all rows. Raises `Away`."""
        with answers.understood(), self._connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            return cursor.execute(statement, arguments, prepare=True).fetchall()

    def stream(self, statement: bytes, arguments: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Ask, and give the rows, some thousand at a time. Raises `Away`."""
        with answers.understood(), self._connection.cursor("rows", row_factory=tuple_row) as cursor:
            cursor.itersize = 1000
            cursor.execute(statement, arguments, binary=True)
            yield from cursor

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()
