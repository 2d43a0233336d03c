"""One partition in memory, played by hand: records come, a shard decides, a journal keeps.

As in `services.writer`, a batch is decided on top of the one before, which is stored only then. Nothing here waits, so
nothing needs an event loop.
"""

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from schemas.codec import decode_event
from schemas.commands import Command
from schemas.events import Event
from services.journal.memory import MemoryJournal, MemoryStore
from services.journal.ports import Batch, DeadLetter
from services.kafka.ports import Record
from services.reading import read_all
from services.shard import Draft, Shard

Answer = TypeVar("Answer")
BEGINNING_MS = 1_767_225_600_000
"""2026-01-01T00:00:00.000Z"""


class Partition:
    """A partition, its journal, and whoever writes it now."""

    def __init__(self, number: int = 0, partitions: int = 1) -> None:
        self.number = number
        self.partitions = partitions
        self.store = MemoryStore()
        self.sent: list[Record] = []
        self._in_flight: list[tuple[int, Draft]] = []
        self.restart()

    def restart(self) -> None:
        """Begin again from what is stored, as after a crash; what was in flight is lost, and comes again."""
        self._in_flight = []
        del self.sent[self.store.standing.next :]
        self.journal = MemoryJournal(self.store, self.number, pause=_no_pause)
        done(self.journal.claim("1"))
        self.shard = Shard(self.number, self.partitions)
        self.shard.restore(self.store.rows)

    def send(self, *values: bytes | Command, at_ms: int = BEGINNING_MS, key: bytes | None = None) -> list[Event]:
        """Decide these as one batch, store the batch before, and give the events of this one."""
        encoded = [value if isinstance(value, bytes) else msgspec.json.encode(value) for value in values]
        records = [Record(len(self.sent) + place, at_ms, key, value, ()) for place, value in enumerate(encoded)]
        self.sent += records
        draft = self._decided(records)
        return [decode_event(entry.data) for entry in draft.entries]

    def dead_letters(self) -> list[DeadLetter]:
        """Give every dead letter so far."""
        self.settle()
        return [letter for _, letter in sorted(self.store.dead_letters.items())]

    def events(self) -> list[Event]:
        """Give every event so far."""
        self.settle()
        return [decode_event(row.data) for row in self.store.rows]

    def settle(self) -> None:
        """Store what is in flight."""
        for after, draft in self._in_flight:
            stored = (draft.entries, draft.ids, draft.opened, draft.dead_letters)
            done(self.journal.append(Batch(*stored, after, 0, bytes(32), 0)))
        self._in_flight = []

    def _decided(self, records: Sequence[Record]) -> Draft:
        readings = read_all(records)
        durable = self.shard.drafts - len(self._in_flight)
        recalled = done(self.journal.recall(self.shard.wanted(readings)))
        self.shard.forget(durable)
        draft = self.shard.begin()
        for reading in readings:
            self.shard.decide(reading, recalled, draft)
        self.settle()
        self._in_flight = [(records[-1].offset + 1, draft)]
        return draft


def done(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    """Run what never waits, and give its answer."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        answer: Answer = end.value
        return answer
    raise AssertionError("it waits")


async def _no_pause(_: str) -> None:
    """Let nobody else run."""
