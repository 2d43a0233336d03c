"""Applies what is missing, all of it or nothing, and refuses a database that is not as this release left it.

Two setups at once wait for each other. Roles belong to the whole cluster, where two databases can make them at the same
moment: that race is allowed for, because whoever loses it finds what it wanted.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from services.errors import Unexpected
from services.journal import answers

WRITER: Final = "defter_writer"
PUBLISHER: Final = "defter_publisher"
PROJECTOR: Final = "defter_projector"
READER: Final = "defter_reader"
OPERATOR: Final = "defter_operator"
ROLES: Final = (WRITER, PUBLISHER, PROJECTOR, READER, OPERATOR)

_SETUP_LOCK: Final = 0x0DEF7E12
_TIMEOUT_S: Final = 10
_SET_IS_A_RIGHT: Final = 160000  # from this release of PostgreSQL on, a member may not always `set role`
_WHOLE: Final = -1  # what is applied once for the whole database is noted under this instead of a shard's number


class Migration(NamedTuple):
    """One numbered file of this folder."""

    version: int
    name: str
    text: str

    @property
    def of_shard(self) -> bool:
        """Whether it is applied once for each shard."""
        return "{shard}" in self.text


def _all() -> Iterator[Migration]:
    for path in sorted(Path(__file__).parent.glob("[0-9]*.sql")):
        named = re.fullmatch(r"(\d{4})_(\w+)", path.stem)
        assert named, f"{path.name}: a migration is named NNNN_what.sql"
        yield Migration(int(named[1]), path.stem, path.read_text(encoding="utf-8"))


MIGRATIONS: Final = tuple(_all())
NEWEST: Final = MIGRATIONS[-1].version


def migrate(dsn: str, shards: Collection[int]) -> list[str]:
    """Bring a database to the schema of this release, with the tables of these shards.

    Safe to repeat, and to run twice at once.

    Args:
        dsn: the database, as a user who may create roles, schemas and tables in it.
        shards: the shards that live in it; those that it has already may be left out.

    Returns:
        What was applied, in order; empty where nothing was missing.

    Raises:
        Away: PostgreSQL does not answer.
        Unexpected: the database is newer than this release, or the user may not do this.
    """
    with _connected(dsn) as connection:
        _make_roles(connection)
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", (_SETUP_LOCK,))
            _allow_read_models(connection)
            return list(_apply_missing(connection, shards))


def allow_read_models(dsn: str) -> None:
    """Let the projector's role make its schemas in a database that may hold read models alone. `migrate` includes it.

    Safe to repeat, and to run twice at once.

    Raises:
        Away: PostgreSQL does not answer.
        Unexpected: the user may not do this.
    """
    with _connected(dsn) as connection:
        _make_roles(connection)
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", (_SETUP_LOCK,))
            _allow_read_models(connection)


def check(connection: psycopg.Connection[Any], shard: int) -> None:
    """Make sure that a database has the schema of this release, and the shard.

    Raises:
        Unexpected: it has none, an older or a newer one, or not this shard; the message says which.
    """
    database = connection.info.dbname
    try:
        with connection.transaction():
            done = _applied(connection)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege):
        raise Unexpected(f"the database {database} has no schema of Defter", "run `defter setup`") from None
    _refuse_newer(database, done)
    for migration in MIGRATIONS:
        if (migration.version, shard if migration.of_shard else _WHOLE) not in done:
            if migration.of_shard and not any(place == shard for _, place in done):
                raise Unexpected(
                    f"the database {database} does not hold shard {shard}",
                    "run `defter setup` with as many partitions as the topic has",
                )
            raise Unexpected(
                f"the schema of the database {database} is older than this release: {migration.name} is missing",
                "run `defter setup`",
            )


def holds(dsn: str, shard: int) -> bool:
    """Return whether the journal of a shard lives in a database, of whatever release. Raises `Away`, `Unexpected`."""
    with _connected(dsn) as connection:
        try:
            return any(place == shard for _, place in _applied(connection))
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return False


def _apply_missing(connection: psycopg.Connection[Any], shards: Collection[int]) -> Iterator[str]:
    connection.execute("create schema if not exists journal")
    connection.execute(
        "create table if not exists journal.migrations (version int, shard int, name text not null, "
        "applied_at timestamptz not null default now(), primary key (version, shard))"
    )
    done = _applied(connection)
    _refuse_newer(connection.info.dbname, done)
    places = sorted({place for _, place in done if place != _WHOLE}.union(shards))
    for migration in MIGRATIONS:
        for place in places if migration.of_shard else [_WHOLE]:
            if (migration.version, place) not in done:
                connection.execute(migration.text.replace("{shard}", str(place)).encode())
                connection.execute(
                    "insert into journal.migrations (version, shard, name) values (%s, %s, %s)",
                    (migration.version, place, migration.name),
                )
                yield migration.name if place == _WHOLE else f"{migration.name} for shard {place}"


def _applied(connection: psycopg.Connection[Any]) -> set[tuple[int, int]]:
    """Return what was applied: versions, each with the shard it was applied for."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return {(version, place) for version, place in cursor.execute("select version, shard from journal.migrations")}


