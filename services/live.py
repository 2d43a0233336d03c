"""The live generation of read models, to be asked on a connection of its own.

Law: one answer comes from one generation. What is so as of a sequence is so for ever, so what makes up an answer need
not be asked in one transaction, which would cost two wake-ups of both sides; what is so now must be.
"""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any, NamedTuple, TypeVar

import psycopg

from projections import generations
from projections.generations import NotPrepared
from projections.questions import Heading, Questions
from services.errors import Away, Unexpected
from services.journal import answers
from services.projector import REMEDY, connected

_T = TypeVar("_T")

Question = Callable[[Questions, Heading], _T]
"""Asks for what an answer is made of, below its heading."""


class Asked(NamedTuple):
    """What a question is about: see `Questions.heading`."""

    ledger: str
    party: str | None = None
    as_of: int | str | None = None


class _Left(Exception):
    """The generation that was asked is not the live one, or not any more."""


class Live:
    """The live generation. Every method blocks; all are called from one thread.

    Args:
        dsn: the database of the read models.
        role: whose rights are taken.
    """

    def __init__(self, dsn: str, role: str) -> None:
        """Know the database; nothing is connected before the first question."""
        self._dsn = dsn
        self._role = role
        self._connection: psycopg.Connection[Any] | None = None
        self._schema: str | None = None

    def answer(self, asked: Asked, question: Question[_T], *, together: bool) -> _T:
        """Answer from the generation that is live; where it is swapped meanwhile, from the next.

        Args:
            asked: what stands over the answer.
            question: asks for the rest, and may raise what it likes.
            together: it asks for what is so now, so all is asked in one transaction.

        Raises:
            Away: PostgreSQL does not answer.
            Unexpected: there are no read models, or none of this release's.
        """
        try:
            while True:
                with suppress(_Left), answers.understood():
                    return self._answer(asked, question, together=together)
        except NotPrepared as not_prepared:
            raise Unexpected(str(not_prepared), REMEDY) from None
        except Away:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _answer(self, asked: Asked, question: Question[_T], *, together: bool) -> _T:
        connection = self._connected()
        known, self._schema = self._schema, None
        try:
            with connection.transaction() if together else nullcontext(), connection.cursor() as cursor:
                ask = Questions(cursor, known or generations.find(cursor).schema)
                of = ask.heading(*asked)
                if of.schema != ask.schema:
                    raise _Left
                self._schema = ask.schema
                return question(ask, of)
        except psycopg.errors.UndefinedTable:
            if known is None:
                raise
            self._schema = None
            raise _Left from None

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = connected(self._dsn, "defter-reads", self._role)
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
            self._connection.autocommit = True
        return self._connection
