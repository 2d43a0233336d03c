"""The runbooks of docs/incidents.md: what can be planted is planted, and what the page says is done.

Here is what needs no server to be killed. A broker lost, a disk full, topics made anew and a database restored from an
older backup are played in test_away.py and test_wrong_turns.py.
"""

import asyncio
import re
from pathlib import Path

import psycopg

from services.kafka.ports import Message
from tests.services.cli.conftest import bare, defter, running  # noqa: F401 - fixtures
from tests.services.cli.program import Program, as_lines, deposit
from tests.system.conftest import MakeHouse

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
    before, mend, after = section("A read model is wrong")
    with psycopg.connect(defter.environment["DEFTER_DATABASE"], autocommit=True) as owner:
        place = f"select place from read_1.places where ledger = '{ledger}' and account = 'alice'"
        owner.execute(f"update read_1.posting_lines set lines[1][5] = 9 where place = ({place})".encode())

    found = defter.run(*before.split())
    defter.ok(*mend.split())

    assert found.code == 1
    assert f"ledger {ledger}" in found.stdout
    assert "found by: read models" in found.stdout
    defter.ok(*after.split(), "--no-read-models", "--published", "--redecide")
    (balance,) = defter.json("balance", "alice", "--ledger", ledger)
    assert balance["balance"] == "1000"
    rest = [command for command in shown() if command not in {before, mend}]
    codes = {command: defter.run(*command.split()).code for command in rest}
    assert codes == dict.fromkeys(rest, 0)


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
    kafka, prefix = house.kafka.servers, house.topics.prefix
    program = Program({"DEFTER_DATABASE": restored, "DEFTER_KAFKA": kafka, "DEFTER_PREFIX": prefix})
    refused = await asyncio.to_thread(program.installed, "publisher")
    writer = house.start("writer")
    await house.decided()
    verified = await asyncio.to_thread(program.installed, "verify", "--published", "--redecide", "--jobs", "1")

    assert refused.code == 3, refused.stderr
    assert verified.code == 0, verified.stdout + verified.stderr
    again = house.start("publisher")
    await house.send(0, [Message(b"main", b'{"type":"open-account.v1","id":"b","account":"b"}', ())])
    await house.until(lambda reach: reach.decided == reach.sent and reach.published == reach.stored)
    for process in (writer, again):
        await process.stop()
    assert len(await house.records(house.topics.events, 0)) == len(values) + 1
    await house.close()
    superuser.execute(f"drop database {copy} with (force)".encode())
