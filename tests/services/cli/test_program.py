"""What a person meets at the prompt, with everything running: each test is a small piece of a day with Defter.

The tests share one installation, so each has accounts, or a ledger, of its own.
"""

import asyncio
import json
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import psutil
import psycopg

from services.kafka.inbox import KafkaInbox
from services.kafka.topics import Topics, partition_of
from services.settings import Kafka
from services.supervisor import PARTS
from tests.services.cli.conftest import ready
from tests.services.cli.program import DEFTER, PATIENTLY_S, Program, as_lines, deposit, move

NO = 1
NOT_EXPECTED = 3
INTERRUPTED = 130
LONGEST_NAME = "a" * 128
LARGEST = 2**63 - 1


def test_a_first_transfer(defter: Program) -> None:
    assert defter.installed("open-ledger", "first").code == 0
    assert defter.installed("open", "bank", "--type", "external", "--ledger", "first").code == 0
    assert defter.installed("open", "carol", "--alias", "@c", "--ledger", "first").code == 0
    done = defter.installed("transfer", "bank", "@c", "QAZ", "10050", "--kind", "deposit", "--ledger", "first")

    assert done.code == 0
    assert "accepted" in done.stdout
    assert "100.50" in done.stdout
    command = done.stderr.split()[1]
    (shown,) = defter.json("show", command, "--ledger", "first")
    assert shown["outcome"] == "accepted"
    assert shown["event"]["postings"][1]["account"] == "carol"
    (balance,) = defter.json("balance", "@c", "--ledger", "first", "--min-sequence", str(shown["sequence"]))
    assert (balance["account"], balance["balance"], balance["scale"]) == ("carol", "10050", 2)


def test_one_id_has_one_outcome_and_one_exit_code(defter: Program, ledger: str) -> None:
    pay = ("transfer", "alice", "bob", "QAZ", "600", "--ledger", ledger, "--id")

    first, again = defter.json(*pay, "pay-1"), defter.json(*pay, "pay-1")
    refused, refused_again = defter.json(*pay, "pay-2", code=NO), defter.json(*pay, "pay-2", code=NO)
    (reused,) = defter.json("transfer", "alice", "bob", "QAZ", "1", "--ledger", ledger, "--id", "pay-1", code=NO)

    assert first == [{"command": "pay-1", "ledger": ledger, "outcome": "accepted", "sequence": 6}]
    assert again == [first[0] | {"duplicate": True}]
    assert refused_again == [refused[0] | {"duplicate": True}]
    assert refused[0]["details"] == {"account": "alice", "unit": "QAZ", "available": "400", "requested": "600"}
    assert (reused["outcome"], reused["reason"]) == ("dead-letter", "ID_REUSED")
    assert "duplicate" not in reused
    assert f"accepted: pay-1 in {ledger}, event 6, decided before\n" in defter.ok(*pay, "pay-1")


def test_what_was_broken_off_is_run_again_each_with_the_id_that_was_told(defter: Program, ledger: str) -> None:
    broken = defter.run("open", "carol", "dave", "--timeout", "0.001", "--ledger", ledger)

    assert broken.code == NOT_EXPECTED
    ids = [line.removeprefix("id ") for line in broken.stderr.splitlines() if line.startswith("id ")]
    assert f"each of them again by itself, in this order, with --id {ids[0]}, --id {ids[1]}:" in broken.stderr
    for account, command in zip(("carol", "dave"), ids, strict=True):
        defter.ok("open", account, "--id", command, "--ledger", ledger)


def test_nothing_is_waited_for_with_no_wait(defter: Program, ledger: str) -> None:
    (sent,) = defter.json("transfer", "alice", "bob", "QAZ", "1", "--ledger", ledger, "--id", "p", "--no-wait")

    assert sent["outcome"] == "sent"
    assert sent["partition"] == partition_of(ledger, 2)


def test_metadata_and_a_fee_go_along(defter: Program, ledger: str) -> None:
    defter.ok("open", "treasury", "--type", "treasury", "--ledger", ledger)
    pay = ("transfer", "alice", "bob", "QAZ", "100", "--fee", "3", "--metadata", "invoice=a=b", "--id", "paid")
    defter.ok(*pay, "--ledger", ledger)

    (shown,) = defter.json("show", "paid", "--ledger", ledger)

    assert shown["event"]["fee"] == "3"
    assert shown["event"]["metadata"] == {"invoice": "a=b"}
    assert "  kind transfer, fee 3\n  metadata invoice=a=b\n" in defter.ok("show", "paid", "--ledger", ledger)


