"""What was not decided is looked at, mended and sent again, once; with everything running, on two partitions."""

import asyncio
import contextlib
import json
import os
import re
import secrets
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from services.kafka.inbox import KafkaInbox
from services.kafka.outbox import KafkaOutbox
from services.kafka.ports import Message, Record
from services.kafka.topics import Topics, partition_of
from services.migrations import OPERATOR
from services.redriving import DeadLetters, redrive
from services.sending import Place, Sending
from services.settings import Settings
from tests.services.cli.program import DEFTER, Program, as_lines

GUIDE = Path(__file__).parents[3] / "docs" / "dead-letters.md"
NO = 1
WRONG_USE = 2
HEADERS = (
    ("reply-to", b"replies.of-alice"),
    ("odd", None),
    ("content-type", b"application/json"),
    ("ce_specversion", b"1.0"),
    ("ce_id", b"alice"),
)
"""Those of a CloudEvent in binary mode, whose id must be the command's, and others."""


@pytest.fixture
def ledger(defter: Program) -> str:
    """A ledger of one's own."""
    name = f"l{secrets.token_hex(4)}"
    defter.ok("open-ledger", name, "--id", "ledger")
    return name


def test_a_letter_from_the_wrong_partition_is_sent_to_the_right_one_and_only_once(defter: Program, ledger: str) -> None:
    home = partition_of(ledger, 2)
    dead = put(defter, 1 - home, Message(None, account(ledger, "alice"), HEADERS))
    (listed,) = [one for one in defter.json("dead-letters", "list", "--pending") if is_at(one, dead)]
    assert "would go to the ledger " + ledger in defter.ok("dead-letters", "show", said(dead))
    last = defter.ok("dead-letters", "list", "--count", "1")
    assert "1 dead letter, not sent again: " in last
    assert "the last 1; --count N shows more of them, --all every one\n" in last
    assert "--count N" not in defter.ok("dead-letters", "list", "--all")

    sent, summary = defter.json("dead-letters", "redrive", said(dead))
    again, again_summary = defter.json("dead-letters", "redrive", "--reason", "WRONG_PARTITION")
    repeated, _ = defter.json("dead-letters", "redrive", said(dead), "--again")

    assert (listed["reason"], listed["key"], listed["redriven"]) == ("WRONG_PARTITION", None, [])
    assert (sent["outcome"], sent["ledger"], sent["sequence"]) == ("accepted", ledger, 2)
    assert (summary["sent"], again_summary["sent"], again_summary["sent_before"]) == (1, 0, 1)
    assert (again["outcome"], again["to"]["partition"], again["to"]["offset"]) == ("sent-before", *sent["to"].values())
    assert (repeated["outcome"], repeated["sequence"]) == ("accepted", 2)
    assert not [one for one in defter.json("dead-letters", "list", "--pending") if is_at(one, dead)]
    record = lying(defter, Place(home, sent["to"]["offset"]))
    assert (record.key, record.value) == (ledger.encode(), account(ledger, "alice"))
    assert tuple(record.headers) == (("redriven-from", said(dead).encode()), *HEADERS)


def test_letters_of_a_ledger_that_was_not_open_are_decided_once_it_is(defter: Program) -> None:
    name = f"late{secrets.token_hex(4)}"
    lines = [json.loads(account(name, each)) for each in ("alice", "bob", "carol")]
    assert defter.run("send", stdin=as_lines(lines)).code == NO
    these = ("dead-letters", "redrive", "--reason", "UNKNOWN_LEDGER", "--partition", str(partition_of(name, 2)))

    *too_early, _ = defter.json(*these, code=NO)
    defter.ok("open-ledger", name)
    *in_time, summary = defter.json(*these)

    assert [one["reason"] for one in too_early] == ["UNKNOWN_LEDGER"] * 3
    assert [one["outcome"] for one in in_time] == ["sent-before"] * 3 + ["accepted"] * 3
    assert (summary["sent"], summary["sent_before"]) == (3, 3)
    assert [one["account"] for one in defter.json("accounts", "--ledger", name, "--min-sequence", "4")] == [
        "alice",
        "bob",
        "carol",
    ]


