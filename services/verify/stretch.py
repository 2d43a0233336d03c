"""Verifies the ledgers of one stretch of a shard's journal, one after the other: the work of one process.

Ledgers are stored under ids that are spread evenly, and the journal's primary key is ledger and sequence. So a stretch
is all that lies between two ids, whether its ledger is known or not.

    page of events and seals -> Inspection.take -> ids, summed up or looked up while the next page is looked at
    at the sequence that read models have come to -> read_models.compare
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

from services.journal.recorder import ledger_id, of_shard
from services.journal.streams import ahead
from services.kafka.topics import partition_of
from services.verify import read_models
from services.verify.fault import Check, Fault
from services.verify.ids import Ids, sum_of, wrong
from services.verify.inspection import Inspection, Look, Stored
from services.verify.moment import Moment
from services.verify.read_models import Generation

_PAGE: Final = """
select uuid_send(originator_id), notification_id, originator_version, topic, state from journal.shard_{shard}_events
 where (originator_id, originator_version) > (%b, %b) and originator_id <= %b
 order by originator_id, originator_version limit %b"""

_SEALS: Final = b"""
select uuid_send(originator_id), sequence, seal from journal.seals join journal.ledgers using (originator_id)
 where (originator_id, sequence) > (%b, %b) and (originator_id, sequence) <= (%b, %b) and shard = %b
 order by originator_id, sequence"""

_LEDGERS: Final = b"""
select uuid_send(originator_id), name from journal.ledgers where shard = %b and originator_id between %b and %b"""

_ROWS: Final = 1000
_BEYOND: Final = 2**63 - 1


class Stretch(NamedTuple):
    """A stretch of one shard, and where to read it.

    `first` and `last` are ids of ledgers, both inclusive. `snapshot` and `read_snapshot` are of the moment to look at.
    `key` is that of the numbers that stand for ids; without one each id is looked up. `look` is what is looked at;
    read models are compared with sums.
    """

    shard: int
    partitions: int
    first: UUID
    last: UUID
    dsn: str
    snapshot: str
    read_dsn: str | None = None
    read_snapshot: str = ""
    key: int | None = None
    look: Look = Look.ALL


class Found(NamedTuple):
    """What a stretch holds: how much, and the first fault of each ledger that has one.

    `ids` stands for all ids that events used up; where each was looked up, it is how many. Of ledgers of which rows
    alone are looked at, ledgers and events are counted where their sums are looked at.
    """

    ledgers: int
    events: int
    ids: int
    faults: list[Fault]


def verify(stretch: Stretch, progress: Callable[[int], None] = lambda _: None) -> Found:
    """Verify every ledger of a stretch. Blocks.

    Args:
        stretch: which.
        progress: is told how many events have come, page by page.

    Raises:
        Away: PostgreSQL does not answer.
    """
    with ExitStack() as stack:
        journal, lookups = (
            stack.enter_context(closing(Moment(stretch.dsn, stretch.snapshot))) for _ in ("journal", "ids")
        )
        reads = None
        if stretch.read_dsn:
            reads = stack.enter_context(closing(Moment(stretch.read_dsn, stretch.read_snapshot)))
        thread = stack.enter_context(ThreadPoolExecutor(1))
        # Nothing here makes cycles, and looking for them among millions of places takes longer than all else.
        stack.callback(gc.enable if gc.isenabled() else gc.disable)
        gc.disable()
        return _Walk(stretch, journal, lookups, reads, thread).walk(progress)


class _Walk:
    """One way through a stretch."""

    def __init__(
        self, stretch: Stretch, journal: Moment, lookups: Moment, reads: Moment | None, thread: ThreadPoolExecutor
    ) -> None:
        self._stretch = stretch
        self._journal = journal
        self._lookups = lookups
        self._reads = reads
        self._thread = thread
        self._looking: Future[int] | None = None
        self._names: dict[bytes, str] = dict(journal.rows(_LEDGERS, (stretch.shard, stretch.first, stretch.last)))
        self._met: set[bytes] = set()
        self._generations = read_models.generations(reads, stretch.shard) if reads else []
        self._inspection: Inspection | None = None
        self._events = self._ids = 0
        self._faults: dict[str, Fault] = {}
        self._wrong: list[Fault] = []

    def walk(self, progress: Callable[[int], None]) -> Found:
        for rows, seals in ahead(self._pages()):
            ids = Ids()
            for originator, of_ledger in groupby(rows, key=itemgetter(0)):
                self._take(originator, list(of_ledger), seals.pop(originator, {}), ids)
            for originator, left in seals.items():
                # The events of these are behind us, or never were.
                self._seal_too_many(originator, min(left))
            self._look_up(ids)
            if self._stretch.look is not Look.ROWS:
                self._events += len(rows)
                progress(len(rows))
        self._end()
        self._look_up(Ids())
        for fault in self._wrong:
            self._fault(fault)
        for originator in self._names.keys() - self._met:
            self._fault(Fault(Check.SEQUENCES, self._names[originator], 1, "the ledger is open, and has no event"))
        ledgers = 0 if self._stretch.look is Look.ROWS else len(self._met)
        return Found(ledgers, self._events, self._ids, list(self._faults.values()))

    def _pages(self) -> Iterator[tuple[list[Stored], dict[bytes, dict[int, bytes]]]]:
        """Give events in the order of ledger and sequence, each page with the seals up to its end."""
        stretch = self._stretch
        page, shard = of_shard(_PAGE, stretch.shard), stretch.shard
        after = (stretch.first, 0)
        while True:
            rows: list[Any] = self._journal.rows(page, (*after, stretch.last, _ROWS))
            upto = (UUID(bytes=rows[-1][0]), rows[-1][2]) if len(rows) == _ROWS else (stretch.last, _BEYOND)
            seals: dict[bytes, dict[int, bytes]] = {}
            if stretch.look is not Look.SUMS:
                for originator, sequence, seal in self._journal.rows(_SEALS, (*after, *upto, shard)):
                    seals.setdefault(originator, {})[sequence] = seal
            yield rows, seals
            if len(rows) < _ROWS:
                return
            after = upto

    def _take(self, originator: bytes, rows: list[Stored], seals: dict[int, bytes], ids: Ids) -> None:
        """Take in what a page holds of one ledger."""
        if originator not in self._met:
            self._end()
            self._met.add(originator)
            self._begin(originator)
        inspection = self._inspection
        if inspection is None or inspection.ledger in self._faults:
            return
        try:
            for part, generation in self._parts(inspection.ledger, rows):
                ids.add(inspection.ledger, inspection.take(part, seals))
                if generation and self._reads and inspection.audit:
                    read_models.compare(self._reads, generation, inspection.audit)
            if too_many := [sequence for sequence in seals if sequence > inspection.sequence]:
                self._seal_too_many(originator, min(too_many))
        except Fault as fault:
            self._fault(fault)

    def _begin(self, originator: bytes) -> None:
        name = self._names.get(originator)
        self._inspection = None
        if name is None:
            unknown = str(UUID(bytes=originator))
            self._fault(Fault(Check.LEDGERS, unknown, 1, "events of a ledger that was never opened here"))
        elif ledger_id(name) != originator or partition_of(name, self._stretch.partitions) != self._stretch.shard:
            self._fault(Fault(Check.LEDGERS, name, None, "it is stored under another id, or in another shard"))
        else:
            self._inspection = Inspection(name, self._stretch.look)

    def _end(self) -> None:
        """See that the ledger that was looked at last ends where it should."""
        inspection = self._inspection
        if inspection is None or inspection.ledger in self._faults:
            return
        ledger, chain, last = inspection.ledger, inspection.chain, inspection.sequence
        if chain and chain.sealed != last:
            self._fault(Fault(Check.SEALS, ledger, chain.sealed + 1, "it is there, and was never sealed"))
        for generation in self._generations:
            if generation.sequences.get(ledger, 0) > last:
                detail = f"the read models of {generation.name}, have it, and the journal has not"
                self._fault(Fault(Check.READ_MODELS, ledger, last + 1, detail))

    def _parts(self, ledger: str, rows: list[Stored]) -> Iterator[tuple[Sequence[Stored], Generation | None]]:
        """Divide a page where read models have come to."""
        begin, first, last = 0, rows[0][2], rows[-1][2]
        stops = sorted((generation.sequences.get(ledger, 0), generation) for generation in self._generations)
        for sequence, generation in stops:
            if first <= sequence <= last:
                yield rows[begin : sequence - first + 1], generation
                begin = sequence - first + 1
        yield rows[begin:], None

    def _seal_too_many(self, originator: bytes, sequence: int) -> None:
        name = self._names.get(originator) or str(UUID(bytes=originator))
        self._fault(Fault(Check.SEALS, name, sequence, "it was sealed, and is not there"))

    def _look_up(self, ids: Ids) -> None:
        """Look after these ids while others are read; see what came of the last ones."""
        looking, self._looking = self._looking, self._thread.submit(self._looked_up, ids) if ids.keys else None
        if looking:
            self._ids += looking.result()

    def _looked_up(self, ids: Ids) -> int:
        if self._stretch.key is not None:
            return sum_of(self._lookups, ids, self._stretch.key)
        self._wrong += wrong(self._lookups, self._stretch.shard, ids)
        return len(ids.keys)

    def _fault(self, fault: Fault) -> None:
        """Keep the first fault of a ledger."""
        name = fault.ledger or ""
        known = self._faults.get(name)
        if known is None or fault.place < known.place:
            self._faults[name] = fault
