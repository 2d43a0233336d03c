"""What may arrive on `commands`, and what must become of it: `tests/bad_inputs`, as records and through `simulate`."""

import asyncio
import json
import re
from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from aiokafka.partitioner import murmur2

from schemas.codec import MOST_BYTES
from services.journal.memory import MemoryJournal, MemoryStore
from services.journal.ports import Batch, DeadLetter, Entry
from services.kafka.ports import Record, size_of
from services.kafka.topics import partition_of
from services.reading import MOST_KEPT, read
from services.shard import Shard
from services.simulate import simulate

FOLDER: Final = Path(__file__).parents[1] / "bad_inputs"
PROLOGUE: Final = (FOLDER / "prologue.jsonl").read_bytes().splitlines()
INPUTS: Final[list[dict[str, Any]]] = [json.loads(line) for line in (FOLDER / "inputs.jsonl").open()]
PARTITIONS: Final = 2


class Arrived(NamedTuple):
    """A record, and the partition that it came in."""

    partition: int
    record: Record


class Outcome(NamedTuple):
    """What became of one input."""

    events: list[Entry]
    dead_letters: list[DeadLetter]

    def named(self) -> str:
        """Say it in the words of `inputs.jsonl`."""
        told = [json.loads(entry.data) for entry in self.events]
        if self.dead_letters:
            assert not told
            return " ".join(letter.reason for letter in self.dead_letters)
        if any(event["type"] == "command-refused.v1" for event in told):
            return " ".join(f"refused:{event.get('reason')}" for event in told)
        return " ".join("accepted" for _ in told) or "duplicate"


def _bytes(encoded: str | None) -> bytes | None:
    return None if encoded is None else b64decode(encoded)


def _partition(each: dict[str, Any], key: bytes | None) -> int:
    where, _, ledger = each.get("partition", "").partition(":")
    if not where:
        return int(murmur2(b"main" if key is None else key) & 0x7FFFFFFF) % PARTITIONS
    there = partition_of(ledger, PARTITIONS)
    return there if where == "of" else 1 - there


def arrivals() -> list[Arrived]:
    """Give the prologue and every input as they arrive in two partitions."""
    arrived = []
    for offset, line in enumerate(PROLOGUE):
        ledger = json.loads(line).get("ledger", "main")
        arrived.append(Arrived(partition_of(ledger, PARTITIONS), Record(offset, 0, ledger.encode(), line, ())))
    for offset, each in enumerate(INPUTS, start=len(PROLOGUE)):
        key, value = _bytes(each["key_b64"]), _bytes(each["value_b64"])
        headers = tuple((name, _bytes(header)) for name, header in each["headers"])
        arrived.append(Arrived(_partition(each, key), Record(offset, 0, key, value, headers)))
    return arrived


async def decided(batch: int) -> list[Outcome]:
    """Decide all that arrives, so many records at once, each batch stored before the next is decided."""
    outcomes: dict[int, Outcome] = {}
    for partition in range(PARTITIONS):
        records = [record for there, record in arrivals() if there == partition]
        shard, journal = Shard(partition, PARTITIONS), MemoryJournal(MemoryStore(), partition)
        await journal.claim("1")
        for first in range(0, len(records), batch):
            outcomes |= await _decide(records[first : first + batch], shard, journal)
    return [outcomes[offset] for offset in range(len(outcomes))]


async def _decide(records: Sequence[Record], shard: Shard, journal: MemoryJournal) -> dict[int, Outcome]:
    readings = [read(record) for record in records]
    recalled = await journal.recall(shard.wanted(readings))
    draft = shard.begin()
    outcomes = {}
    for record, reading in zip(records, readings, strict=True):
        events, letters = len(draft.entries), len(draft.dead_letters)
        shard.decide(reading, recalled, draft)
        outcomes[record.offset] = Outcome(draft.entries[events:], draft.dead_letters[letters:])
    after = records[-1].offset + 1
    stored = (draft.entries, draft.ids, draft.opened, draft.dead_letters)
    await journal.append(Batch(*stored, after, 0, sha256(b"").digest(), 0))
    shard.forget(1)
    return outcomes


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """What became of the prologue and every input, one record at a time."""
    return asyncio.run(decided(batch=1))


