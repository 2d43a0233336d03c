"""Nothing in the journal is ever changed, whoever asks; and each role may do what it is for and nothing else."""

import psycopg
import pytest
from psycopg import errors, sql

from services.journal.postgres import PostgresJournal
from services.migrations import OPERATOR, PROJECTOR, PUBLISHER, READER, WRITER
from tests.services.journal.batches import batch, entry, letter
from tests.services.journal.conftest import PostgresShard

# One column of each table, to be set to what it is.
JOURNAL = {
    "shard_0_events": "state",
    "shard_0_ids": "reverses",
    "ledgers": "shard",
    "dead_letters": "reason",
    "seals": "seal",
    "releases": "rules",
    "outputs": "cluster_id",
    "redriven": "corrected",
}
INSERTED_BY_WRITER = {"shard_0_events", "shard_0_ids", "ledgers", "dead_letters", "seals", "releases", "snapshots"}
TABLES = [*JOURNAL, "offsets", "installation", "migrations", "snapshots"]
# A row for each table that it takes: where a role may insert, nothing but that right may stand in its way.
ROWS = {
    "shard_0_events": "values (gen_random_uuid(), 1, 'tag', 'x', default)",
    "shard_0_ids": "values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, null)",
    "ledgers": "values (gen_random_uuid(), 'new', 0)",
    "dead_letters": "values (0, 99, null, null, '{}', 0, 'MALFORMED', '')",
    "seals": "values (gen_random_uuid(), 1, sha256(''))",
    "releases": "values (0, 99, 0, '9')",
    "outputs": "values (0, 'topic', default, 'id', 'cluster')",
    "redriven": "values (0, 1, 0, 9, false)",
    "offsets": "values (9)",
    "installation": "values (true, 'p.', 1, 'cluster', 'c', 'e', 'd', null)",
    "snapshots": "values (0, 1, '1', 1, 0, '', default)",
    "migrations": "values (99, -1, 'later')",
}
READERS = [WRITER, PUBLISHER, PROJECTOR, READER]
ROLES = [*READERS, OPERATOR]


@pytest.fixture
async def kept(postgres_shard: PostgresShard, owner: psycopg.Connection) -> psycopg.Connection:
    """A journal with a row in every table, and its owner, who is a superuser here."""
    journal = postgres_shard.open()
    await journal.append(batch(await journal.claim("1"), [entry(1)], opened=["main"], dead_letters=[letter(1)]))
    owner.execute("insert into journal.outputs values (0, 'defter.events', default, 'an id', 'a cluster')")
    return owner


def changes(table: str, column: str) -> dict[str, sql.Composed]:
    names = {"table": sql.Identifier("journal", table), "column": sql.Identifier(column)}
    return {
        "update": sql.SQL("update {table} set {column} = {column}").format(**names),
        "update of no row": sql.SQL("update {table} set {column} = {column} where false").format(**names),
        "delete": sql.SQL("delete from {table}").format(**names),
        "truncate": sql.SQL("truncate {table}").format(**names),
    }


@pytest.mark.parametrize("change", changes("any", "any"))
async def test_not_even_the_owner_changes_the_journal(kept: psycopg.Connection, change: str) -> None:
    for table, column in JOURNAL.items():
        with pytest.raises(errors.InsufficientPrivilege, match="nothing in the journal is ever changed"):
            kept.execute(changes(table, column)[change])


async def test_a_trick_for_replicas_does_not_help_the_owner(kept: psycopg.Connection) -> None:
    kept.execute("set session_replication_role = replica")

    with pytest.raises(errors.InsufficientPrivilege, match="nothing in the journal is ever changed"):
        kept.execute("delete from journal.shard_0_events")


async def test_an_insert_that_would_update_is_refused(kept: psycopg.Connection) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="nothing in the journal is ever changed"):
        kept.execute(
            "insert into journal.ledgers select * from journal.ledgers on conflict (name) do update set shard = 1"
        )


