"""The published language as files: never stale, and of one mind with the codec."""

import json
import re
import shutil
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from jsonschema import Draft202012Validator

from schemas.codec import MOST_BYTES, parse_object
from schemas.commands import Command
from schemas.events import Event
from services.journal.ports import Row
from services.language import files
from services.language.messages import MESSAGES
from services.publisher import Headers, cloud_headers, plain_headers
from tests.schemas.asyncapi import DOCUMENT, parsed
from tests.schemas.published import FOLDER, fits, schema, takes

HERE: Final = Path(__file__).parent
INPUTS: Final[list[dict[str, Any]]] = [json.loads(line) for line in (HERE.parent / "bad_inputs/inputs.jsonl").open()]
NOT_SAID_BY_A_SCHEMA: Final = {
    "a whole number has no point and no exponent": {"num-04", "num-06", "num-85", "num-92", "num-111", "short-11"},
    "text of digits is in range to the last unit": {"num-75"},
    "there is such a date and such a time of day": {"time-11", "time-14", "time-15", "time-18", "time-20"},
    "two units differ": {"rate-32"},
    "the record's key names the ledger of the short form": {"short-19"},
}
SCHEMAS: Final = [message.path for message in MESSAGES]


def test_the_files_are_those_that_make_schemas_writes() -> None:
    there = {str(path.relative_to(FOLDER)): path.read_text("utf-8") for path in FOLDER.rglob("*.json")}

    stale = {name for name, text in files().items() if there.pop(name, None) != text} | there.keys()

    assert stale == set(), "run `make schemas`"


def test_every_message_has_a_schema_that_is_one_and_an_example_that_fits_it_and_no_other() -> None:
    assert len(SCHEMAS) == len(get_args(Command)) + len(get_args(Event)) + 3
    for name in SCHEMAS:
        Draft202012Validator.check_schema(schema(name))
        example = json.loads((FOLDER / "examples" / name).read_text("utf-8"))
        assert [other for other in SCHEMAS if takes(other, example)] == [name]


def test_every_field_says_what_it_is() -> None:
    structs = {
        (name, part): it for name in SCHEMAS for part, it in {"": schema(name), **schema(name).get("$defs", {})}.items()
    }

    silent = [
        (*place, field)
        for place, struct in structs.items()
        for field, it in struct.get("properties", {}).items()
        if not it.get("description")
    ]

    assert silent == []


def patterns(value: Any) -> Iterator[str]:
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key == "pattern":
            yield each
        yield from patterns(each)


def test_a_pattern_means_in_ecmascript_what_it_means_in_python() -> None:
    texts = {string for each in INPUTS for string in re.findall(r'"([^"\\]*)"', _text(each))} | {"alice\n", "a\0b", ""}
    found = {pattern for name in SCHEMAS for pattern in patterns(schema(name))}

    assert len(found) > 10
    for pattern in found:
        python = re.compile(pattern.replace("$", r"\Z"))
        assert [text for text in texts if bool(python.search(text)) != (fits(pattern).find(text) is not None)] == []


def test_what_was_ever_stored_fits_the_schema_of_events() -> None:
    for stored in (HERE / "golden_events.jsonl").open():
        assert takes("event.json", json.loads(stored)), stored


def test_every_way_to_say_a_command_fits_the_schema_of_commands() -> None:
    for entry in (HERE / "golden_commands.txt").read_text("utf-8").split("\n\n"):
        said, canonical, _ = entry.splitlines()
        assert takes("command.json", json.loads(said)), said
        assert takes("command.json", json.loads(canonical)), canonical


def asked() -> Iterator[tuple[dict[str, Any], Any]]:
    """Give the inputs that a schema can be asked about, and what they say: JSON, in Unicode, no field twice."""
    for each in INPUTS:
        value = b64decode(each["value_b64"] or "")
        with suppress(ValueError, RecursionError):
            message = parse_object(value)
            json.dumps(message, ensure_ascii=False).encode()
            if len(value) <= MOST_BYTES:
                yield each, message


def test_the_schema_takes_what_the_codec_takes_but_for_what_no_schema_can_say() -> None:
    unsayable = set().union(*NOT_SAID_BY_A_SCHEMA.values())

    taken = {each["id"]: takes("command.json", message) for each, message in asked()}

    assert list(taken.values()).count(False) > 200
    assert taken == {each["id"]: each["expect"] != "MALFORMED" or each["id"] in unsayable for each, _ in asked()}


def test_an_optional_field_of_a_command_may_be_null_and_of_an_event_is_left_out() -> None:
    transfer = json.loads((FOLDER / "examples/commands/transfer.v1.json").read_text("utf-8"))
    posted = json.loads((FOLDER / "examples/events/transfer-posted.v1.json").read_text("utf-8"))

    assert takes("command.json", transfer | dict.fromkeys(("ledger", "metadata", "kind", "book", "fee", "expect")))
    assert not takes("command.json", transfer | {"movements": None})
    assert not takes("event.json", posted | {"book": None})
    assert not takes("event.json", {name: said for name, said in posted.items() if name != "command"})
    assert takes("event.json", posted | {"later": {"deep": [1.5]}})


def test_the_asyncapi_document_passes_the_official_parser_with_an_example_of_every_message() -> None:
    code, told = parsed()

    assert (code, told) == (0, f"{len(MESSAGES) + 2} messages on 5 channels\n")


@pytest.mark.parametrize("headers", [plain_headers, cloud_headers])
def test_events_are_published_with_the_headers_that_the_document_names(headers: Headers) -> None:
    event = (FOLDER / "examples/events/ledger-opened.v1.json").read_bytes()
    document = json.loads(DOCUMENT.read_text("utf-8"))
    named = document["components"]["messages"]["ledger-opened.v1"]["headers"]

    told = {name: value.decode() for name, value in headers(Row(7, "main", 1, "ledger-opened.v1", event))}

    assert Draft202012Validator(named).is_valid(told)
    assert told.keys() <= named["properties"].keys()


def test_the_parser_reads_the_schemas_that_the_document_refers_to(tmp_path: Path) -> None:
    broken = shutil.copytree(FOLDER, tmp_path / "published")
    named = broken / "commands/transfer.v1.json"
    named.write_text(named.read_text("utf-8").replace('"type": "string"', '"type": "sting"'))

    code, told = parsed(broken / DOCUMENT.name)

    assert code == 1
    assert '"payload" property' in told


def _text(each: dict[str, Any]) -> str:
    return b64decode(each["value_b64"] or "").decode("utf-8", "ignore")