def test_the_prologue_is_accepted(outcomes: list[Outcome]) -> None:
    assert [outcome.named() for outcome in outcomes[: len(PROLOGUE)]] == ["accepted"] * len(PROLOGUE)


@pytest.mark.parametrize("number", range(len(INPUTS)), ids=lambda number: f"{INPUTS[number]['id']}")
def test_input(number: int, outcomes: list[Outcome]) -> None:
    each, outcome = INPUTS[number], outcomes[len(PROLOGUE) + number]

    assert outcome.named() == each["expect"], f"{each['title']}: {each['why']}"
    for letter in outcome.dead_letters:
        assert (letter.key, letter.value) == (_bytes(each["key_b64"]), _bytes(each["value_b64"]))
        assert [[name, value] for name, value in letter.headers] == [[n, _bytes(v)] for n, v in each["headers"]]
        assert letter.detail.isprintable()
        assert letter.detail.isascii()
        assert len(letter.detail) < 360
        assert re.search(r" - at .*`\$", letter.detail)


def test_no_input_is_left_out() -> None:
    lines = (FOLDER / "inputs.jsonl").read_bytes().count(b"\n")

    assert len(INPUTS) == len({each["id"] for each in INPUTS}) == lines


@pytest.mark.parametrize("batch", [7, 2000])
def test_what_becomes_of_an_input_is_the_same_however_they_are_batched(batch: int, outcomes: list[Outcome]) -> None:
    assert asyncio.run(decided(batch)) == outcomes


def _is_one_line(each: dict[str, Any]) -> bool:
    value = _bytes(each["value_b64"]) or b""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return "only" not in each and bool(value.strip(b" \t\r\n")) and not {*b"\r\n"} & {*value}


async def _simulated(lines: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(text) async for text in simulate(lines, Shard(0, 1))]


def test_simulate_says_the_same_of_each_input_that_is_one_line() -> None:
    usable = [each for each in INPUTS if _is_one_line(each)]
    lines = PROLOGUE + [_bytes(each["value_b64"]) or b"" for each in usable]

    told = asyncio.run(_simulated([line + b"\n" for line in lines]))

    dead = {event["line"]: event["reason"] for event in told if event["type"] == "dead-letter"}
    events: dict[tuple[str, str], str] = {}
    for event in told:
        if event["type"] != "dead-letter":
            outcome = f"refused:{event['reason']}" if event["type"] == "command-refused.v1" else "accepted"
            assert events.setdefault((event["ledger"], event["command"]), outcome) is outcome
    for line, each in enumerate(usable, start=len(PROLOGUE) + 1):
        if each["expect"] in {"accepted", "duplicate"} or each["expect"].startswith("refused:"):
            assert line not in dead, each["id"]
            command = json.loads(lines[line - 1])
            place = (command.get("ledger") or "main", command.get("id") or command["idempotency_key"])
            assert each["expect"] in {events[place], "duplicate"}, each["id"]
        else:
            assert dead.pop(line) == each["expect"], each["id"]
    assert dead == {}


def test_the_largest_command_is_read_and_one_byte_more_is_not() -> None:
    value = b'{"type":"open-ledger.v1","id":"o"}'.ljust(MOST_BYTES)

    assert not isinstance(read(Record(0, 0, None, value, ())), DeadLetter)
    too_large = read(Record(0, 0, None, value + b" ", ()))
    assert isinstance(too_large, DeadLetter)
    assert (too_large.reason, too_large.detail) == ("TOO_LARGE", "65537 bytes, at most 65536 - at `$`")


@pytest.mark.parametrize(
    "large",
    [
        Record(0, 7, b"k", bytes(MOST_KEPT), ()),
        Record(0, 7, bytes(MOST_KEPT), b"x", ()),
        Record(0, 7, b"k", b"x", (("h", bytes(MOST_KEPT)),)),
    ],
    ids=["value", "key", "header"],
)
def test_of_what_is_too_large_to_keep_size_and_hash_are_kept(large: Record) -> None:
    letter = read(large)

    assert isinstance(letter, DeadLetter)
    assert (letter.key, letter.value, letter.headers) == (None, None, ())
    hashed = sha256(large.value or b"").hexdigest()
    assert letter.detail.endswith(f"; {size_of(large)} bytes, too many to keep, their value's SHA-256 is {hashed}")
