"""What would become of a file of commands (SPEC 11)."""

import asyncio
import json
import random
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import pytest

from schemas.commands import Command
from services.reading import time_of
from services.shard import Shard
from services.simulate import balances_of, changed, simulate
from tests.domain.given import ALICE, BOB, CAST, deposit, envelope, reverse, transfer
from tests.domain.load import OPENING, Load
from tests.services.partition import BEGINNING_MS, Partition

OPEN: Final = b'{"type":"open-ledger.v1","id":"l"}'


def lines_of(*commands: Command) -> list[bytes]:
    """Write commands as a file."""
    return [msgspec.json.encode(command) + b"\n" for command in commands]


def simulated(lines: Iterable[bytes], shard: Shard | None = None, partition: Partition | None = None) -> list[bytes]:
    """Simulate a file, from nothing or on top of a partition."""

    async def collected() -> list[bytes]:
        if partition is None:
            return [text async for text in simulate(lines, shard or Shard(0, 1))]
        return [text async for text in simulate(lines, partition.shard, partition.journal.recall)]

    return asyncio.run(collected())


def told(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Simulate a file from nothing, and read what is printed."""
    return [json.loads(text) for text in simulated(lines)]


def test_the_events_are_byte_for_byte_those_that_are_stored() -> None:
    partition, load = Partition(), Load(random.Random(11))
    load.hear(partition.send(*OPENING))
    for step in range(60):
        at_ms = BEGINNING_MS + 1000 * step
        load.hear(partition.send(*(load.command(time_of(at_ms)) for _ in range(10)), at_ms=at_ms))
    partition.settle()

    timed = [
        b'{"at":"%s",%s' % (time_of(record.at_ms).encode(), (record.value or b"")[1:]) for record in partition.sent
    ]

    assert simulated(timed) == [row.data for row in partition.store.rows]


def test_without_a_time_a_line_is_decided_at_that_of_the_line_before_and_the_first_in_1970() -> None:
    events = told(
        [
            OPEN,
            b'{"type":"open-account.v1","id":"a","account":"a","at":"2026-01-01T10:00:00.5Z"}',
            b'{"type":"open-account.v1","id":"b","account":"b"}',
            b'{"type":"open-account.v1","id":"c","account":"c","at":"2026-01-01T09:00:00Z"}',
            b'{"type":"open-ledger.v1","id":"l","ledger":"two"}',
        ]
    )

    assert [event["at"] for event in events] == [
        "1970-01-01T00:00:00.000Z",
        "2026-01-01T10:00:00.500Z",
        "2026-01-01T10:00:00.500Z",
        "2026-01-01T10:00:00.500Z",
        "2026-01-01T09:00:00.000Z",
    ]


def test_a_time_counts_even_when_the_command_is_malformed() -> None:
    events = told(
        [OPEN, b'{"type":"?","at":"2026-01-01T10:00:00Z"}', b'{"type":"open-account.v1","id":"a","account":"a"}']
    )

    assert [event.get("reason", event.get("at")) for event in events[1:]] == ["MALFORMED", "2026-01-01T10:00:00.000Z"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (r'"colour":1', "unknown field `colour`"),
        (r'"id":"t"', "a field twice"),
        (r'"metadata":{"k":"1","k":"2"}', "a field twice"),
        (r'"metadata":{"k":"\ud800"}', ""),
        (r'"\udc00":{"]":"\"}"}', ""),
        (r'"a":' + "[" * 990 + "]" * 990, "nested too deep"),
        (r'"a":' + '{"at":[' * 5_000 + "]}" * 5_000, "nested too deep"),
        (r'"at":"2026-01-01T10:00:00Z"', "a field twice"),
    ],
    ids=lambda part: part[:24],
)
@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_time_counts_whatever_the_command_is_malformed_by_and_is_not_what_is_complained_of(
    more: str, why: str, at_the_end: bool
) -> None:
    parts = ['"type":"open-account.v1","id":"t","account":"q"', more]
    parts.insert(2 if at_the_end else 0, '"at":"2026-01-01T10:00:00Z"')

    [_, dead, after] = told([OPEN, ("{" + ",".join(parts) + "}").encode(), OPEN[:-1] + b',"ledger":"two"}'])

    assert dead["reason"] == "MALFORMED"
    assert why in dead["detail"]
    assert "`at`" not in dead["detail"]
    assert after["at"] == "2026-01-01T10:00:00.000Z"


@pytest.mark.parametrize(
    "at",
    ['"10:00"', "null", "5", '"2026-02-30T00:00:00Z"', "{}", '""', "1e400", r'"\ud800"', "[" * 2000 + "]" * 2000],
    ids=lambda at: at[:22],
)
def test_a_time_that_is_none_is_malformed_and_counts_for_nothing(at: str) -> None:
    events = told(
        [OPEN, b'{"type":"open-account.v1","id":"a","account":"a","at":%s}' % at.encode(), OPEN[:-2] + b'2"}']
    )

    assert (events[1]["reason"], events[1]["detail"]) == ("MALFORMED", "not a time - at `$.at`")
    assert events[2]["at"] == "1970-01-01T00:00:00.000Z"


def test_a_time_stands_on_the_line_itself_and_only_there() -> None:
    [_, nested, twice] = told(
        [
            OPEN,
            b'{"type":"open-ledger.v1","id":"m","metadata":{"at":"2026-01-01T10:00:00Z"}}',
            b'{"at":"2026-01-01T10:00:00Z","type":"open-ledger.v1","id":"n","at":"2026-01-01T10:00:00Z"}',
        ]
    )

    assert nested["at"] == "1970-01-01T00:00:00.000Z"
    assert twice["reason"] == "MALFORMED"


def test_a_dead_letter_names_its_line_and_blank_lines_count() -> None:
    events = told([b"\n", b" \t\r\n", b"?\n", OPEN + b"\r\n", b'{"type":"tick.v1","id":"t","ledger":"none"}', b""])

    assert events[0] == {
        "type": "dead-letter",
        "line": 3,
        "reason": "MALFORMED",
        "detail": "JSON is malformed: invalid character (byte 0) - at `$`",
    }
    assert events[1]["sequence"] == 1
    assert (events[2]["line"], events[2]["reason"]) == (5, "UNKNOWN_LEDGER")
    assert len(events) == 3


def test_the_size_of_a_line_counts_its_time() -> None:
    at = b'"at":"2026-01-01T10:00:00Z",'
    room = 65536 - len(OPEN) - len(at)

    fits, too_large = (told([b"{" + at + OPEN[1:] + b" " * spaces]) for spaces in (room, room + 1))

    assert fits[0]["type"] == "ledger-opened.v1"
    assert too_large[0]["reason"] == "TOO_LARGE"


def test_what_was_asked_before_gives_nothing_also_in_a_later_batch() -> None:
    lines = lines_of(*CAST, deposit(ALICE, 100))
    filling = [b"?\n"] * 1000

    outcomes = [json.loads(text) for text in simulated(lines + filling + lines)]

    assert [event["type"] for event in outcomes if event["type"] != "dead-letter"] == [
        json.loads(text)["type"] for text in simulated(lines)
    ]


def test_on_top_of_a_ledger_it_knows_all_that_was_decided_and_changes_nothing() -> None:
    partition = Partition()
    partition.send(*CAST, deposit(ALICE, 100), transfer(ALICE, BOB, 60))
    stored = partition.events()
    partition.restart()
    before = balances_of(partition.shard)
    posting = f"{stored[-2].sequence}.1"

    outcomes = [
        json.loads(text)
        for text in simulated(
            lines_of(
                transfer(ALICE, BOB, 60),
                transfer(ALICE, BOB, 61),
                reverse(id="back"),
                envelope([posting], (BOB, 100)),
            ),
            partition=partition,
        )
    ]

    assert [outcome.get("reason", outcome["type"]) for outcome in outcomes] == [
        "ID_REUSED",
        "transfer-posted.v1",
        "POSTING_NOT_NEXT",
    ]
    assert partition.events() == stored
    assert [json.loads(line)["account"] for line in changed(before, balances_of(partition.shard))]


def test_what_would_change_is_told_by_account_and_unit() -> None:
    shard = Shard(0, 1)
    simulated(lines_of(*CAST, deposit(ALICE, 100)), shard)
    before = balances_of(shard)

    simulated(lines_of(transfer(ALICE, BOB, 60)), shard)

    changes = [json.loads(line) for line in changed(before, balances_of(shard))]
    assert [(change["account"], change["before"]["balance"], change["after"]["balance"]) for change in changes] == [
        (ALICE, "100", "40"),
        (BOB, "0", "60"),
    ]
    assert list(changes[0]) == ["type", "ledger", "account", "unit", "before", "after"]
    assert changes[0]["after"] == {
        "debits": "60",
        "credits": "100",
        "held": "0",
        "balance": "40",
        "available": "40",
    }
