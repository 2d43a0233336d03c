"""The runbooks of docs/incidents.md: what can be planted is planted, and what the page says is done.

Here is what needs no server to be killed. A broker lost, a disk full, topics made anew and a database restored from an
older backup are played in test_away.py and test_wrong_turns.py.
"""

import re
from pathlib import Path

import psycopg

from tests.services.cli.conftest import bare, defter, running  # noqa: F401 - fixtures
from tests.services.cli.program import Program, as_lines, deposit

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