@pytest.mark.parametrize("change", ["delete from journal.offsets", "truncate journal.offsets"])
async def test_the_place_of_a_shard_cannot_get_lost(kept: psycopg.Connection, change: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="nothing in the journal is ever changed"):
        kept.execute(change.encode())


def acts(role: str, connection: psycopg.Connection, *statements: str | sql.Composed) -> None:
    """Run statements with the rights of a role, in one transaction."""
    with connection.transaction():
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        for statement in statements:
            connection.execute(statement.encode() if isinstance(statement, str) else statement)


def may(role: str, connection: psycopg.Connection, statement: str) -> bool:
    """Whether a role has the right to do something. What it does is not kept."""
    try:
        with connection.transaction(force_rollback=True):
            acts(role, connection, statement)
    except errors.InsufficientPrivilege as refused:
        return "permission denied" not in str(refused)
    return True


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_has_the_right_to_change_the_journal(kept: psycopg.Connection, role: str) -> None:
    for table, column in (JOURNAL | {"installation": "prefix", "migrations": "name"}).items():
        for change in changes(table, column).values():
            with pytest.raises(errors.InsufficientPrivilege, match="permission denied"):
                acts(role, kept, change)


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_inserts_what_it_is_for_and_nothing_else(kept: psycopg.Connection, role: str) -> None:
    allowed = {table for table in TABLES if may(role, kept, f"insert into journal.{table} {ROWS[table]}")}

    inserted = {WRITER: INSERTED_BY_WRITER, PUBLISHER: {"outputs"}, OPERATOR: {"redriven"}}
    assert allowed == inserted.get(role, set())


async def test_an_operator_sees_dead_letters_and_no_ledger(kept: psycopg.Connection) -> None:
    seen = {table for table in TABLES if may(OPERATOR, kept, f"select * from journal.{table}")}

    assert seen == {"dead_letters", "redriven", "migrations"}


@pytest.mark.parametrize("role", READERS)
async def test_every_role_reads_the_journal(kept: psycopg.Connection, role: str) -> None:
    acts(role, kept, *(f"select * from journal.{table}" for table in TABLES))


async def test_only_the_writer_moves_the_shard(kept: psycopg.Connection) -> None:
    assert [role for role in ROLES if may(role, kept, "update journal.offsets set next = next")] == [WRITER]


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_makes_or_drops_tables_of_the_journal(kept: psycopg.Connection, role: str) -> None:
    for statement in (
        "create table journal.mine (x int)",
        "drop table journal.ledgers",
        "drop schema journal cascade",
        "alter table journal.shard_0_events disable trigger append_only",
        "select setval('journal.shard_0_events_notification_id_seq', 1)",
        "create role another",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            acts(role, kept, statement)


async def test_somebody_without_a_role_sees_nothing(kept: psycopg.Connection) -> None:
    assert not may("pg_monitor", kept, "select * from journal.ledgers")


async def test_only_the_projector_makes_schemas_and_the_reader_reads_them(kept: psycopg.Connection) -> None:
    assert [role for role in ROLES if may(role, kept, "create schema read_1")] == [PROJECTOR]

    acts(PROJECTOR, kept, "create schema read_1", "create table read_1.balances (balance bigint)")

    assert may(READER, kept, "select balance from read_1.balances")
    assert not may(READER, kept, "delete from read_1.balances")


@pytest.mark.parametrize("role", [PUBLISHER, PROJECTOR, READER])
async def test_whoever_only_reads_can_open_the_journal_with_its_own_role(
    kept: psycopg.Connection, postgres_shard: PostgresShard, role: str
) -> None:
    journal = PostgresJournal(postgres_shard.dsn, 0, role)
    postgres_shard.opened.append(journal)

    assert [row.sequence for row in await journal.read(0, 10)] == [1]
    assert [each.offset for each in await journal.dead_letters(-1, 10)] == [1]
    assert (await journal.standing()).next == 2
