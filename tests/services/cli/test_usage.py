"""What the program says without any installation: help, usage errors, simulation, and how things are shown."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from services.cli import SECTIONS, screen
from services.cli.issuing import _next, amount
from services.cli.screen import printable, whole
from services.log import without_passwords
from services.sending import Outcome
from tests.services.cli.program import DEFTER, PATIENTLY_S, Program, shown_on

WRONG_USE = 2
NOT_THERE = 3
INTERRUPTED = 130
COMMANDS = [command for section in SECTIONS for command in section.commands]


@pytest.fixture
def defter(tmp_path: Path) -> Program:
    """The program with no setting, and no local installation."""
    return Program({"XDG_DATA_HOME": str(tmp_path)})


def test_help_groups_every_command(defter: Program) -> None:
    told = defter.ok("--help")

    places = [told.index(f"{section.title.capitalize()}:\n") for section in SECTIONS]
    assert places == sorted(places)
    assert all(f"\n  {command} " in told for command in COMMANDS)
    assert "..." not in told.partition("Start:")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(defter: Program, command: str) -> None:
    told = defter.ok(command, "--help")

    assert told == defter.ok(command, "-h")
    assert "Example:\n" in told
    assert f"defter {command}" in told.partition("Example:\n")[2]


def test_the_installed_program_tells_its_version(defter: Program) -> None:
    done = defter.installed("--version")

    assert (done.code, done.stdout.split()[0]) == (0, "defter")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["transfer", "a", "b", "QAZ", "3.5"], "The scale of QAZ is 2: 1 QAZ is 100 parts; 3.5 QAZ is 350"),
        (["transfer", "a", "b", "QAZ", "3,50"], "3,50 QAZ is 350"),
        (["transfer", "a", "b", "QAZ", "0.001"], "The scale of QAZ is 2: 1 QAZ is 100 parts"),
        (["transfer", "a", "b", "QAZ", ".5"], "The scale of QAZ is 2: 1 QAZ is 100 parts; .5 QAZ is 50"),
        (["transfer", "a", "b", "QAZ", "1.000,50"], "The scale of QAZ is 2: 1 QAZ is 100 parts"),
        (["transfer", "a", "b", "QAZ", "5", "--fee", "-1.5"], "The scale of QAZ is 2: 1 QAZ is 100 parts"),
        (["transfer", "a", "b", "QAZ", "-5"], "'-5' is no amount: expected digits"),
        (["quote", "a", "USD", "-5.5", "EUR"], "'-5.5' is no amount: expected digits"),
        (["transfer", "a", "b", "QAZ", "5", "--fe", "1"], "No such option '--fe'"),
        (["transfer", "a", "b", "QAZ", "0"], "'0' is no amount: expected digits, 1 to 9223372036854775807"),
        (["transfer", "a", "b", "QAZ", "9223372036854775808"], "is no amount"),
        (["transfer", "a", "b", "QAZ", "1e3"], "is no amount"),
        (["transfer", "a", "b", "qaz", "5"], "'qaz' is not a unit"),
        (["transfer", "a b", "b", "QAZ", "5"], "'a b' is not an account's name"),
        (["open", "@alice"], "'@alice' is not an account's name"),
        (["open", "alice", "--policy", "foo"], "is not one of 'no_overdraft', 'capped_overdraft', "),
        (["open-ledger", "Main"], "'Main' is not a ledger's name"),
        (["show", "with space"], "'with space' is not an id"),
        (["balance", "a", "--as-of", "yesterday"], "'yesterday' is neither a sequence nor a time"),
        (["statement", "a", "--after", "7"], "'7' is not the id of a posting, such as 42.0"),
        (["transfer", "a", "b", "QAZ", "5", "--metadata", "x"], "'x' is not KEY=VALUE"),
        (["open", "a", "--metadata", "a=1", "--metadata", "b=1", "--metadata", "a=1"], "'a' is given twice"),
        (["setup", "--partitions", "0"], "0 is not in the range"),
        (["setup", "--partitions", "99999999999"], "is not in the range"),
        (["statement", "a", "--all", "--after", "6.1"], "--all is every posting: leave --after out"),
        (["statement", "a", "--all", "--count", "50"], "--all is every posting: leave --count out"),
        (["watch", "--all", "--ledger", "shop"], "--all is every ledger: leave --ledger out"),
        (["dead-letters", "list", "--all", "--count", "2"], "--all is every dead letter: leave --count out"),
        (["dead-letters", "show", "0/1", "--raw", "--json"], "--raw is the value alone: leave --json out"),
        (["rebuild", "--list", "--rollback"], "--rollback and --list are two things: run one after the other"),
        (["rebuild", "--rollback", "--dry-run"], "--dry-run and --rollback are two things: run one after the other"),
        (["rebuild", "--drop", "1", "--list"], "--drop and --list are two things: run one after the other"),
        (["rebuild", "--list", "--rate", "5"], "--list takes in no events: leave --rate out"),
        (["balance", "a", "--as-of", "9223372036854775808"], "is neither a sequence nor a time"),
        (["holds", "--as-of", "9999999999999999999"], "is neither a sequence nor a time"),
        (["show", "a", "--min-sequence", "99999999999999999999"], "is not in the range"),
        (["statement", "a", "--count", "99999999999999999999"], "is not in the range"),
        (["statement", "a", "--after", "9223372036854775808.0"], "is larger than any id of a posting"),
        (["statement", "a", "--after", "1.2147483648"], "is larger than any id of a posting"),
        (["dead-letters", "list", "--count", "99999999999999999999"], "is not in the range"),
        (["diff", "--generations", "99999999999999999999", "1"], "is not in the range"),
        (["publisher", "--from-position", "9223372036854775808"], "is not in the range"),
        (["accounts", "--timeout", "nan"], "is not a number of seconds"),
        (["snapshot", "--every", "nan"], "is not a number of seconds"),
        (["bench", "lone", "--seconds", "nan"], "is not a number of seconds"),
        (["snapshot", "--every", "0.5"], "0.5 is not in the range"),
        (["accounts", "--timeout", "inf"], "is not in the range"),
        (["simulate", "--on", "main", "--timeout", "1e300"], "is not in the range"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_wrong_usage_is_named_and_exits_2(defter: Program, arguments: list[str], said: str) -> None:
    done = defter.run(*arguments)

    assert done.code == WRONG_USE
    assert said in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("text", "scale", "told"),
    [
        ("1.5", 3, "The scale of RICE is 3: 1 RICE is 1000 parts; 1.5 RICE is 1500"),
        ("1,000", 3, "The scale of RICE is 3: 1 RICE is 1000 parts"),
        ("0.00", 2, "The scale of RICE is 2: 1 RICE is 100 parts"),
        (f"{2**63}.", 0, "The scale of RICE is 0: 1 RICE is 1 parts"),
        (".", 0, "The scale of RICE is 0: 1 RICE is 1 parts"),
        ("5.5", None, "The scale of RICE is not known"),
    ],
)
def test_a_point_names_the_scale_and_never_guesses(text: str, scale: int | None, told: str) -> None:
    with pytest.raises(click.UsageError) as refused:
        amount(text, "RICE", lambda: scale)

    said = f"{text!r} is no amount: amounts are minimal parts, digits only. {told}"
    assert refused.value.message == said


def test_what_is_not_text_is_no_command(defter: Program) -> None:
    nobody = {"DEFTER_DATABASE": "postgresql://127.0.0.1:1/nothing", "DEFTER_KAFKA": "127.0.0.1:1"}

    done = Program(defter.settings | nobody).run("open", "x1", "--metadata", os.fsdecode(b"k=\xff\xfe"))

    assert done.code == WRONG_USE
    assert "this is no open-account.v1: not all of it is UTF-8" in done.stderr


def test_an_interrupted_command_says_its_id_and_how_to_run_it_again(defter: Program) -> None:
    nobody = {"DEFTER_DATABASE": "postgresql://127.0.0.1:1/nothing", "DEFTER_KAFKA": "127.0.0.1:1"}
    waiting = Program(defter.settings | nobody).start("transfer", "alice", "bob", "QAZ", "5", "--json")
    assert waiting.stderr
    told, _, command = waiting.stderr.readline().decode().rstrip("\n").partition(" ")

    waiting.send_signal(signal.SIGINT)
    stdout, stderr = waiting.communicate(timeout=PATIENTLY_S)

    assert told == "id"
    assert f"run the same again with --id {command}:" in stderr.decode()
    assert (waiting.returncode, stdout) == (INTERRUPTED, b"")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("simulate commands.jsonl >/dev/full", "No space left on device"),
        ("--help >/dev/full", "No space left on device"),
        ("simulate commands.jsonl >&-", "Bad file descriptor"),
        ("simulate <&-", "Bad file descriptor"),
    ],
)
def test_what_cannot_be_read_or_printed_is_no_answer(defter: Program, tmp_path: Path, command: str, why: str) -> None:
    (tmp_path / "commands.jsonl").write_text("nonsense\n")

    shell = ["sh", "-c", f'exec "$0" {command}', str(DEFTER)]
    done = subprocess.run(shell, env=defter.environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == NOT_THERE
    assert done.stderr == f"defter: input or output cannot be read or written: {why}\n"


def test_whoever_closes_all_streams_is_told_nothing_and_disturbs_nothing(defter: Program, tmp_path: Path) -> None:
    shell = ["sh", "-c", 'exec "$0" simulate /dev/null <&- >&- 2>&-', str(DEFTER)]

    assert subprocess.run(shell, env=defter.environment, cwd=tmp_path, check=False).returncode == 0


@pytest.mark.parametrize("command", [["dev"], ["dev", "--reset"], ["status"]])
def test_a_data_directory_that_cannot_be_used_is_named_with_the_remedy(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "defter").write_text("no directory")

    done = Program({"XDG_DATA_HOME": str(tmp_path)}).run(*command)

    assert done.code == NOT_THERE
    assert f"the local installation cannot be kept in {tmp_path / 'defter'}: " in done.stderr
    assert "remedy: set XDG_DATA_HOME" in done.stderr


def test_a_wrong_setting_is_refused_before_any_server_is_started(defter: Program, tmp_path: Path) -> None:
    done = Program(defter.settings | {"DEFTER_LOG": "xml"}).run("dev")

    assert done.code == WRONG_USE
    assert "DEFTER_LOG is 'xml'" in done.stderr
    assert not list(tmp_path.iterdir())


def test_simulating_needs_nothing_but_a_file(defter: Program, tmp_path: Path) -> None:
    file = tmp_path / "commands.jsonl"
    file.write_text('{"type":"open-ledger.v1","id":"a","at":"2026-01-01T00:00:00Z"}\nnonsense\n')

    event, letter = map(json.loads, defter.ok("simulate", str(file)).splitlines())

    assert event == {
        "type": "ledger-opened.v1",
        "ledger": "main",
        "sequence": 1,
        "at": "2026-01-01T00:00:00.000Z",
        "command": "a",
    }
    assert (letter["type"], letter["line"], letter["reason"]) == ("dead-letter", 2, "MALFORMED")


@pytest.mark.parametrize(
    ("parts", "scale", "shown"),
    [(-305, 2, "-3.05"), (7, 0, "7"), (5, 3, "0.005"), (-(2**63), 18, "-9.223372036854775808"), (5, None, None)],
)
def test_minimal_parts_in_whole_units(parts: int, scale: int | None, shown: str | None) -> None:
    assert whole(parts, scale) == shown


def test_what_came_from_outside_cannot_speak_to_the_terminal() -> None:
    assert printable("a\x1b[31mb\u202ec\nd") == "a\\x1b[31mb\\u202ec\nd"


def test_a_hint_is_what_a_shell_takes_as_it_is_meant() -> None:
    paid = {"type": "transfer.v1", "movements": [{"destination": "b#1"}]}
    bank = {"type": "open-account.v1", "account": "bank", "account_type": "external"}
    accepted = Outcome("accepted", "main", "$(id)", 1)
    reused = Outcome("dead-letter", "main", "$(id)", reason="ID_REUSED")
    nobody = Outcome("refused", "main", "pay", 2, "ACCOUNT_NOT_FOUND", {"account": "@nobody"})

    assert _next(paid, accepted, "main") == ["defter balance 'b#1'", "defter show '$(id)'"]
    assert _next(paid, reused, "shop") == ["defter show '$(id)' --ledger main"]
    assert _next(paid, nobody, "main") == ["defter open ACCOUNT --alias @nobody"]
    assert _next(bank, accepted, "main")[1] == "defter transfer bank ACCOUNT QAZ 10000 --kind deposit"


@pytest.mark.parametrize("name", ["dumb", "unknown"])
def test_a_terminal_that_knows_nothing_but_text_is_shown_all_of_it_and_nothing_else(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, money = "a" * 128, str(2**63 - 1)
    ours, its = pty.openpty()
    monkeypatch.setenv("TERM", name)
    with os.fdopen(its, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        screen.table([screen.Column("account"), screen.amount("in whole units")], [(long, money)])
        screen.hint("defter accounts", "defter status")
    shown = shown_on(ours)

    assert all(text in shown for text in ("in whole units", long, money, "next: defter accounts"))
    assert "\x1b" not in shown


@pytest.mark.parametrize("name", ["dumb", "unknown"])
def test_a_pipe_that_is_called_a_terminal_is_shown_all_money(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", name)
    monkeypatch.setenv("FORCE_COLOR", "1")

    screen.table([screen.Column("account"), screen.amount("in whole units")], [("a" * 128, 2**63 - 1)])

    assert f"{'a' * 128}  {2**63 - 1}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("at postgresql://ann:hunter2@db:5432/x", "at postgresql://ann:***@db:5432/x"),
        ("host=db password='hun ter2' user=ann", "host=db password=*** user=ann"),
        ("sslpassword = hunter2", "sslpassword = ***"),
        ("nothing of the kind", "nothing of the kind"),
    ],
)
def test_a_password_is_masked_wherever_it_stands(said: str, shown: str) -> None:
    assert without_passwords(said) == shown
