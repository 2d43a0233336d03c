"""From record bytes to event bytes, on one core, with no I/O.

    decode, fingerprint, look the id up in memory, decide, apply, encode

Law: these six and nothing else are the figure, each of them the call that the writer makes. All that a writer does with
a batch, collecting what the journal is to be asked and given included, is measured beside it. So is, after each batch,
a loop that needs nothing but the core: it tells whether there was a whole one.
"""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from statistics import fmean
from typing import Final

from domain.decide import decide as decided
from domain.ledger import apply
from domain.state import Ledger
from schemas.codec import decode_event, encode_events
from schemas.events import Event
from services.bench import load
from services.bench.checking import Told, Wrong
from services.bench.options import Options, Result
from services.bench.sampling import sampled
from services.interpreter import collect_seldom
from services.journal.ports import DeadLetter, Fingerprint, Key, Known, Recalled, Row
from services.kafka.ports import Record
from services.pages import MANY, enlarge
from services.reading import PORTION, Reading, read_all
from services.settings import Settings
from services.shard import Shard
from services.writer import MOST_RECORDS

Ids = dict[Key, Fingerprint]
"""The ids that have their outcome, and what each stands for."""

_BEGIN_MS: Final = 1_800_000_000_000
_ROUNDS: Final = 40_000
"""Of the loop, which takes some half a millisecond."""


async def decide(options: Options, servers: Settings) -> Result:
    """Measure once; needs no servers. Raises `Wrong`."""
    del servers
    figure, in_batches = (_measured(way, options) for way in (in_six_steps, as_the_writer))
    return {
        "per_s": round(options.transfers / figure.seconds),
        "writer_per_s": round(options.transfers / in_batches.seconds),
        "transfers": options.transfers,
        "accounts": options.accounts,
        "books": options.books,
        "seconds": round(figure.seconds, 2),
        "cpu_us": {"writer": round(figure.cpu_s / options.transfers * 1_000_000, 2)},
        "loop_ms": round(fmean(figure.loops_ms), 2),
        "loop_best_ms": round(min(figure.loops_ms), 2),
    }


def in_six_steps(shard: Shard, ids: Ids, records: Sequence[Record]) -> list[bytes]:
    """Make events of records, a portion after the other: all ids are in memory, so nothing is waited for between."""
    events: list[bytes] = []
    for first in range(0, len(records), PORTION):
        readings = read_all(records[first : first + PORTION])
        events += encode_events(_happened(shard.ledgers, ids, readings))
    return events


def _happened(ledgers: dict[str, Ledger], ids: Ids, readings: Iterable[Reading | DeadLetter]) -> list[Event]:
    happened = []
    for reading in readings:
        assert isinstance(reading, Reading), reading.detail
        if reading.key not in ids:
            ledger = ledgers[reading.command.ledger]
            event = decided(ledger, reading.command, max(reading.at, ledger.at))
            apply(ledger, event)
            ids[reading.key] = reading.fingerprint
            happened.append(event)
    return happened


def as_the_writer(shard: Shard, ids: Ids, records: Sequence[Record]) -> list[bytes]:
    """Do all that a writer does with a batch but waiting: the journal's answer is made of the ids in memory."""
    readings = read_all(records)
    known = {key: Known(ids[key], 0) for key in shard.wanted(readings).ids if key in ids}
    recalled = Recalled(known, {}, {})
    shard.forget(shard.drafts)
    draft = shard.begin()
    for reading in readings:
        shard.decide(reading, recalled, draft)
    ids.update({key: one.fingerprint for key, one in draft.outcomes.items()})
    return [entry.data for entry in draft.entries]


def loop_ms() -> float:
    """Tell how long a loop takes that needs nothing but a core: the longer, the less of one there is.

    A virtual machine's core may be half of a real one: what runs on the other half slows it down, and is seen nowhere
    else. It is not `stolen`.
    """
    begun = time.perf_counter()
    for _ in range(_ROUNDS):
        pass
    return (time.perf_counter() - begun) * 1000


@contextmanager
def collecting_as_a_process() -> Iterator[None]:
    """Let Python look for cycles as often as in the process of a writer (`services.cli.serving`, `services.writer`)."""
    before = gc.get_threshold()
    collect_seldom()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


Way = Callable[[Shard, Ids, Sequence[Record]], list[bytes]]


class _Timed:
    """A shard, the ids that it has decided, and how long that took in one of the two ways."""

    def __init__(self, way: Way) -> None:
        self.seconds = 0.0
        self.cpu_s = 0.0
        self.loops_ms: list[float] = []
        self._way = way
        self._shard = Shard(0, 1)
        self._ids: Ids = {}
        self._told = Told()
        self._offset = 0

    def open(self, commands: Iterable[bytes]) -> None:
        """Decide what is there before the clock starts."""
        self._check(as_the_writer(self._shard, self._ids, [self._record(command) for command in commands]))

    def decide(self, commands: Iterable[bytes]) -> int:
        """Decide all, and return how many events that brought. Making and checking them takes none of the time."""
        coming, count = iter(commands), 0
        while records := [self._record(value) for value in islice(coming, MOST_RECORDS)]:
            begun, cpu_begun = time.perf_counter(), time.thread_time()
            events = self._way(self._shard, self._ids, records)
            self.seconds += time.perf_counter() - begun
            self.cpu_s += time.thread_time() - cpu_begun
            self.loops_ms.append(loop_ms())
            self._check(events)
            count += len(events)
        return count

    def _check(self, events: Iterable[bytes]) -> None:
        for data in events:
            event = decode_event(data)
            self._told.take_in(Row(0, event.ledger, event.sequence, "", data))

    def _record(self, value: bytes) -> Record:
        self._offset += 1
        return Record(self._offset, _BEGIN_MS + self._offset // MOST_RECORDS, load.LEDGER.encode(), value, ())


def _measured(way: Way, options: Options) -> _Timed:
    timed = _Timed(way)
    timed.open(load.opening(options.accounts, books=options.books))
    if options.accounts >= MANY:
        enlarge()
    file = options.profiles.get("decide") if way is in_six_steps else None
    with collecting_as_a_process(), sampled(file, f"{__name__}.{way.__name__}"):
        count = timed.decide(load.transfers(options.transfers, options.accounts))
    if count != options.transfers:
        raise Wrong(f"{options.transfers} transfers brought {count} events")
    return timed
