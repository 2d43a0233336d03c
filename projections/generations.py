"""Generations of read models: made beside one another, one of them live. The views of `read` show the live one.

Law: every page locks its generation's row and gives up when it has changed; so a generation is swapped or dropped only
between pages.
"""

from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Cursor

SHAPE: Final = 2
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


class Generation(NamedTuple):
    """One generation of read models as it was found."""

    number: int
    changes: int

    @property
    def schema(self) -> str:
        """Where its tables are."""
        return f"read_{self.number}"


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
        cursor.execute("select to_regclass('read.generations') is not null")
        if cursor.fetchone() == (True,):
            return False
        cursor.execute((_SQL / "generations.sql").read_bytes())
        create(cursor, 1)
        cursor.execute("update read.generations set live = true where generation = 1")
        show(cursor, 1)
        return True


def create(cursor: Cursor[Any], number: int) -> None:
    """Make an empty generation beside the others."""
    schema = Generation(number, 0).schema
    cursor.execute(f"create schema {schema}")
    for model in MODELS:
        cursor.execute((_SQL / f"{model}.sql").read_text(encoding="utf-8").replace("{schema}", schema))
    cursor.execute("insert into read.generations (generation, shape) values (%s, %s)", (number, SHAPE))


def show(cursor: Cursor[Any], number: int) -> None:
    """Let the views of `read` show this generation."""
    for view in VIEWS:
        cursor.execute(f"create or replace view read.{view} as select * from {Generation(number, 0).schema}.{view}")


def find(cursor: Cursor[Any], number: int | None = None) -> Generation:
    """Give a generation as it stands, or the live one.

    Raises:
        NotPrepared: there is no such generation, or it has another shape.
    """
    try:
        cursor.execute(
            "select generation, changes, shape from read.generations "
            "where generation = %(number)s or %(number)s::int is null and live",
            {"number": number},
        )
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise NotPrepared("the database holds no read models") from None
    found = cursor.fetchone()
    if found is None:
        raise NotPrepared(
            "the database holds no generation that is live"
            if number is None
            else f"the database holds no generation {number}"
        )
    generation, changes, shape = found
    if shape != SHAPE:
        raise NotPrepared(
            f"generation {generation} of the read models has shape {shape}, and this release keeps shape {SHAPE}"
        )
    return Generation(generation, changes)


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
