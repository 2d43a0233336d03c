"""The schema: made once, however often it is asked for, and refused when it is not the one expected."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from services.dev import ports
from services.dev.postgres import Postgres
from services.errors import Away, Unexpected
from services.journal.postgres import PostgresJournal
from services.migrations import NEWEST, allow_read_models, check, migrate
from services.migrations.run import MIGRATIONS, ROLES


def tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {name for (name,) in connection.execute("select tablename from pg_tables where schemaname = 'journal'")}


def test_migrations_are_numbered_without_gaps() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(1, NEWEST + 1))


def test_setup_makes_the_tables_of_the_shards_that_it_is_given(database: str) -> None:
    migrate(database, [0, 3])

    assert {name for name in tables(database) if name.startswith("shard_")} == {
        "shard_0_events", "shard_0_ids", "shard_3_events", "shard_3_ids",
    }  # fmt: skip


def test_more_shards_than_postgresql_can_lock_are_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "narrow", ports.pick(), trash=tmp_path / "narrow")
    server.settings |= {"max_connections": "10", "max_locks_per_transaction": "10"}
    server.run()
    try:
        with pytest.raises(Unexpected, match="no room for the locks") as refused:
            migrate(server.dsn(), range(200))

        assert "max_locks_per_transaction" in refused.value.remedy
        assert tables(server.dsn()) == set()
    finally:
        server.stop_at_once()


def test_setup_again_does_nothing(database: str) -> None:
    assert migrate(database, [0])
    before = tables(database)

    assert migrate(database, [0]) == []
    assert migrate(database, []) == []
    assert tables(database) == before


def test_a_shard_can_be_added_without_touching_the_others(database: str) -> None:
    migrate(database, [0])

    assert migrate(database, [0, 1]) == [
        f"{migration.name} for shard 1" for migration in MIGRATIONS if migration.of_shard
    ]


def test_setups_at_once_do_the_work_once(database: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda _: migrate(database, [0, 1]), range(8)))

    assert sorted(map(bool, done)) == [False] * 7 + [True]


def test_setups_of_two_databases_at_once_share_the_roles_of_the_cluster(
    database: str, superuser: psycopg.Connection
) -> None:
    others = [f"t_{secrets.token_hex(6)}" for _ in range(3)]
    for name in others:
        superuser.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    dsns = [database, *(make_conninfo(database, dbname=name) for name in others)]

    with ThreadPoolExecutor(len(dsns)) as threads:
        done = list(threads.map(lambda dsn: migrate(dsn, [0]), dsns))

    assert all(done)
    for name in others:
        superuser.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def administrator(database: str, superuser: psycopg.Connection) -> Iterator[str]:
    """The DSN of one who may create roles and owns the database, and is no superuser."""
    name = f"admin_{secrets.token_hex(6)}"
    role, of_database = sql.Identifier(name), sql.Identifier(database.rpartition("/")[2])
    superuser.execute(sql.SQL("create role {} login createrole").format(role))
    allow_read_models(database)  # the roles are there from now on, whatever ran before
    for each in ROLES:  # as whoever made the roles in the first place would have it
        superuser.execute(sql.SQL("grant {} to {} with admin option").format(sql.Identifier(each), role))
    superuser.execute(sql.SQL("alter database {} owner to {}").format(of_database, role))
    yield make_conninfo(database, user=name)
    superuser.execute(sql.SQL("drop database {} with (force)").format(of_database))
    superuser.execute(sql.SQL("create database {}").format(of_database))
    superuser.execute(sql.SQL("drop owned by {}").format(role))
    superuser.execute(sql.SQL("drop role {}").format(role))


async def test_setup_needs_no_superuser(administrator: str) -> None:
    assert migrate(administrator, [0])

    journal = PostgresJournal(administrator, 0)
    assert (await journal.claim("1")).epoch == 1
    await journal.close()


def test_somebody_who_may_not_is_told_so(database: str, superuser: psycopg.Connection) -> None:
    name = f"nobody_{secrets.token_hex(6)}"
    migrate(database, [0])
    superuser.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))

    with pytest.raises(Unexpected, match="PostgreSQL refuses") as refused:
        migrate(make_conninfo(database, user=name), [0])

    assert "a user who may create" in refused.value.remedy
    superuser.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def test_a_database_for_read_models_alone_gets_no_journal(database: str) -> None:
    allow_read_models(database)
    allow_read_models(database)

    assert tables(database) == set()
    with psycopg.connect(database) as connection:
        connection.execute("set role defter_projector")
        connection.execute("create schema read_1")


def test_a_database_without_setup_is_named_with_the_remedy(database: str) -> None:
    with psycopg.connect(database) as connection, pytest.raises(Unexpected, match="has no schema of Defter") as refused:
        check(connection, 0)

    assert refused.value.remedy == "run `defter setup`"
    assert database.rpartition("/")[2] in refused.value.what


def test_an_older_schema_is_refused(database: str) -> None:
    migrate(database, [0])
    with psycopg.connect(database) as connection:
        connection.execute("delete from journal.migrations where version = %s", (NEWEST,))
        connection.execute("insert into journal.migrations values (1, 0, 'so that the shard is known')")

        with pytest.raises(Unexpected, match=f"older than this release: {MIGRATIONS[-1].name} is missing") as refused:
            check(connection, 0)

    assert refused.value.remedy == "run `defter setup`"


def test_a_newer_schema_is_refused_by_processes_and_by_setup(database: str) -> None:
    migrate(database, [0])
    with psycopg.connect(database) as connection:
        connection.execute("insert into journal.migrations values (%s, -1, 'of a later release')", (NEWEST + 1,))

    with psycopg.connect(database) as connection, pytest.raises(Unexpected, match="is newer") as refused:
        check(connection, 0)
    with pytest.raises(Unexpected, match="is newer"):
        migrate(database, [0, 1])

    assert "a later one" in refused.value.remedy
    assert "shard_1_events" not in tables(database)


def test_a_shard_that_lives_elsewhere_is_named(database: str) -> None:
    migrate(database, [0])

    with psycopg.connect(database) as connection, pytest.raises(Unexpected, match="does not hold shard 1"):
        check(connection, 1)


async def test_the_journal_refuses_a_database_without_setup(database: str) -> None:
    migrate(database, [])  # so that the roles are there, whatever ran before
    with psycopg.connect(database) as connection:
        connection.execute("drop schema journal cascade")
    journal = PostgresJournal(database, 0)

    with pytest.raises(Unexpected, match="has no schema of Defter"):
        await journal.claim("1")
    await journal.close()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dbname": "nowhere"}, 'database "nowhere" does not exist'),
        ({"user": "nobody_at_all"}, 'role "nobody_at_all" does not exist'),
    ],
)
async def test_a_wrong_login_is_named(database: str, change: dict[str, str], named: str) -> None:
    journal = PostgresJournal(make_conninfo(database, **change), 0)

    with pytest.raises(Unexpected, match=named) as refused:
        await journal.claim("1")
    with pytest.raises(Unexpected, match=named):
        migrate(make_conninfo(database, **change), [0])

    assert "DEFTER_DATABASE" in refused.value.remedy
    await journal.close()


def test_a_database_that_does_not_answer_is_away(database: str) -> None:
    with pytest.raises(Away):
        migrate(make_conninfo(database, port="1"), [0])
