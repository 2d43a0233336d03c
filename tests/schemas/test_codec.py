"""Bytes are for ever, commands are read strictly, events tolerantly.

The golden files are added to and never edited: what stands in them is stored somewhere. `golden_events.jsonl` has bytes
of every event. `golden_commands.txt` has, of every command, what was said, its canonical text, its fingerprint and the
key of its id.
"""

import json
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from schemas.codec import decode_command, decode_event, encode_events, fingerprint, id_key
from schemas.commands import Command
from schemas.events import CommandRefused, Event, HoldExpired, LedgerOpened
from schemas.reasons import Reason
from tests.schemas.said import MOVEMENT, SHORT, TRANSFER, canonical, fault

AT: Final = "2026-11-21T09:30:00.000Z"
HERE: Final = Path(__file__).parent
EVENTS: Final = (HERE / "golden_events.jsonl").read_bytes().splitlines()
COMMANDS: Final = [entry.splitlines() for entry in (HERE / "golden_commands.txt").read_bytes().split(b"\n\n")]


@pytest.mark.parametrize("stored", EVENTS, ids=lambda stored: json.loads(stored)["type"])
def test_the_bytes_of_an_event_never_change(stored: bytes) -> None:
    assert encode_events([decode_event(stored)]) == [stored]


def test_many_events_are_taken_apart_again_whatever_line_ends_their_texts_hold() -> None:
    texts = {"lines": "one\ntwo\rthree\r\nfour\x0bfive\x0csix\x1cseven\x85eight\u2028nine\u2029ten"}
    events = [LedgerOpened(ledger="main", sequence=number, at=AT, metadata=texts) for number in (1, 2, 3)]

    assert list(map(decode_event, encode_events(events))) == events


def test_every_event_has_golden_bytes() -> None:
    assert {type(decode_event(stored)) for stored in EVENTS} == set(get_args(Event))


@pytest.mark.parametrize(("said", "text", "hashes"), COMMANDS, ids=lambda part: part[:40].decode())
def test_the_fingerprint_of_a_command_and_the_key_of_its_id_never_change(
    said: bytes, text: bytes, hashes: bytes
) -> None:
    command, now = decode_command(said, None)

    assert now == text
    assert f"{fingerprint(now).hex()} {id_key(command.ledger, command.id).hex()}".encode() == hashes


def test_every_command_has_a_golden_fingerprint() -> None:
    assert {type(decode_command(said, None)[0]) for said, _, _ in COMMANDS} == set(get_args(Command))


@pytest.mark.parametrize(("said", "text", "hashes"), COMMANDS, ids=lambda part: part[:40].decode())
def test_the_canonical_text_is_itself_that_command(said: bytes, text: bytes, hashes: bytes) -> None:
    assert decode_command(text, None) == decode_command(said, None)


@pytest.mark.parametrize("stored", EVENTS, ids=lambda stored: json.loads(stored)["type"])
def test_what_a_reader_of_events_does_not_know_it_passes_over(stored: bytes) -> None:
    fields = json.loads(stored)
    newer = json.dumps({"later": {"deep": [1.5, None]}, **fields, "even_later": [fields]}).encode()

    assert decode_event(newer) == decode_event(stored)


def test_a_number_that_a_reader_could_round_is_text_and_nothing_else_is() -> None:
    numbers = {"sequence", "version", "book_version", "scale", "reverses"}

    for stored in EVENTS:
        for name, value in json.loads(stored).items():
            assert isinstance(value, int) == (name in numbers or value is True), name


@pytest.mark.parametrize(
    "more",
    [
        {"ledger": "main"},
        {"kind": "transfer"},
        {"metadata": {}},
        {"fee": 0},
        {"fee": "0"},
        {"expect": {}},
        {"expect": {"versions": {}, "balances": []}},
        {"expect": {"versions": None, "balances": None}},
        {"movements": [MOVEMENT | {"amount": "5"}]},
        dict.fromkeys(("ledger", "metadata", "kind", "book", "fee", "expect", "effective_at")),
    ],
    ids=str,
)
def test_other_words_for_the_same_content_are_the_same_content(more: dict[str, Any]) -> None:
    assert canonical(TRANSFER | more) == canonical(TRANSFER)


def test_an_empty_list_in_an_expect_expects_nothing() -> None:
    pins = [{"account": "a", "unit": "QAZ", "at_least": 5, "at_most": None}]
    spelt_out = {"versions": {}, "balances": [pins[0] | {"at_least": "5"}]}

    assert canonical(TRANSFER | {"expect": spelt_out}) == canonical(TRANSFER | {"expect": {"balances": pins}})


def test_the_short_form_means_the_long_one_in_the_ledger_of_its_key() -> None:
    assert canonical(SHORT) == canonical(TRANSFER)
    assert canonical(SHORT, b"main") == canonical(TRANSFER, b"main")
    assert canonical(SHORT, b"shop-7") == canonical(TRANSFER | {"ledger": "shop-7"})
    assert fault(SHORT, b"Main").endswith(" - at `$`")
    assert fault(SHORT, b"\xff") == "not UTF-8 - at `$`"
    assert fault(SHORT, b"")
    assert fault(SHORT | {"type": None})
    assert fault(SHORT | {"metadata": {}})


@pytest.mark.parametrize(
    "more",
    [
        {"movements": [MOVEMENT | {"source": "b", "destination": "a"}]},
        {"movements": [MOVEMENT, MOVEMENT]},
        {"metadata": {"a": ""}},
        {"fee": 1},
        {"expect": {"versions": {"a": 1}}},
        {"expect": {"balances": [{"account": "a", "unit": "QAZ"}]}},
        {"effective_at": "2026-01-01T00:00:00Z"},
        {"ledger": "other"},
        {"kind": "deposit"},
        {"movements": [MOVEMENT | {"source": "@a"}]},
    ],
    ids=str,
)
def test_other_content_has_another_fingerprint(more: dict[str, Any]) -> None:
    assert fingerprint(canonical(TRANSFER | more)) != fingerprint(canonical(TRANSFER))


def test_what_is_cleared_and_what_stays_are_two_contents() -> None:
    update = {"type": "update-account.v1", "id": "u", "account": "a", "flags": []}

    texts = {canonical(update | more) for more in ({}, {"alias": None}, {"book": None}, {"floor": None})}

    assert len(texts) == 4
    assert canonical(update | {"policy": None, "expected_version": None}) == canonical(update)
    assert "nothing to update" in fault({**update, "flags": None, "policy": None})


def test_metadata_of_an_event_keeps_its_order_and_details_theirs() -> None:
    refused = CommandRefused(
        ledger="main",
        sequence=1,
        at="2026-01-01T00:00:00.000Z",
        command="c",
        metadata={"a": "1", "b": "2"},
        command_type="transfer.v1",
        reason=Reason.UNKNOWN_UNIT,
        details={"unit": "GOLD", "a": "b"},
    )

    (data,) = encode_events([refused])
    assert data.endswith(b'"reason":"UNKNOWN_UNIT","details":{"unit":"GOLD","a":"b"}}')


def test_an_expiry_has_no_command() -> None:
    [expired] = [event for event in map(decode_event, EVENTS) if isinstance(event, HoldExpired)]

    assert expired.command is None
