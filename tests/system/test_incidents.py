"""The runbooks of docs/incidents.md: what can be planted is planted, and what the page says is done.

Here is what needs no server to be killed. A broker lost and a disk full are played in test_away.py, topics made anew
and a database restored from an older backup in test_wrong_turns.py.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import psycopg

from services.kafka.ports import Message
from tests.services.cli.conftest import bare, defter, running  # noqa: F401 - fixtures
from tests.services.cli.program import Done, Program, as_lines, deposit
from tests.system.conftest import MakeHouse
from tests.system.house import House

PAGE = (Path(__file__).parents[2] / "docs" / "incidents.md").read_text(encoding="utf-8")


def shown() -> list[str]:
    """Give the commands of the page's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    return [line.removeprefix("$ defter ") for block in blocks for line in block.splitlines()]


def section(title: str) -> list[str]:
    """Give the commands of one section."""
    text = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\$ defter (.*)$", text, re.MULTILINE)


def test_a_wrong_read_model_is_found_rebuilt_and_right_again(defter: Program) -> None:  # noqa: F811 - the fixture
    ledger = "incident"
    opened = {"type": "open-ledger.v1", "id": "ledger", "ledger": ledger}
    world = {"type": "open-account.v1", "id": "w", "ledger": ledger, "account": "world", "account_type": "external"}
    alice = {"type": "open-account.v1", "id": "a", "ledger": ledger, "account": "alice"}
    defter.ok("send", stdin=as_lines([opened, world, alice, deposit(ledger, "alice", 1000)]))
    defter.ok("balance", "alice", "--ledger", ledger, "--min-sequence", "4")
    look, mend, drop, look_again = runbook = section("A read model is wrong")
    with psycopg.connect(defter.environment["DEFTER_DATABASE"], autocommit=True) as owner:
        owner.execute(f"update read_1.trial_balance set debits = debits + 1 where ledger = '{ledger}'".encode())

    found = defter.run(*look.split())
    told = defter.ok(*mend.split())
    kept = defter.run(*look.split())
    defter.ok(*drop.split())
    right = defter.run(*look_again.split())

    assert (found.code, kept.code, right.code) == (1, 1, 0), right.stdout
    assert found.stdout == (
        f"ledger {ledger}, sequence 4: the read models of generation 1, which is live: the trial balance of QAZ has "
        "debits 1001, credits 1000, and the journal says debits 1000, credits 1000 "
        "(found by: read models; remedy: `defter rebuild`)\n"
    )
    assert "instead of 1" in told
    assert "generation 1, which is not live" in kept.stdout
    assert f"remedy: `defter {drop}`" in kept.stdout
    defter.ok("verify", "--published", "--redecide")
    (balance,) = defter.json("balance", "alice", "--ledger", ledger)
    assert balance["balance"] == "1000"
    rest = [command for command in shown() if command not in runbook]
    codes = {command: defter.run(*command.split()).code for command in rest}
    assert codes == dict.fromkeys(rest, 0)


def program_of(house: House) -> Program:
    """Give the program to an operator of an installation."""
    kafka, prefix = house.kafka.servers, house.topics.prefix
    return Program({"DEFTER_DATABASE": house.dsn, "DEFTER_KAFKA": kafka, "DEFTER_PREFIX": prefix})


async def test_a_projector_that_is_not_there_is_seen_and_one_that_is_started_catches_up(make_house: MakeHouse) -> None:
    house = await make_house()
    operator = program_of(house)
    commands = [
        {"type": "open-ledger.v1", "id": "ledger"},
        {"type": "open-account.v1", "id": "w", "account": "world", "account_type": "external"},
        {"type": "open-account.v1", "id": "a", "account": "alice"},
        deposit("main", "alice", 1000),
    ]
    house.start("writer")
    await house.send(0, [Message(b"main", json.dumps(command).encode(), ()) for command in commands])
    await house.decided()

    seen = lines(await asyncio.to_thread(operator.installed, "status", "--json"))
    truth = lines(await asyncio.to_thread(operator.installed, "diff", "1", "--json"))
    asked = operator.start("balance", "alice", "--min-sequence", "4", "--json")
    projector = house.start("projector")
    stdout, _ = await asyncio.to_thread(asked.communicate)

    assert (seen[0]["projector_lag"], seen[0]["lag"]) == (4, 0)
    assert [one["process"] for one in seen[1:] if one["live"]] == ["writer"]
    assert [one["after"]["credits"] for one in truth if one.get("account") == "alice"] == ["1000"]
    assert [json.loads(line)["balance"] for line in stdout.splitlines()] == ["1000"]
    await projector.ready()


def lines(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_what_an_older_backup_lost_comes_again_from_the_commands(
    make_house: MakeHouse, superuser: psycopg.Connection
) -> None:
    house = await make_house()
    lost, restored = house.dsn, house.dsn + "_restored"
    name, copy = (dsn.rpartition("/")[2] for dsn in (lost, restored))
    superuser.execute(f"create database {copy} template {name}".encode())
    values = [b'{"type":"open-ledger.v1","id":"ledger"}']
    values += [b'{"type":"open-account.v1","id":"%d","account":"a%d"}' % (number, number) for number in range(5)]
    await house.send(0, [Message(b"main", value, ()) for value in values])
    first = house.start("writer"), house.start("publisher")
    await house.until(lambda reach: reach.decided == reach.sent and reach.published == reach.stored)
    for process in first:
        await process.stop()

    house.dsn = house.read_dsn = restored
    program = program_of(house)
    with psycopg.connect(restored, autocommit=True) as owner:
        # A sequence of PostgreSQL comes back from a crash, or out of a backup, as much as 32 numbers further on.
        sequence = "pg_get_serial_sequence('journal.shard_0_events', 'notification_id')"
        owner.execute(f"select setval({sequence}, 32)".encode())
    refused = await asyncio.to_thread(program.installed, "publisher")
    writer = house.start("writer")
    await house.decided()
    verified = await asyncio.to_thread(program.installed, "verify", "--published", "--redecide", "--jobs", "1")
    shard, *_ = lines(await asyncio.to_thread(program.installed, "status", "--json"))

    assert refused.code == 3, refused.stderr
    assert verified.code == 0, verified.stdout + verified.stderr
    assert (shard["position"], shard["published"], shard["publisher_lag"]) == (38, 38, 0)
    again = house.start("publisher")
    await house.send(0, [Message(b"main", b'{"type":"open-account.v1","id":"b","account":"b"}', ())])
    await house.until(lambda reach: reach.decided == reach.sent and reach.published == reach.stored)
    for process in (writer, again):
        await process.stop()
    assert len(await house.records(house.topics.events, 0)) == len(values) + 1
    await house.close()
    superuser.execute(f"drop database {copy} with (force)".encode())
