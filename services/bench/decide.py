"""From record bytes to event bytes, on one core, with no I/O.

    decode, fingerprint, look the id up in memory, decide, apply, encode

Law: the calls are those of the writer, in its order and in batches of its size. Only where it would ask the journal the
ids are looked up in memory, and where it would commit they are put there.
"""

import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

from services.bench import load
from services.bench.checking import Told, Wrong
from services.bench.options import Options, Result
from services.bench.sampling import sampled
from services.interpreter import collect_seldom
from services.journal.ports import Id, Key, Known, Recalled, Row
from services.kafka.ports import Record
from services.reading import read
from services.settings import Settings
from services.shard import Draft, Shard
from services.writer import MOST_RECORDS

_BEGIN_MS: Final = 1_800_000_000_000


async def decide(options: Options, servers: Settings) -> Result:
    """Measure once; needs no servers. Raises `Wrong`."""
    del servers
    deciding = _Deciding()
    for _ in deciding.batches(load.opening(options.accounts, books=options.books)):
        pass
    deciding.seconds = deciding.cpu_s = 0.0
    with collecting_as_a_process(), sampled(options.profiles.get("decide"), f"{__name__}._Deciding._decide"):
        transfers = sum(deciding.batches(load.transfers(options.transfers, options.accounts)))
    if transfers != options.transfers:
        raise Wrong(f"{options.transfers} transfers brought {transfers} events")
    return {
        "per_s": round(transfers / deciding.seconds),
        "transfers": transfers,
        "accounts": options.accounts,
        "books": options.books,
        "seconds": round(deciding.seconds, 2),
        "cpu_us": {"writer": round(deciding.cpu_s / transfers * 1_000_000, 2)},
    }


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


class _Deciding:
    """A shard, the ids that it has decided, and how long that took."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu_s = 0.0
        self._shard = Shard(0, 1)
        self._ids: dict[Key, Id] = {}
        self._told = Told()
        self._offset = 0

    def batches(self, commands: Iterable[bytes]) -> Iterator[int]:
        """Decide all, and give how many events each batch brought. Making and checking them takes none of the time."""
        coming = iter(commands)
        while records := [self._record(value) for value in islice(coming, MOST_RECORDS)]:
            begun, cpu_begun = time.perf_counter(), time.thread_time()
            draft = self._decide(records)
            self.seconds += time.perf_counter() - begun
            self.cpu_s += time.thread_time() - cpu_begun
            for entry in draft.entries:
                self._told.take_in(Row(0, entry.ledger, entry.sequence, entry.tag, entry.data))
            yield len(draft.entries)

    def _decide(self, records: list[Record]) -> Draft:
        """Do what the writer does with a batch."""
        readings = [read(record) for record in records]
        ids = self._ids
        known = (ids[key] for key in self._shard.wanted(readings).ids if key in ids)
        recalled = Recalled({one.key: Known(one.fingerprint, one.sequence) for one in known}, {}, {})
        self._shard.forget(self._shard.drafts)
        draft = self._shard.begin()
        for reading in readings:
            self._shard.decide(reading, recalled, draft)
        ids |= draft.outcomes
        return draft

    def _record(self, value: bytes) -> Record:
        self._offset += 1
        return Record(self._offset, _BEGIN_MS + self._offset // MOST_RECORDS, load.LEDGER.encode(), value, ())
