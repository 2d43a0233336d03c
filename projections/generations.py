"""Generations of read models: made beside one another, one of them live. The views of `read` show the live one.

Law: every page locks its generation's row and gives up when it has changed; so a generation is swapped or dropped only
between pages.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Cursor

SHAPE: Final = 3
"""The version of the tables in `sql/`. Read models of another shape are not touched: they are rebuilt."""

MODELS: Final = (
    "checkpoint",
    "units",
    "accounts",
    "books",
    "ads",
    "outcomes",
    "transfers",
    "balances",
    "holds",
    "postings",
    "trial_balance",
)
"""The files of `sql/`, in the order in which they need one another."""

VIEWS: Final = (
    "ledgers",
    "moments",
    "units",
    "account_versions",
    "accounts",
    "book_versions",
    "books",
    "ads",
    "outcomes",
    "transfers",
    "balances",
    "holds",
    "hold_changes",
    "postings",
    "trial_balance",
)
"""What `read` shows of the live generation."""

_SETUP_LOCK: Final = 0x0DEF7E13
_SQL: Final = Path(__file__).parent / "sql"


class GenerationChanged(RuntimeError):
    """The generation was swapped or dropped. Nothing of the page is kept."""


class NotPrepared(RuntimeError):
    """The database holds no read models, or none of the shape that this release keeps."""


class NoGeneration(NotPrepared):
    """There is no generation of this number, or not any more."""


class Generation(NamedTuple):
    """One generation of read models as it was found."""

    number: int
    changes: int
    whole: bool = True

    @property
    def schema(self) -> str:
        """Where its tables are."""
        return schema_of(self.number)


def schema_of(number: int) -> str:
    """Give the schema that holds a generation."""
    return f"read_{number}"


class Known(NamedTuple):
    """A generation as it is noted. `built` ones are kept by the live projector, others by who builds them."""

    number: int
    shape: int
    live: bool
    built: bool
    changes: int
    whole: bool

    @property
    def keepable(self) -> bool:
        """Whether this release can keep it."""
        return self.shape == SHAPE


def prepare(connection: psycopg.Connection[Any]) -> bool:
    """Make the first generation, live, and the views on it, in a database that has none.

    Safe to repeat, and to run twice at once.

    Args:
        connection: in the role that is to own the read models.

    Returns:
        Whether anything was missing.
    """
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (_SETUP_LOCK,))
        cursor.execute((_SQL / "generations.sql").read_bytes())
        cursor.execute("select exists (select from read.generations)")
        if cursor.fetchone() == (True,):
            return False
        create(cursor, 1)
        cursor.execute("update read.generations set live = true, built = true where generation = 1")
        show(cursor, 1)
        return True


def create(cursor: Cursor[Any], number: int) -> None:
    """Make an empty generation beside the others."""
    schema = schema_of(number)
    cursor.execute(f"create schema {schema}")
    for model in MODELS:
        cursor.execute((_SQL / f"{model}.sql").read_text(encoding="utf-8").replace("{schema}", schema))
    cursor.execute("insert into read.generations (generation, shape, built) values (%s, %s, false)", (number, SHAPE))


def begin(cursor: Cursor[Any], *, whole: bool = True) -> int:
    """Make an empty generation beside the others, and give its number, which no other ever had.

    Args:
        cursor: of the role that owns the read models.
        whole: else it is to have balances alone.
    """
    cursor.execute("select pg_advisory_xact_lock(%s)", (_SETUP_LOCK,))
    cursor.execute("select nextval('read.generation_numbers')")
    ((number,),) = cursor.fetchall()
    create(cursor, number)
    cursor.execute("update read.generations set whole = %s where generation = %s", (whole, number))
    return int(number)


def swap(cursor: Cursor[Any], number: int) -> None:
    """Let a generation be the live one, and the one that was be kept on.

    Waits for pages in flight; none that was begun before is ever stored. It is all true at the end of the transaction.
    """
    cursor.execute(
        "select from read.generations where live or generation = %s order by generation for update", (number,)
    )
    cursor.execute(
        "update read.generations set live = false, left_at = clock_timestamp(), changes = changes + 1 where live"
    )
    cursor.execute(
        "update read.generations set live = true, built = true, left_at = null, changes = changes + 1 "
        "where generation = %s",
        (number,),
    )
    show(cursor, number)


def drop(cursor: Cursor[Any], number: int) -> None:
    """Drop a generation that is not live. Waits for a page in flight.

    Raises:
        NoGeneration: there is none of this number, or it is live.
    """
    cursor.execute("delete from read.generations where generation = %s and not live", (number,))
    if cursor.rowcount != 1:
        raise NoGeneration(f"the database holds no generation {number}, other than the live one")
    cursor.execute(f"drop schema {schema_of(number)} cascade".encode())


def show(cursor: Cursor[Any], number: int) -> None:
    """Let the views of `read` show this generation."""
    for view in VIEWS:
        statement = f"create or replace view read.{view} as select * from {schema_of(number)}.{view}"
        try:
            with cursor.connection.transaction():
                cursor.execute(statement.encode())
        except psycopg.errors.InvalidTableDefinition:
            # Of another shape: what was granted on the view goes with it.
            cursor.execute(f"drop view read.{view}".encode())
            cursor.execute(statement.encode())


def known(cursor: Cursor[Any]) -> list[Known]:
    """Give all generations there are.

    Raises:
        NotPrepared: there are no read models at all.
    """
    _ask(cursor, "select generation, shape, live, built, changes, whole from read.generations order by generation", ())
    return [Known(*row) for row in cursor]


def previous(cursor: Cursor[Any]) -> int | None:
    """Give the number of the generation that was live before the present one; None where none is kept."""
    cursor.execute(
        "select generation from read.generations where built and not live and left_at is not null "
        "order by left_at desc limit 1"
    )
    found = cursor.fetchone()
    return None if found is None else int(found[0])


def find(cursor: Cursor[Any], number: int | None = None) -> Generation:
    """Give a generation as it stands, or the live one.

    Raises:
        NotPrepared: there is no such generation, or it has another shape.
    """
    _ask(
        cursor,
        "select generation, changes, whole, shape from read.generations "
        "where generation = %(number)s or %(number)s::int is null and live",
        {"number": number},
    )
    found = cursor.fetchone()
    if found is None:
        raise NoGeneration(
            "the database holds no generation that is live"
            if number is None
            else f"the database holds no generation {number}"
        )
    generation, changes, whole, shape = found
    if shape != SHAPE:
        raise NotPrepared(
            f"generation {generation} of the read models has shape {shape}, and this release keeps shape {SHAPE}"
        )
    return Generation(generation, changes, whole)


def hold(cursor: Cursor[Any], generation: Generation) -> None:
    """Keep a generation from being swapped or dropped until the end of the transaction.

    Raises:
        GenerationChanged: it has been.
    """
    cursor.execute(
        "select from read.generations where generation = %s and changes = %s for share",
        (generation.number, generation.changes),
    )
    if cursor.rowcount != 1:
        raise GenerationChanged(f"generation {generation.number} of the read models was swapped or dropped")


def _ask(cursor: Cursor[Any], question: str, arguments: Sequence[object] | Mapping[str, object]) -> None:
    try:
        cursor.execute(question.encode(), arguments)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise NotPrepared("the database holds no read models") from None