async def test_send_leaves_every_byte_as_it_is(defter: Program, ledger: str) -> None:
    odd = [b' {"id" :"odd","type":"open-account.v1",  "ledger":"%b","account":"odd"}\r' % ledger.encode(), b"\xff\x00"]
    inbox = KafkaInbox(kafka_of(defter), topics_of(defter).commands, partition_of(ledger, 2))
    end = (await inbox.bounds()).end

    done = await asyncio.to_thread(defter.installed, "send", "--ledger", ledger, stdin=b"\n".join(odd))

    assert done.code == NO
    records = [await inbox.at(end), await inbox.at(end + 1)]
    await inbox.close()
    assert [record.value for record in records] == odd
    assert [record.key for record in records] == [ledger.encode()] * 2


def test_send_tells_what_became_of_every_line_and_can_be_run_again(
    defter: Program, ledger: str, tmp_path: Path
) -> None:
    lines = [deposit(ledger, "bob", number) | {"id": f"d-{number}"} for number in range(1, 301)]
    lines += [deposit(ledger, "nobody", 5) | {"id": "to-nobody"}, deposit(ledger, "bob", 5) | {"id": "d-7"}]
    file = tmp_path / "commands.jsonl"
    file.write_bytes(as_lines(lines) + b"\n \t\nno json\n")

    first, again = (defter.json("send", str(file), code=NO) for _ in range(2))

    *outcomes, summary = first
    assert [outcome["outcome"] for outcome in outcomes[:300]] == ["accepted"] * 300
    assert [(outcome["line"], outcome["reason"]) for outcome in outcomes[300:]] == [
        (301, "ACCOUNT_NOT_FOUND"),
        (302, "ID_REUSED"),
        (305, "MALFORMED"),
    ]
    assert (summary["sent"], summary["accepted"], summary["refused"], summary["dead-letter"]) == (303, 300, 1, 2)
    assert [outcome | {"line": 0} for outcome in again] == [outcome | {"line": 0} for outcome in first]
    assert defter.run("send", str(file)).stdout.splitlines()[-4].startswith("303 sent: 300 accepted, 1 refused, 2 dead")


def test_an_interrupted_send_tells_how_far_it_came_and_that_it_resumes(defter: Program, ledger: str) -> None:
    sending = defter.start("send", "--ledger", ledger)
    assert sending.stdin
    assert sending.stdout
    sending.stdin.write(as_lines([deposit(ledger, "nobody", 5) | {"id": "pay-1"}]))
    sending.stdin.flush()
    told = sending.stdout.readline().decode()

    sending.send_signal(signal.SIGINT)
    code = sending.wait(PATIENTLY_S)  # while its stdin is still open, as at a prompt
    _, said = sending.communicate()

    assert told.startswith(f"refused: line 1, pay-1 in {ledger}, event 6: ACCOUNT_NOT_FOUND")
    assert "interrupted: run it again: it resumes, for one id has one outcome (1 lines were settled)" in said.decode()
    assert code == INTERRUPTED


def test_a_closed_pipe_is_no_fault(defter: Program, ledger: str) -> None:
    reading = defter.start("statement", "alice", "--ledger", ledger)
    assert reading.stdout
    reading.stdout.close()
    reading.stdout = None

    _, said = reading.communicate()

    assert reading.returncode == 141
    assert said == b""


def test_what_is_not_there_is_a_no(defter: Program, ledger: str) -> None:
    for arguments in (("balance", "nobody"), ("statement", "@nobody"), ("show", "no-such-id")):
        done = defter.run(*arguments, "--ledger", ledger)
        assert done.code == NO
        assert arguments[1] in done.stderr
    assert defter.run("accounts", "--ledger", "nowhere").code == NO
    behind = defter.run("balance", "alice", "--ledger", ledger, "--min-sequence", "999", "--timeout", "0.2")
    assert behind.code == NOT_EXPECTED
    assert "are at sequence 5, not yet at 999" in behind.stderr


def test_money_and_names_are_never_cut_short(defter: Program, ledger: str) -> None:
    account = {"type": "open-account.v1", "id": "long", "ledger": ledger, "account": LONGEST_NAME}
    fund = deposit(ledger, LONGEST_NAME, LARGEST - 1000) | {"id": "i" * 128}
    defter.ok("send", stdin=as_lines([account, fund]))
    whole = f"{(LARGEST - 1000) // 100}.{(LARGEST - 1000) % 100:02}"
    of = ("--ledger", ledger, "--min-sequence", "7")

    for shown in (
        defter.ok("statement", LONGEST_NAME, *of),
        defter.on_a_terminal("statement", LONGEST_NAME, *of, columns=20),
    ):
        for text in (LONGEST_NAME, str(LARGEST - 1000), whole, "i" * 128):
            assert text in shown
    assert LONGEST_NAME in defter.on_a_terminal("accounts", "--ledger", ledger, columns=20)


