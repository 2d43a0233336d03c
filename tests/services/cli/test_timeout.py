"""A command that asks once ends with exit 3 when its `--timeout` is over, whatever it is that does not answer."""

import socket
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.services.cli.program import Program

NOT_THERE = 3
FREED_AFTER = "8s"
"""Then what is locked is free again: whoever has waited so long gets an answer, and the test is red."""

TABLES = """
select string_agg(format('%I.%I', schemaname, tablename), ', ') from pg_tables
 where schemaname = 'read_1' or schemaname = 'journal' and (tablename = 'ledgers' or tablename ~ '^shard.*events$')"""


@pytest.fixture(scope="module")
def installed(bare: Program) -> Program:
    """The program on an installation that is set up, and where nobody is at work."""
    bare.ok("setup")
    return bare


@pytest.fixture
def locked(installed: Program) -> Iterator[Program]:
    """The same, where whoever reads the journal or the read models waits."""
    with psycopg.connect(installed.settings["DEFTER_DATABASE"]) as connection:
        connection.execute(f"set idle_in_transaction_session_timeout = '{FREED_AFTER}'".encode())
        ((tables,),) = connection.execute(TABLES).fetchall()
        connection.execute(f"lock table {tables} in access exclusive mode".encode())
        yield installed
        connection.rollback()


@pytest.fixture
def silent(installed: Program) -> Iterator[Program]:
    """The program where PostgreSQL and Kafka are a port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        yield Program({"DEFTER_DATABASE": f"postgresql://{place}/none", "DEFTER_KAFKA": place})


@pytest.mark.parametrize(
    "command",
    [
        ["balance", "alice"],
        ["statement", "alice"],
        ["accounts"],
        ["trial-balance"],
        ["show", "order-77"],
        ["verify"],
        ["replay"],
        ["diff", "1"],
        ["diff", "--generations", "1", "1"],
        ["simulate", "--on", "main"],
    ],
    ids=" ".join,
)
def test_what_is_locked_is_not_waited_for_longer_than_was_said(locked: Program, command: list[str]) -> None:
    done = locked.run(*command, "--timeout", "0.2")

    assert done.code == NOT_THERE
    assert "PostgreSQL" in done.stderr


@pytest.mark.parametrize("command", ["balance alice", "status", "setup", "verify", "simulate --on main", "doctor"])
def test_a_port_that_says_nothing_is_not_waited_for_longer_than_was_said(silent: Program, command: str) -> None:
    begun = time.monotonic()
    done = silent.run(*command.split(), "--timeout", "1")
    seconds = time.monotonic() - begun

    assert done.code == NOT_THERE
    assert seconds < 4


@pytest.mark.parametrize("command", ["setup", "verify --published", "status"])
def test_kafka_is_not_waited_for_longer_than_was_said(installed: Program, silent: Program, command: str) -> None:
    only_kafka = Program(installed.settings | {"DEFTER_KAFKA": silent.settings["DEFTER_KAFKA"]})

    begun = time.monotonic()
    done = only_kafka.run(*command.split(), "--timeout", "1")
    seconds = time.monotonic() - begun

    assert done.code == NOT_THERE
    assert "Kafka" in done.stderr
    assert seconds < 4


def test_the_doctor_names_what_does_not_answer_once_and_on_one_line() -> None:
    done = Program({"DEFTER_DATABASE": "postgresql://127.0.0.1:1/none", "DEFTER_KAFKA": "127.0.0.1:1"}).run(
        "doctor", "--timeout", "1"
    )

    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    assert [line.split()[1].rstrip(":") for line in wrong] == ["PostgreSQL", "Kafka"]
    assert "\\t" not in done.stdout
