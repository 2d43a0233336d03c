"""What always holds, whatever comes: every type of command, duplicates, refusals, expiry, crashes, any batches."""

import os
import random
import subprocess
import sys
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Final, get_args

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from domain.digest import digest
from domain.ledger import apply
from domain.state import Ledger
from schemas.codec import decode_event
from schemas.commands import Tick
from schemas.events import CommandRefused, Event
from schemas.reasons import Reason
from services.kafka.ports import Record
from services.reading import Reading, read, time_of
from tests.domain.auditor import Auditor
from tests.domain.load import OPENING, Load
from tests.services.partition import BEGINNING_MS, Partition

# A choice that hypothesis drew itself would nearly always be the simplest, and lives would be dull.
randomness = st.randoms(use_true_random=True)


class Life(RuleBasedStateMachine):
    """One ledger's life, watched by an auditor."""

    def __init__(self) -> None:
        super().__init__()
        self.partition = Partition()
        self.auditor = Auditor()
        self.at_ms = BEGINNING_MS

    @initialize(source=randomness)
    def begin(self, source: random.Random) -> None:
        self.load = Load(source)
        self.watch(self.partition.send(*OPENING, at_ms=self.at_ms))

    def watch(self, events: list[Event]) -> None:
        self.load.hear(events)
        for event in events:
            self.auditor.look(event)
        self.auditor.compare(self.partition.shard.ledgers["main"])

    @rule(count=st.integers(1, 6))
    def ask(self, count: int) -> None:
        commands = [self.load.command(time_of(self.at_ms)) for _ in range(count)]
        self.watch(self.partition.send(*commands, at_ms=self.at_ms))

    @rule(seconds=st.integers(-5, 60))
    def let_time_pass(self, seconds: int) -> None:
        self.at_ms += 1000 * seconds

    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        record = data.draw(st.sampled_from(self.partition.sent))
        if not isinstance(self.command_of(record), Tick):
            assert self.partition.send(record.value or b"", at_ms=self.at_ms) == []

    @precondition(lambda self: self.partition.sent)
    @rule(stored=st.booleans())
    def crash(self, stored: bool) -> None:
        partition = self.partition
        if stored:
            partition.settle()
        before = digest(partition.shard.ledgers["main"])
        lost = partition.sent[partition.store.standing.next :]
        partition.restart()
        if lost:
            # The broker has them still, and gives them again with the time that it stamped them with.
            partition.send(*(record.value or b"" for record in lost), at_ms=lost[0].at_ms)
        assert digest(partition.shard.ledgers["main"]) == before

    def teardown(self) -> None:
        partition = self.partition
        partition.settle()
        state = digest(partition.shard.ledgers["main"])
        assert digest(folded([row.data for row in partition.store.rows])) == state
        assert redecided(partition.sent, batch=3) == [row.data for row in partition.store.rows]
        again = [record for record in partition.sent if not isinstance(self.command_of(record), Tick)]
        assert [partition.send(record.value or b"", at_ms=self.at_ms) for record in again] == [[]] * len(again)
        assert digest(partition.shard.ledgers["main"]) == state
        assert partition.dead_letters() == []

    @staticmethod
    def command_of(record: Record) -> object:
        reading = read(record)
        assert isinstance(reading, Reading)
        return reading.command


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    derandomize=os.environ.get("CI") == "true",
    report_multiple_bugs=False,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)


def folded(stored: list[bytes]) -> Ledger:
    """Fold stored bytes, and nothing else."""
    ledger = Ledger("main")
    for data in stored:
        apply(ledger, decode_event(data))
    return ledger


def redecided(records: list[Record], batch: int) -> list[bytes]:
    """Decide what was sent once more, from nothing, in other batches."""
    partition = Partition()
    for at_ms, at_once in groupby(records, key=lambda record: record.at_ms):
        values = [record.value or b"" for record in at_once]
        for first in range(0, len(values), batch):
            partition.send(*values[first : first + batch], at_ms=at_ms)
    partition.settle()
    return [row.data for row in partition.store.rows]


SIMULATE: Final = """
import asyncio, sys
from services.shard import Shard
from services.simulate import simulate

async def main():
    async for line in simulate(sys.stdin.buffer, Shard(0, 1)):
        print(line.decode())

asyncio.run(main())
"""


@lru_cache
def a_long_life() -> Partition:
    """Live through some thousand commands with a seed."""
    partition, load = Partition(), Load(random.Random(2026))
    load.hear(partition.send(*OPENING))
    at_ms = BEGINNING_MS
    for _ in range(600):
        at_ms += 1700
        load.hear(partition.send(*(load.command(time_of(at_ms)) for _ in range(5)), at_ms=at_ms))
    return partition


def test_the_load_of_these_tests_meets_every_event_and_nearly_every_reason() -> None:
    events = a_long_life().events()

    reasons = {event.reason for event in events if isinstance(event, CommandRefused)}

    assert {type(event) for event in events} == set(get_args(Event))
    assert len(reasons) > 0.8 * len(Reason)


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_another_process_decides_the_same_bytes_whatever_its_hash_seed(seed: str) -> None:
    partition = a_long_life()
    stored = [row.data for row in partition.store.rows]
    lines = b"".join(
        b'{"at":"%s",%s\n' % (time_of(record.at_ms).encode(), (record.value or b"")[1:]) for record in partition.sent
    )
    process = subprocess.run(
        [sys.executable, "-c", SIMULATE],
        input=lines,
        env=os.environ | {"PYTHONHASHSEED": seed},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
    )

    assert process.stdout.splitlines() == stored