def test_a_terminal_is_told_what_to_try_next_and_a_pipe_is_not(defter: Program, ledger: str) -> None:
    shown = defter.on_a_terminal("balance", "alice", "--ledger", ledger, columns=100)
    piped = defter.run("balance", "alice", "--ledger", ledger)

    assert f"next: defter statement alice --ledger {ledger}" in shown
    assert "next:" not in piped.stdout + piped.stderr


def test_a_hint_asks_the_ledger_that_was_asked(defter: Program, ledger: str) -> None:
    defter.ok("open-ledger", "main")
    at_home = Program(defter.settings | {"DEFTER_LEDGER": ledger})

    assert "next: defter open ACCOUNT --ledger main\n" in at_home.on_a_terminal(
        "accounts", "--ledger", "main", "--min-sequence", "1", columns=100
    )
    assert "next: defter balance alice\n" in at_home.on_a_terminal("accounts", "--min-sequence", "5", columns=100)


def test_watching_shows_the_bytes_that_were_published(defter: Program, ledger: str) -> None:
    watched = defter.ok("watch", "--beginning", "--count", "5", "--ledger", ledger, "--json").splitlines()

    shown = [defter.json("show", command, "--ledger", ledger)[0]["event"] for command in ("ledger", "bob")]
    assert [json.loads(watched[0]), json.loads(watched[3])] == shown
    assert [json.loads(line)["sequence"] for line in watched] == [1, 2, 3, 4, 5]


def test_simulating_on_a_ledger_shows_what_would_be_and_changes_nothing(defter: Program, ledger: str) -> None:
    line = {"type": "transfer.v1", "id": "would-be", "ledger": ledger, "movements": [move("alice", "bob", 400)]}
    event, alice, bob = defter.json("simulate", "--on", ledger, "--balances", stdin=as_lines([line]))

    assert (event["type"], event["sequence"]) == ("transfer-posted.v1", 6)
    assert (alice["before"]["balance"], alice["after"]["balance"]) == ("1000", "600")
    assert bob["after"]["balance"] == "400"
    assert defter.run("show", "would-be", "--ledger", ledger).code == NO


def test_a_point_names_the_scale_of_the_unit(defter: Program, ledger: str) -> None:
    define = {"type": "define-unit.v1", "id": "rice", "ledger": ledger, "unit": "RICE", "scale": 3}
    defter.ok("send", stdin=as_lines([define]))

    done = defter.run("transfer", "alice", "bob", "RICE", "1.5", "--ledger", ledger)

    assert done.code == 2
    assert "The scale of RICE is 3" in done.stderr
    assert "1.5 RICE is 1500" in done.stderr


def test_setting_up_twice_at_once_is_setting_up_once(bare: Program, defter: Program) -> None:
    both = [bare.start("setup", "--json") for _ in range(2)]
    said = [one.communicate()[0] for one in both]

    assert [one.returncode for one in both] == [0, 0]
    assert said[0] == said[1]
    done = bare.run("setup", "--partitions", "3")
    assert done.code == NOT_EXPECTED
    assert "2 partitions, not 3" in done.stderr


def test_a_second_run_of_one_name_does_no_harm(defter: Program, running: tuple[subprocess.Popen[bytes], int]) -> None:
    children = psutil.Process(running[0].pid).children()
    named = "from pg_stat_activity where datname = current_database() and application_name like 'defter-run%'"
    another = partial(
        subprocess.run, [DEFTER, "run"], env=defter.environment, capture_output=True, text=True, timeout=30
    )

    second = another()
    with psycopg.connect(defter.settings["DEFTER_DATABASE"], autocommit=True) as owner:
        assert owner.execute(f"select pg_terminate_backend(pid) {named}".encode()).fetchall() == [(True,)]
        while not owner.execute(f"select {named}".encode()).rowcount:
            time.sleep(0.05)
    third = another()

    assert (second.returncode, third.returncode) == (NOT_EXPECTED, NOT_EXPECTED), second.stderr + third.stderr
    assert "set DEFTER_INSTANCE to a name of its own" in second.stderr
    assert psutil.Process(running[0].pid).children() == children


def test_a_killed_process_is_started_again_and_none_outlives_the_supervisor(
    defter: Program, running: tuple[subprocess.Popen[bytes], int]
) -> None:
    supervisor, port = running
    children = psutil.Process(supervisor.pid).children()
    assert len(children) == len(PARTS)
    for child in children:
        child.kill()
    while len(again := [child for child in psutil.Process(supervisor.pid).children() if child.is_running()]) < len(
        PARTS
    ):
        time.sleep(0.05)
    while not ready(port):
        time.sleep(0.05)

    supervisor.kill()

    _, alive = psutil.wait_procs([*children, *again], timeout=60)
    assert not alive


def kafka_of(defter: Program) -> Kafka:
    return Kafka(servers=defter.environment["DEFTER_KAFKA"])


def topics_of(defter: Program) -> Topics:
    return Topics(defter.environment["DEFTER_PREFIX"])
