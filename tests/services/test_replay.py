"""A window of the past, played again (SPEC 11): the same bytes wherever and whenever it is asked."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain.digest import digest
from domain.ledger import apply
from domain.state import Ledger
from projections.generations import create, drop
from schemas.codec import decode_event
from services.dev import ports
from services.dev.postgres import Postgres, binary
from services.journal.recorder import ledger_id
from services.migrations import migrate
from tests.services.cli.program import DEFTER, Program
from tests.services.past import LEDGERS, PREFIX, Past

WORLDS = (
    {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "4242", "TZ": "Pacific/Chatham", "LC_ALL": "tr_TR.UTF-8", "PYTHONUTF8": "0"},
)


@pytest.fixture
async def past(database: str) -> Past:
    """Two ledgers with a past."""
    made = Past(database)
    await made.happen()
    return made


@pytest.fixture
def defter(past: Past) -> Program:
    """The program on it. No Kafka is needed."""
    return program(past.dsn)


@pytest.fixture
def restored(past: Past, tmp_path: Path) -> Iterator[str]:
    """The DSN of a dump of it, restored into another cluster."""
    dumped = subprocess.run([binary("pg_dump"), "--schema=journal", past.dsn], stdout=subprocess.PIPE, check=True)
    server = Postgres(tmp_path / "another", ports.pick(), trash=tmp_path / "another")
    server.run()
    try:
        migrate(server.dsn(), [])  # roles belong to a cluster, and a dump holds none
        with psycopg.connect(server.dsn(), autocommit=True) as superuser:
            superuser.execute("create database restored")
        dsn = server.dsn("restored")
        subprocess.run([binary("psql"), "-q", "-v", "ON_ERROR_STOP=1", dsn], input=dumped.stdout, check=True)
        yield dsn
    finally:
        server.stop_at_once()


def program(dsn: str) -> Program:
    return Program({"DEFTER_DATABASE": dsn, "DEFTER_KAFKA": "127.0.0.1:1", "DEFTER_PREFIX": PREFIX})


def played(past: Past, ledger: str, first: int, last: int) -> list[dict[str, Any]]:
    """Play a window in the plainest way there is."""
    state, changes = Ledger(ledger), []
    border = {"type": "window.v1", "ledger": ledger, "first": first, "last": last}
    borders = [border | {"digest": digest(state)}]
    for row in (row for row in past.rows() if row.ledger == ledger and row.sequence <= last):
        before = totals(state)
        apply(state, decode_event(row.data))
        after = totals(state)
        if row.sequence < first:
            borders = [border | {"digest": digest(state)}]
        else:
            changed = sorted(place for place in after if after[place] != before.get(place, NOTHING))
            told = [
                {"account": place[0], "unit": place[1], "before": before.get(place, NOTHING), "after": after[place]}
                for place in changed
            ]
            changes.append({"event": json.loads(row.data), "changes": told})
    return [*borders, *changes, border | {"digest": digest(state)}]


NOTHING = {"debits": "0", "credits": "0", "held": "0"}


def totals(state: Ledger) -> dict[tuple[str, str], dict[str, str]]:
    return {
        (account, unit): {"debits": str(one.debits), "credits": str(one.credits), "held": str(one.held)}
        for unit, places in state.places.items()
        for account, one in places.items()
    }


def test_a_window_shows_each_event_with_what_it_changed(past: Past, defter: Program) -> None:
    told = defter.json("replay", "--ledger", "shop", "--from-sequence", "40", "--to-sequence", "121")
    whole = defter.json("replay", "--ledger", "main")

    assert told == played(past, "shop", 40, 120)
    assert whole == played(past, "main", 1, max(row.sequence for row in past.rows() if row.ledger == "main"))
    assert any(change["after"]["held"] > change["before"]["held"] for line in whole[1:-1] for change in line["changes"])


def test_times_are_a_window_too_from_inclusive_to_exclusive(past: Past, defter: Program) -> None:
    rows = [(row.sequence, json.loads(row.data)["at"]) for row in past.rows() if row.ledger == "main"]
    begin, end = rows[60][1], rows[150][1]
    inside = [sequence for sequence, at in rows if begin <= at < end]

    told = defter.json("replay", "--from", begin, "--to", end)

    assert told == played(past, "main", inside[0], inside[-1])
    (before, after) = defter.json("replay", "--from", end, "--to", end)
    assert before == after
    assert (before["first"], before["last"]) == (inside[-1] + 1, inside[-1])


def test_all_ledgers_come_by_name_and_those_with_nothing_in_the_window_are_passed_over(
    past: Past, defter: Program
) -> None:
    everything = defter.ok("replay", "--all")
    nothing = defter.ok("replay", "--all", "--from", "2100-01-01T00:00:00Z")

    assert everything == "".join(defter.ok("replay", "--ledger", ledger) for ledger in sorted(LEDGERS))
    assert nothing == ""


def test_the_same_bytes_come_from_a_restored_journal_and_on_every_machine(
    past: Past, defter: Program, restored: str
) -> None:
    told = [
        subprocess.run(
            [DEFTER, "replay", "--all"],
            env={**program(dsn).environment, **world},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for dsn, world in zip((past.dsn, restored), WORLDS, strict=True)
    ]

    assert told[0].count(b"\n") > 400
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "2026-01-01T00:00:00Z", "--to-sequence", "5"),
        ("--from-sequence", "7", "--to-sequence", "6"),
        ("--from", "yesterday"),
        ("--all", "--ledger", "main"),
        ("--from-sequence", "0"),
    ],
)
def test_a_window_that_makes_no_sense_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert program("postgresql://127.0.0.1:1/none").run("replay", *arguments).code == 2


def test_a_ledger_that_was_never_opened_is_a_no(defter: Program) -> None:
    done = defter.run("replay", "--ledger", "nowhere")

    assert (done.code, done.stdout) == (1, "")
    assert "nowhere was never opened" in done.stderr


def test_where_an_event_is_missing_it_is_named_and_nothing_is_told_beyond(past: Past, defter: Program) -> None:
    last = max(row.sequence for row in past.rows() if row.ledger == "main")
    hole = (last + 2) // 2  # where the search for a time begins
    with psycopg.connect(past.dsn, autocommit=True) as owner:
        owner.execute("alter table journal.shard_0_events disable trigger all")
        gone = "delete from journal.shard_0_events where originator_id = %s and originator_version = %s"
        assert owner.execute(gone, (UUID(bytes=ledger_id("main")), hole)).rowcount == 1

    for command in (
        "replay",
        f"replay --from-sequence {hole - 5} --to-sequence {hole + 5}",
        f"replay --from-sequence {hole + 5}",
        "replay --from 2100-01-01T00:00:00Z",
        f"diff {hole - 5}",
        "diff 2100-01-01T00:00:00Z",
        "simulate --on main",
        f"simulate --on main --at-sequence {hole}",
    ):
        done = defter.run(*command.split())

        assert done.code == 3, command
        assert f"event {hole} of main is missing" in done.stderr
        assert "remedy: `defter verify`" in done.stderr
        assert all(json.loads(line).get("event", {}).get("sequence", 0) < hole for line in done.stdout.splitlines())
    assert defter.json("replay", "--to-sequence", str(hole)) == played(past, "main", 1, hole - 1)


def test_what_if_is_decided_on_a_past_state_of_which_nothing_later_counts(past: Past, defter: Program) -> None:
    rows = [row for row in past.rows() if row.ledger == "main"]
    place, posted = next(
        (place, row) for place, row in enumerate(rows) if place > 60 and b'"kind":"deposit","postings"' in row.data
    )
    event = json.loads(posted.data)
    out, into = event["postings"]
    again = {"type": "transfer.v1", "id": event["command"], "ledger": "main", "kind": "deposit", "at": event["at"]}
    again["movements"] = [{"source": out["account"], "destination": into["account"], "unit": into["unit"]}]
    again["movements"][0]["amount"] = into["amount"]
    arguments = ("simulate", "-", "--on", "main")

    then = defter.ok(*arguments, "--at-sequence", str(place), stdin=json.dumps(again).encode())
    now = defter.json(*arguments, stdin=json.dumps(again).encode())

    assert then.encode() == posted.data + b"\n"
    assert [line.get("reason") for line in now] in ([], ["ID_REUSED"])
    assert defter.run(*arguments, "--at-sequence", "100000", stdin=b"").code == 1
    assert [row for row in past.rows() if row.ledger == "main"] == rows


def test_a_difference_is_what_the_windows_changes_add_up_to(past: Past, defter: Program) -> None:
    rows = [row for row in past.rows() if row.ledger == "main"]
    left, right = 60, 180
    states = []
    for last in (left, right):
        state = Ledger("main")
        for row in rows[:last]:
            apply(state, decode_event(row.data))
        states.append(totals(state))
    before, after = states
    at = json.loads(rows[left - 1].data)["at"]
    end_of_that_time = max(row.sequence for row in rows if json.loads(row.data)["at"] <= at)

    *told, points = defter.json("diff", str(left), str(right), code=1)
    timed = defter.json("diff", at, str(right), code=1)

    expected = {place for place in after if after[place] != before.get(place, NOTHING)}
    assert {(line["account"], line["unit"]) for line in told} == expected
    between = {"ledger": "main", "from_sequence": left, "to_sequence": right}
    assert points == {"type": "diff", **between, "balances": len(told)}
    assert all(line["after"]["debits"] == after[line["account"], line["unit"]]["debits"] for line in told)
    assert timed == defter.json("diff", str(end_of_that_time), str(right), code=1)
    assert "no balances of main changed" in defter.ok("diff", str(right), str(right))
    assert "changed from sequence 60 to 180" in defter.run("diff", str(left), str(right)).stdout


def test_two_generations_are_compared_table_by_table(past: Past, defter: Program) -> None:
    assert all(line["equal"] for line in defter.json("diff", "--generations", "1", "1"))
    assert defter.run("diff").code == 2


def test_a_difference_of_generations_names_its_table_once(past: Past, defter: Program) -> None:
    with psycopg.connect(past.dsn, autocommit=True) as owner, owner.cursor() as cursor:
        cursor.execute("set role defter_projector")
        create(cursor, 2)

        told = defter.run("diff", "--generations", "1", "2")

        drop(cursor, 2)
    (balances,) = (line for line in told.stdout.splitlines() if line.startswith("balances: "))
    assert told.code == 1
    assert balances.startswith("balances: main ")
    assert "is only in the first" in balances
    assert balances.endswith(" and 0 rows)")


@pytest.mark.usefixtures("past")
def test_what_cannot_be_compared_is_named(defter: Program) -> None:
    for arguments, code, said in (
        (("5", "--ledger", "nope"), 1, "ledger nope does not exist"),
        (("99999",), 1, "not to 99999"),
        (("5", "99999"), 1, "not to 99999"),
        (("57", "41"), 2, "ends before it begins"),
        (("--generations", "1", "7"), 1, "no generation 7; `defter rebuild --list` tells which there are"),
    ):
        done = defter.run("diff", *arguments)

        assert (done.code, done.stdout) == (code, ""), arguments
        assert said in done.stderr