def test_what_was_no_command_is_sent_again_only_when_it_was_corrected(
    defter: Program, ledger: str, tmp_path: Path
) -> None:
    broken = b'\xff\x00 {"id":'
    dead = put(defter, partition_of(ledger, 2), Message(ledger.encode(), broken, HEADERS))
    file = tmp_path / "corrected.json"

    shown = defter.ok("dead-letters", "show", said(dead))
    raw = defter.start("dead-letters", "show", said(dead), "--raw")
    assert raw.communicate()[0] == broken
    as_it_is, _ = defter.json("dead-letters", "redrive", said(dead), code=NO)
    file.write_bytes(b"still no command")
    still, _ = defter.json("dead-letters", "redrive", said(dead), "--corrected", str(file), code=NO)
    file.write_bytes(account(ledger, "bob") + b"\n")
    corrected, _ = defter.json("dead-letters", "redrive", said(dead), "--corrected", str(file))

    assert "\\xff" in shown
    assert "reply-to: replies.of-alice" in shown
    assert [(one["outcome"], one["reason"]) for one in (as_it_is, still)] == [("not-sent", "MALFORMED")] * 2
    assert corrected["outcome"] == "accepted"
    (whole,) = defter.json("dead-letters", "show", said(dead))
    assert [one["corrected"] for one in whole["redriven"]] == [True]
    record = lying(defter, Place(**corrected["to"]))
    assert record.value == account(ledger, "bob")
    assert tuple(record.headers) == (("redriven-from", said(dead).encode()), *HEADERS[:2])


def test_a_key_that_is_not_the_ledgers_is_mended_and_an_id_that_stands_for_something_else_is_not(
    defter: Program, ledger: str
) -> None:
    home = partition_of(ledger, 2)
    mismatch = put(defter, home, Message(b"another", account(ledger, "bob"), ()))
    reused = put(defter, home, Message(ledger.encode(), account(ledger, "carol", "ledger"), ()))

    mended, _ = defter.json("dead-letters", "redrive", said(mismatch))
    refused, summary = defter.json("dead-letters", "redrive", said(reused), code=NO)

    assert (mended["outcome"], mended["command"]) == ("accepted", "bob")
    assert (refused["outcome"], refused["reason"], summary["not_sent"]) == ("not-sent", "ID_REUSED", 1)
    shard = next(one for one in defter.json("status") if one["type"] == "shard" and one["shard"] == home)
    assert 0 < shard["dead_letters_redriven"] < sum(shard["dead_letters"].values())
    assert f"; {shard['dead_letters_redriven']} of them sent again" in defter.ok("status")


def test_killed_between_sending_and_noting_it_is_sent_once_more_and_that_changes_nothing(
    defter: Program, ledger: str
) -> None:
    dead = put(defter, 1 - partition_of(ledger, 2), Message(None, account(ledger, "alice"), ()))

    asyncio.run(redriven_but_not_noted(defter, dead))
    once_more, _ = defter.json("dead-letters", "redrive", said(dead))

    assert (once_more["outcome"], once_more["sequence"]) == ("accepted", 2)
    accounts = defter.json("accounts", "--ledger", ledger, "--min-sequence", "2")
    assert [one["account"] for one in accounts] == ["alice"]
    assert {one["as_of"] for one in accounts} == {2}


