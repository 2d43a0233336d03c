"""Commands that come as CloudEvents are the commands that they are without."""

import json

import msgspec
import pytest

from schemas.commands import Transfer
from services.journal.ports import DeadLetter
from services.kafka.ports import Headers, Record
from services.reading import Reading, read

COMMAND = (
    b'{"type":"transfer.v1","id":"order-77",'
    b'"movements":[{"source":"alice","destination":"bob","unit":"QAZ","amount":300}]}'
)
SHORT = b'{"from_id":"alice","to_id":"bob","currency":"QAZ","amount":300,"idempotency_key":"order-77"}'
STRUCTURED: Headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]


def envelope(command: bytes) -> bytes:
    said = {"specversion": "1.0", "id": "order-77", "source": "/shop", "type": "com.example.order", "shelf": 7}
    return msgspec.json.encode({**said, "data": msgspec.Raw(command)})


def test_in_every_mode_it_is_the_same_command_so_a_retry_in_another_is_no_other_content() -> None:
    plain = record(COMMAND)
    structured = record(envelope(COMMAND), STRUCTURED)
    short = record(envelope(SHORT), STRUCTURED)
    binary = record(COMMAND, [("ce_specversion", b"1.0"), ("ce_id", b"order-77"), ("ce_source", b"/shop")])

    readings = [read(one) for one in (plain, structured, short, binary)]

    assert all(isinstance(reading, Reading) and type(reading.command) is Transfer for reading in readings)
    assert len({(reading.key, reading.fingerprint) for reading in readings if isinstance(reading, Reading)}) == 1


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"id": "order-78"}, "Expected the id of the command - at `$.id`"),
        ({"id": None}, "Expected `str`, got `null` - at `$.id`"),
        ({"specversion": "0.3"}, "Invalid enum value - at `$.specversion`"),
        ({"source": ""}, "Expected `str` of length >= 1 - at `$.source`"),
        ({"data": None}, "Expected `object`, got `null` - at `$.data`"),
        (
            {"data": {"type": "tick.v1", "id": "order-77", "colour": 1}},
            "Object contains unknown field `colour` - at `$.data`",
        ),
        ({"data": {"type": "tick.v1"}}, "Object missing required field `id` - at `$.data`"),
    ],
)
def test_an_envelope_that_says_something_else_is_malformed(changed: dict[str, object], detail: str) -> None:
    value = json.dumps(json.loads(envelope(COMMAND)) | changed).encode()

    letter = read(record(value, STRUCTURED))

    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.detail) == ("MALFORMED", detail)
    assert (letter.value, letter.headers) == (value, STRUCTURED)


@pytest.mark.parametrize(
    "value",
    [COMMAND, b"", b"{", b"[" * 10_000, envelope(COMMAND)[:-1] + b',"id":"order-77"}'],
    ids=["a command", "empty", "cut", "deep", "a field twice"],
)
def test_what_is_no_envelope_is_malformed(value: bytes) -> None:
    assert isinstance(read(record(value, STRUCTURED)), DeadLetter)


@pytest.mark.parametrize(
    "headers",
    [
        [("ce_id", b"order-78")],
        [("ce_id", None)],
        [("ce_specversion", b"1.0")],
        [("ce_id", b"order-77"), ("ce_specversion", b"0.3")],
        [("ce_id", b"order-78"), ("ce_id", b"order-77")],
    ],
)
def test_headers_that_say_another_id_or_version_are_malformed(headers: Headers) -> None:
    letter = read(record(COMMAND, headers))

    assert isinstance(letter, DeadLetter)
    assert letter.reason == "MALFORMED"


def test_other_headers_mean_nothing() -> None:
    headers = [("content-type", b"application/json"), ("id", b"x"), ("ce_type", b"x"), ("trace", None)]

    assert isinstance(read(record(COMMAND, headers)), Reading)


def record(value: bytes, headers: Headers = ()) -> Record:
    return Record(0, 0, None, value, headers)