def _refuse_newer(database: str, done: set[tuple[int, int]]) -> None:
    if newer := [version for version, _ in done if version > NEWEST]:
        raise Unexpected(
            f"the schema of the database {database} is newer ({max(newer)}) than this release knows ({NEWEST})",
            "use the release of Defter that ran `defter setup` on it, or a later one",
        )


def _make_roles(connection: psycopg.Connection[Any]) -> None:
    """Make the roles, and let the user of `connection` take them."""
    taking = "set" if connection.info.server_version >= _SET_IS_A_RIGHT else "member"
    for role in ROLES:
        if not _true(connection, "select exists (select from pg_roles where rolname = %s)", role):
            _unless_done_by_another(connection, "create role {role} nologin", role)
        if not _true(connection, "select pg_has_role(%s, %s)", role, taking):
            _unless_done_by_another(connection, "grant {role} to current_user", role)


def _true(connection: psycopg.Connection[Any], question: LiteralString, *arguments: str) -> bool:
    row = connection.execute(question, arguments).fetchone()
    return row is not None and bool(row[0])


def _unless_done_by_another(connection: psycopg.Connection[Any], statement: LiteralString, role: str) -> None:
    """Run a statement on what the whole cluster shares, again where another's setup was at the same row."""
    raced = (psycopg.errors.UniqueViolation, psycopg.errors.InternalError_)
    for attempt in Retrying(
        retry=retry_if_exception_type(raced), stop=stop_after_attempt(10), wait=wait_random(0.05, 0.2), reraise=True
    ):
        with attempt:
            try:
                connection.execute(sql.SQL(statement).format(role=sql.Identifier(role)))
            except psycopg.errors.DuplicateObject:
                return


def _allow_read_models(connection: psycopg.Connection[Any]) -> None:
    """Let the projector make and own `read` and `read_<n>`, and let the reader read whatever it makes."""
    statements: tuple[LiteralString, ...] = (
        "grant create on database {database} to {projector}",
        "alter default privileges for role {projector} grant usage on schemas to {reader}",
        "alter default privileges for role {projector} grant select on tables to {reader}",
    )
    for statement in statements:
        connection.execute(
            sql.SQL(statement).format(
                database=sql.Identifier(connection.info.dbname),
                projector=sql.Identifier(PROJECTOR),
                reader=sql.Identifier(READER),
            )
        )


@contextmanager
def _connected(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        timeout_s = conninfo_to_dict(dsn).get("connect_timeout") or _TIMEOUT_S
        with psycopg.connect(
            dsn, autocommit=True, connect_timeout=timeout_s, application_name="defter-setup"
        ) as connection:
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise Unexpected(
            f"PostgreSQL refuses: {error.diag.message_primary}",
            "run `defter setup` as a user who may create roles and schemas",
        ) from error
    except psycopg.errors.OutOfMemory as error:
        raise Unexpected(
            "PostgreSQL has no room for the locks of so many tables; nothing was changed",
            "raise its max_locks_per_transaction, or take fewer partitions",
        ) from error
    except psycopg.Error as error:
        raise answers.meaning(error) from error