def test_the_guide_does_what_it_says(defter: Program, tmp_path: Path) -> None:
    blocks = re.findall(r"```console\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    commands = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    dead = "0/17"

    for command in commands:
        code, told = as_it_is_written(defter, command.replace("0/17", dead), tmp_path)
        assert code == int(command.startswith("echo")), (command, told)
        if command.startswith("echo"):
            (one,) = [one for one in defter.json("dead-letters", "list") if "acount" in one["detail"]]
            dead = f"{one['partition']}/{one['offset']}"

    assert len(commands) == 9
    (shown,) = defter.json("show", "open-dora", "--ledger", "garden")
    assert shown["event"]["account"] == "dora"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["show", "0/999999"], NO, "no dead letter at 0/999999"),
        (["show", "7/0"], NO, "no dead letter at 7/0"),
        (["show", "order-77"], WRONG_USE, "'order-77' is not PARTITION/OFFSET"),
        (["list", "--partition", "2"], WRONG_USE, "there is no partition 2"),
        (["redrive"], WRONG_USE, "say which"),
        (["redrive", "0/1", "--reason", "MALFORMED"], WRONG_USE, "say which"),
        (["redrive", "--reason", "MALFORMED", "--corrected", "/dev/null"], WRONG_USE, "for one dead letter"),
    ],
)
def test_what_does_not_name_letters_is_told_so(defter: Program, arguments: list[str], code: int, told: str) -> None:
    done = defter.run("dead-letters", *arguments)

    assert done.code == code
    assert told in done.stderr


def as_it_is_written(defter: Program, command: str, where: Path) -> tuple[int, str]:
    """Run a command of the guide: in a shell where it needs one."""
    program, *arguments = shlex.split(command)
    if program == "defter" and ">" not in arguments:
        with contextlib.chdir(where):
            done = defter.run(*arguments)
        return done.code, done.stdout + done.stderr
    path = {"PATH": f"{DEFTER.parent}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["bash", "-c", command], env=defter.environment | path, cwd=where, capture_output=True, check=False
    )
    return ran.returncode, (ran.stdout + ran.stderr).decode()


def put(defter: Program, partition: int, message: Message) -> Place:
    """Put a message on a partition, wait until it is a dead letter, and return its place."""

    async def put_there() -> Place:
        settings = Settings.read(defter.settings)
        outbox, letters = KafkaOutbox(settings.brokers(), Topics(settings.prefix).commands, partition), both(settings)
        await outbox.send([message])
        place = Place(partition, (await outbox.bounds()).end - 1)
        while await letters.one(place.partition, place.offset) is None:
            await asyncio.sleep(0.02)
        await outbox.close()
        await letters.close()
        return place

    return asyncio.run(put_there())


def lying(defter: Program, place: Place) -> Record:
    """Return the record that lies at a place."""

    async def read() -> Record:
        settings = Settings.read(defter.settings)
        inbox = KafkaInbox(settings.brokers(), Topics(settings.prefix).commands, place.partition)
        try:
            return await inbox.at(place.offset)
        finally:
            await inbox.close()

    return asyncio.run(read())


async def redriven_but_not_noted(defter: Program, place: Place) -> None:
    """Send a letter again, and end before it is noted."""
    settings = Settings.read(defter.settings)
    letters, sending = both(settings), Sending(settings, 2, 10)
    kept = await letters.one(place.partition, place.offset)
    assert kept
    with pytest.raises(Killed):
        await redrive(letters, sending, [kept], point=killed)
    await letters.close()
    await sending.close()


def both(settings: Settings) -> DeadLetters:
    """Return the letters of both partitions."""
    return DeadLetters(settings, 2, OPERATOR)


class Killed(Exception):
    """In place of the signal."""


async def killed(place: str) -> None:
    raise Killed(place)


def account(ledger: str, name: str, command: str = "") -> bytes:
    fields = {"type": "open-account.v1", "id": command or name, "ledger": ledger, "account": name}
    return json.dumps(fields).encode()


def said(place: Place) -> str:
    return f"{place.partition}/{place.offset}"


def is_at(one: dict[str, Any], place: Place) -> bool:
    return (one["partition"], one["offset"]) == (place.partition, place.offset)
