"""What is listed is data in every form, as of any moment; and the read models behind it are made anew."""

import csv
import io
import re

from tests.services.cli.program import Program, as_lines, move

NO = 1


def test_reading_back_what_was_so(defter: Program, ledger: str) -> None:
    defter.ok("transfer", "alice", "bob", "QAZ", "250", "--ledger", ledger)
    of = ("--ledger", ledger)

    (then,) = defter.json("balance", "alice", "--as-of", "5", "--min-sequence", "6", *of)
    (now,) = defter.json("balance", "alice", *of)
    postings = defter.json("statement", "alice", *of)
    (sums,) = defter.json("trial-balance", *of)
    accounts = defter.json("accounts", *of)

    assert (then["balance"], then["as_of"]) == ("1000", 5)
    assert (now["balance"], now["as_of"]) == ("750", 6)
    assert [(one["amount"], one["balance"], one["state"]) for one in postings] == [
        ("1000", "1000", "active"),
        ("-250", "750", "inactive"),
    ]
    assert defter.json("statement", "alice", "--after", "5.1", *of) == postings[1:]
    assert (sums["debits"], sums["credits"], sums["balance"]) == ("1250", "1250", "0")
    assert [one["account"] for one in accounts] == ["alice", "bob", "world"]
    assert [(one["as_of"], one["as_of_time"]) for one in accounts] == [(6, now["as_of_time"])] * 3


def test_what_is_listed_is_data_too_as_of_any_moment(defter: Program, ledger: str) -> None:
    of = ("--ledger", ledger)
    hold = {"type": "place-hold.v1", "id": "hold", "ledger": ledger, "movements": [move("alice", "bob", 40)]}
    release = {"type": "release-hold.v1", "id": "release", "ledger": ledger, "hold": "hold"}
    reverse = {"type": "reverse-transfer.v1", "id": "back", "ledger": ledger, "transfer": "pay"}
    pay = {"type": "transfer.v1", "id": "pay", "ledger": ledger, "movements": [move("alice", "bob", 250)]}
    defter.ok("send", stdin=as_lines([pay, hold, release, reverse]))

    (held,) = defter.json("holds", "alice", "--as-of", "7", "--min-sequence", "9", *of)
    (ended,) = defter.json("holds", "--ended", *of)
    (shown,) = defter.json("show", "pay", "--min-sequence", "9", *of)
    (then,) = defter.json("show", "pay", "--as-of", "8", *of)

    assert (held["hold"], held["remaining"], held["state"], held["as_of"]) == ("hold", "40", "open", 7)
    assert (ended["remaining"], ended["state"], ended["changed"]) == ("0", "released", 8)
    assert defter.json("holds", *of) == []
    assert re.fullmatch(rf"nothing: {ledger}, as of sequence 9, 20.*Z\n", defter.run("holds", "--json", *of).stderr)
    assert (shown["movements"][0]["reversed"], shown["reversals"]) == ("250", [9])
    assert (then["movements"][0]["reversed"], then["reversals"]) == ("0", [])
    assert (shown["as_of"], then["as_of"]) == (9, 8)
    assert re.search(f"moved back by event 9\n.*\n{ledger}, as of sequence 9\n", defter.ok("show", "pay", *of))
    assert defter.run("show", "pay", "--as-of", "5", *of).code == NO
    assert [one["account"] for one in defter.json("accounts", "--as-of", "3", *of)] == ["alice", "world"]
    assert [one["debits"] for one in defter.json("trial-balance", "--as-of", "6", *of)] == ["1250"]
    before = defter.ok("statement", "alice", "--as-of", "2020-01-01T00:00:00.000Z", *of)
    assert f"alice in {ledger}, as of sequence 0, before anything happened\n" in before
    for command in (
        ("balance", "alice"),
        ("statement", "alice"),
        ("accounts",),
        ("holds", "--ended"),
        ("trial-balance",),
    ):
        names, *lines = csv.reader(io.StringIO(defter.ok(*command, "--csv", *of)))
        objects = defter.json(*command, *of)
        assert sorted(names) == sorted(name for name in objects[0] if name != "type")
        assert len(lines) == len(objects)
        assert [line[names.index("as_of")] for line in lines] == ["9"] * len(lines)
    assert "opening balance" in defter.ok("statement", "alice", *of)


def test_a_statement_says_that_there_may_be_more_and_names_a_command_to_look_at(defter: Program, ledger: str) -> None:
    short = defter.on_a_terminal("statement", "alice", "--count", "1", "--ledger", ledger, columns=100)
    long = defter.ok("statement", "alice", "--ledger", ledger)

    assert "the last 1 postings; --count N shows more of them, --all every one\n" in short
    assert f"defter show deposit --ledger {ledger}\n" in short
    assert "the last" not in long


def test_a_terminal_is_told_what_to_try_after_a_look_at_everything(defter: Program) -> None:
    assert "next: defter verify --published --redecide\n" in defter.on_a_terminal("verify", columns=100)
    assert "next: defter status\n" in defter.on_a_terminal("snapshot", columns=100)


def test_read_models_are_rebuilt_swapped_rolled_back_and_dropped(defter: Program, ledger: str) -> None:
    before = defter.json("balance", "alice", "--ledger", ledger)

    compared = defter.json("rebuild", "--dry-run")
    alone = defter.json("rebuild", "--dry-run", "--balances")
    rebuilt = defter.json("rebuild", "--rate", "100000")
    back = defter.json("rebuild", "--rollback")
    forth = defter.ok("rebuild", "--rollback")
    dropped = defter.json("rebuild", "--drop", "1")
    (left, _) = defter.json("rebuild", "--list")

    assert compared[-1]["equal"]
    assert not compared[-1]["live"]
    assert [one["table"] for one in alone[:-1]] == ["balances"]
    assert {one["table"] for one in compared[:-1]} > {"balances", "postings", "outcomes"}
    number = rebuilt[-1]["live"]
    assert back == [{"type": "rollback", "live": 1, "instead_of": number}]
    assert forth.startswith(f"generation {number} is live again, instead of 1")
    assert dropped == [{"type": "drop", "generation": 1}]
    assert (left["generation"], left["state"]) == (number, "live")
    defter.ok("transfer", "alice", "bob", "QAZ", "1", "--ledger", ledger)
    (after,) = defter.json("balance", "alice", "--ledger", ledger, "--min-sequence", "6")
    assert int(after["balance"]) == int(before[0]["balance"]) - 1
    refused = defter.run("rebuild", "--drop", str(number))
    assert (refused.code, "other than the live one" in refused.stderr) == (NO, True)
    nowhere = defter.run("rebuild", "--rollback")
    assert (nowhere.code, "there is no generation to go back to" in nowhere.stderr) == (NO, True)


def test_a_statement_that_is_cut_says_so_whatever_its_form(defter: Program, ledger: str) -> None:
    of = ("--ledger", ledger)
    pays = [
        {"type": "transfer.v1", "id": f"pay-{number}", "ledger": ledger, "movements": [move("alice", "bob", 1)]}
        for number in range(50)
    ]
    defter.ok("send", stdin=as_lines(pays))
    told = "; --count N shows more of them, --all every one\n"

    data = defter.run("statement", "bob", "--csv", *of)
    chosen = defter.run("statement", "bob", "--csv", "--count", "50", *of)

    assert (data.stdout, data.stderr) == (chosen.stdout, "the last 50 postings" + told)
    assert chosen.stderr == ""
    assert "the first 3 postings" + told in defter.ok("statement", "bob", "--after", "6.1", "--count", "3", *of)
    assert defter.run("statement", "bob", "--csv", "--all", *of).stderr == ""
