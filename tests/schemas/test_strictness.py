"""What is no command, and what only looks as if it were none (SPEC 2, 3, 14)."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from schemas.cloudevents import decode_structured
from schemas.codec import MalformedError, decode_command
from schemas.commands import Transfer
from schemas.values import LARGEST, SMALLEST, timestamp
from tests.schemas.said import AD, MOVEMENT, SHORT, TRANSFER, canonical, fault


@pytest.mark.parametrize("amount", [1, LARGEST, "1", str(LARGEST)])
def test_an_amount_is_a_whole_number_from_1_to_the_largest(amount: int | str) -> None:
    command, _ = decode_command(json.dumps(TRANSFER | {"movements": [MOVEMENT | {"amount": amount}]}).encode(), None)

    assert isinstance(command, Transfer)
    assert type(command.movements[0].amount) is int


@pytest.mark.parametrize(
    "amount",
    [0, -1, LARGEST + 1, "0", "01", "+1", "1.0", "", str(LARGEST + 1), "9" * 4000, 1.0, 1e400, True, None, "１"],
)
def test_nothing_else_is_an_amount(amount: object) -> None:
    value = json.dumps(TRANSFER | {"movements": [MOVEMENT | {"amount": amount}]}).replace("Infinity", "1e400")

    assert "$.movements[0]" in fault(value.encode())


@pytest.mark.parametrize("spelling", [b"1e400", b"-1e400", b"1e3", b"0.0", b"5.0", b"NaN", b"Infinity"])
@pytest.mark.parametrize("nulls", [b"", b',"book":null'])
def test_no_field_takes_a_float_however_large(spelling: bytes, nulls: bytes) -> None:
    opening = b'{"type":"open-account.v1","id":"o","account":"a"%s,"floor":%s}'

    assert fault(opening % (nulls, spelling))


@pytest.mark.parametrize("floor", [0, SMALLEST, "0", str(SMALLEST)])
def test_a_signed_number_goes_to_the_ends_of_its_range(floor: int | str) -> None:
    assert canonical({"type": "open-account.v1", "id": "o", "account": "a", "floor": floor})


@pytest.mark.parametrize("floor", [SMALLEST - 1, LARGEST + 1, str(SMALLEST - 1), str(LARGEST + 1), "-0", "00", "--1"])
def test_and_no_further(floor: object) -> None:
    assert "floor" in fault({"type": "open-account.v1", "id": "o", "account": "a", "floor": floor})


@pytest.mark.parametrize("rate", ["0", "0.0", "00", "1.", ".5", "1e3", "-1", "1" * 19, "0." + "1" * 19, 1, 1.5])
def test_a_rate_is_a_decimal_above_zero(rate: object) -> None:
    assert canonical(AD | {"rate": "0." + "0" * 17 + "1"})
    assert canonical(AD | {"rate": "9" * 18})
    assert fault(AD | {"rate": rate})


@pytest.mark.parametrize(
    "twice",
    [
        b'{"type":"tick.v1","id":"t","id":"t"}',
        b'{"type":"tick.v1","id":"t","ledger":null,"ledger":null}',
        b'{"type":"tick.v1","id":"t","metadata":{"a":"1","a":"1"}}',
        b'{"type":"tick.v1","id":"t","metadata":{"a":"1","\\u0061":"2"}}',
        b'{"type":"tick.v1","id":"t","i\\u0064":"t"}',
        b'{"type":"tick.v1","type":"tick.v1","id":"t"}',
    ],
)
def test_a_field_given_twice_is_no_message(twice: bytes) -> None:
    assert "a field twice" in fault(twice)


def test_a_field_given_twice_in_the_short_form_is_seen_whatever_the_length() -> None:
    short = json.dumps(SHORT, separators=(",", ":")).encode()

    for repeated in (b',"amount":5', b',"amount":5' * 3, b',"to_id":"b"'):
        for spaces in range(120):
            assert "a field twice" in fault(short[:-1] + repeated + b" " * spaces + b"}")


def test_what_looks_like_a_field_given_twice_is_none() -> None:
    odd = {"metadata": {'"amount":5,': '","id":"t', "id": "t\\", "type": "tick.v1", "movements": "[]"}}

    assert canonical(TRANSFER | odd)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\udc00\ud800"])
def test_text_holds_no_null_character_and_no_lone_surrogate(text: str) -> None:
    assert fault(TRANSFER | {"metadata": {"k": text}})
    assert fault(TRANSFER | {"metadata": {text: "v"}})
    assert fault(TRANSFER | {"metadata": {"k": text}, "book": None})


def test_text_is_counted_in_code_points_and_nothing_is_normalised() -> None:
    long = "\U0001f600" * 1024
    two_forms = {canonical(TRANSFER | {"metadata": {"k": form}}) for form in ("\u00e9", "e\u0301")}

    assert canonical(TRANSFER | {"metadata": {"k": long}})
    assert fault(TRANSFER | {"metadata": {"k": long + "a"}})
    assert len(two_forms) == 2


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"{}",
        b'"{}"',
        b"{" * 60_000,
        b"[" * 60_000,
        b"\xff",
        b'\xef\xbb\xbf{"type":"tick.v1"}',
    ],
    ids=lambda bad: bad[:6],
)
def test_what_is_no_command_is_told_shortly_and_with_the_path_to_the_fault(bad: bytes) -> None:
    detail = fault(bad)

    assert " - at `$" in detail
    assert detail.isprintable()
    assert detail.isascii()
    assert len(detail) < 200


def test_a_fault_repeats_nothing_of_the_value_but_the_names_of_fields() -> None:
    secret = "4111111111111111"

    assert secret not in fault(TRANSFER | {"type": secret})
    assert secret not in fault(TRANSFER | {"book": secret})
    assert secret not in fault(TRANSFER | {"movements": [MOVEMENT | {"source": secret * 100}]})
    assert fault(TRANSFER | {"memo\n\u202e": 1}) == "Object contains unknown field `memo?\\u202e` - at `$`"
    assert fault(TRANSFER | {"a - at \n\u202e": 1}) == "Object contains unknown field `a - at ?\\u202e` - at `$`"


HUGE = str(LARGEST + 1)
HOLD = TRANSFER | {"type": "place-hold.v1", "expires_at": "2026-02-30T00:00:00Z"}
EXCHANGE = {"type": "exchange.v1", "id": "x", "source": "a", "destination": "b", "sell": "USD", "buy": "USD"}
ENVELOPE = {"type": "commit-envelope.v1", "id": "e", "consumes": []}
PIN = {"account": "a", "unit": "QAZ"}


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        (
            TRANSFER | {"movements": [MOVEMENT, MOVEMENT | {"amount": HUGE}]},
            "Out of range - at `$.movements[1].amount`",
        ),
        (TRANSFER | {"fee": HUGE}, "Out of range - at `$.fee`"),
        (TRANSFER | {"fee": HUGE, "book": None}, "Out of range - at `$.fee`"),
        (
            TRANSFER | {"expect": {"balances": [PIN | {"at_most": HUGE}]}},
            "Out of range - at `$.expect.balances[0].at_most`",
        ),
        (TRANSFER | {"effective_at": "2026-02-30T00:00:00Z"}, "No such time - at `$.effective_at`"),
        (HOLD, "No such time - at `$.expires_at`"),
        (SHORT | {"amount": HUGE}, "Out of range - at `$.amount`"),
        (AD | {"rate": "0.0"}, "Expected a rate above 0 - at `$.rate`"),
        (AD | {"quote": "USD"}, "Expected another unit than `base` - at `$.quote`"),
        (EXCHANGE | {"amount": 1, "at_least": HUGE}, "Out of range - at `$.at_least`"),
        (EXCHANGE | {"amount": 1, "at_least": 1}, "Expected another unit than `sell` - at `$.buy`"),
        (ENVELOPE | {"creates": [PIN | {"amount": "0"}]}, "Expected a number other than 0 - at `$.creates[0].amount`"),
        (TRANSFER | {"metadata": {"k": "\ud800"}}, "Text holds half a surrogate pair - at `$.metadata.k`"),
        (TRANSFER | {"metadata": {"\udc00": "v"}}, "Text holds half a surrogate pair - at `$.metadata[...]`"),
        (TRANSFER | {"consumes": [1, ["\ud800"]]}, "Text holds half a surrogate pair - at `$.consumes[1][0]`"),
        (b'{"type":"tick.v1","id":"t","id":"t"}', "Object contains a field twice - at `$.id`"),
        (
            b'{"type":"tick.v1","id":"t","metadata":{"\\u006b":"1","k":"1"}}',
            "Object contains a field twice - at `$.metadata.k`",
        ),
        (
            b'{"type":"tick.v1","id":"t","metadata":{"a`b":"1","a`b":"1"}}',
            "Object contains a field twice - at `$.metadata[...]`",
        ),
        (
            json.dumps(TRANSFER).replace('"amount"', '"unit": "QAZ", "amount"').encode(),
            "Object contains a field twice - at `$.movements[0].unit`",
        ),
    ],
    ids=lambda part: part[-40:] if isinstance(part, str) else "",
)
def test_the_path_leads_to_the_very_field(said: dict[str, Any] | bytes, detail: str) -> None:
    assert fault(said) == detail


def test_a_path_is_cut_however_long_the_way_to_the_fault() -> None:
    way: object = ["\ud800"]
    for name in ("a" * 60, "b" * 60, "c" * 60, "d" * 60):
        way = {name: way}

    detail = fault({"type": "tick.v1", "id": "t", "metadata": way})

    assert detail.startswith(f"Text holds half a surrogate pair - at `$.metadata.{'d' * 60}.{'c' * 60}.")
    assert len(detail) < 200


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59.000Z"),
        ("0001-01-01T00:00:00.1Z", "0001-01-01T00:00:00.100Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_has_one_form_in_events(text: str, full: str) -> None:
    assert timestamp(text) == full


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T23:59:60Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.0000Z",
        "2026-01-01t00:00:00z",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T00:00:00Z\n",
        "２026-01-01T00:00:00Z",
    ],
)
def test_no_other_form_is_a_time(text: str) -> None:
    with pytest.raises(ValueError):
        timestamp(text)
    assert fault(TRANSFER | {"effective_at": text})


@pytest.mark.parametrize("brackets", ["[]", "{}"])
@pytest.mark.parametrize("enveloped", [False, True], ids=["by itself", "in an envelope"])
def test_how_deep_a_message_may_be_nested_rests_on_nothing_but_the_message(brackets: str, enveloped: bool) -> None:
    outcomes: dict[int, set[str]] = {}
    for depth in (10, 62, 63, 64, *range(840, 1000, 20), 5000):
        opened = '{"a":' if brackets == "{}" else "["
        deep = opened * depth + "1" + brackets[1] * depth
        command = '{"type":"open-ledger.v1","id":"1"'
        text = f'{{"specversion":"1.0","id":"1","source":"s","type":"t","data":{command}}},"x":{deep}}}'
        value = (text if enveloped else f'{command},"x":{deep}}}').encode()
        outcomes[depth] = {under(frames, partial(outcome, value, enveloped=enveloped)) for frames in (0, 300)}

    assert all(len(told) == 1 for told in outcomes.values()), outcomes
    assert outcomes[64] == outcomes[5000] == {"nested too deep - at `$`"}
    assert outcomes[62] == {"OpenLedger" if enveloped else "Object contains unknown field `x` - at `$`"}


def under(frames: int, call: Callable[[], str]) -> str:
    """Call with so many frames more on the stack."""
    return call() if frames == 0 else under(frames - 1, call)


def outcome(value: bytes, *, enveloped: bool) -> str:
    try:
        command, _ = decode_structured(value, None) if enveloped else decode_command(value, None)
    except MalformedError as error:
        return str(error)
    return type(command).__name__
