"""Takes commands from one partition and adds what is decided to the journal.

One batch, start to end:

    records -> read -> Journal.recall -> decide, apply -> Journal.append (the commands' next offset included)
            -> replies, to whoever asked for one

While a batch is being committed the next one is decided on top of it; at most one commit is in flight. So batches grow
by themselves under load, and a lone command is committed at once. After a small batch there is nothing to gain by that:
what comes while it is committed is decided together, and wakes everybody on its way once instead of twice.

What happens to the events next: `services.publisher`, `services.projector`. Who is told what came of a command:
`services.replies`. Who gets a partition: `services.processes`.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile
from threading import Thread
from typing import Final

import structlog

from services.continuity import digest_of, same_topic
from services.journal.ports import Batch, DeadLetter, Journal, Standing
from services.kafka.ports import Inbox, Record
from services.pages import MANY, enlarge
from services.patience import Readiness, patiently
from services.points import POLL_S, Point, no_point
from services.reading import Reading, read_all
from services.replies import Replies, Stored
from services.requests import requests
from services.shard import Draft, Shard
from services.snapshots import Snapshot
from services.tallies import WriterTally

_log = structlog.get_logger()

RULES: Final = "4"
"""The version of the rules that decide. It changes when the same input would give other bytes."""

MOST_RECORDS: Final = 2000
MOST_BYTES: Final = 1024 * 1024
OVERLAP_FROM: Final = 100
"""A batch of so many records is followed by the next while it is committed: deciding that one takes milliseconds."""

BREATH_S: Final = 0.05
"""After deciding for so long others are heard: the group's heartbeat, the commit in flight. Some steps are dear."""

AHEAD_MS: Final = 5 * 60 * 1000
"""A record stamped further than this past our own clock is not decided until it is due."""

SETTLES_S: Final = 1.0
"""How long who is stopped waits for the last replies to be acknowledged; others answer again what is not."""

BeginWith = Callable[[], Awaitable[Snapshot]]
"""Gives the state to fold the journal on from."""


async def no_snapshot() -> Snapshot:
    """Begin at the beginning."""
    return Snapshot(0, {})


def wall_clock_ms() -> int:
    """Read the clock: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Writer:
    """The one writer of a partition.

    Args:
        inbox: the partition.
        journal: of the shard of the same number.
        replies: of the same partition.
        partitions: how many partitions the commands topic has.
        readiness: is told while something is waited for.
        tally: counts what is done; one that begins at nothing if not said.
        now_ms: our own clock, only ever compared with the broker's.
        point: called at `decided`, `committing` and `committed`.
        poll_s: how long to wait for records before looking whether to stop.
        overlap_from: from how many records on a batch is committed while the next is decided.
        begin_with: gives the state to fold the journal on from; see `services.snapshots`.
    """

    def __init__(
        self,
        inbox: Inbox,
        journal: Journal,
        replies: Replies,
        partitions: int,
        readiness: Readiness,
        *,
        tally: WriterTally | None = None,
        now_ms: Callable[[], int] = wall_clock_ms,
        point: Point = no_point,
        poll_s: float = POLL_S,
        overlap_from: int = OVERLAP_FROM,
        begin_with: BeginWith = no_snapshot,
    ) -> None:
        """Know the partition; nothing is read and nothing claimed before `run`."""
        self.tally = WriterTally() if tally is None else tally
        self._inbox = inbox
        self._journal = journal
        self._replies = replies
        self._partitions = partitions
        self._readiness = readiness
        self._now_ms = now_ms
        self._point = point
        self._poll_s = poll_s
        self._overlap_from = overlap_from
        self._begin_with = begin_with
        self._part = f"writer {inbox.partition}"
        self._shard = Shard(inbox.partition, partitions)
        self._standing = Standing(0, 0, 0, None, None)
        self._commit: asyncio.Task[None] | None = None
        self._early: list[Record] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Decide commands until `stop`, then finish the batch in flight.

        A crash anywhere in between is harmless: whatever was not committed is read and decided again.

        Raises:
            OtherWriter: another writer took the shard over. Give the partition up, and join again.
            Unexpected: the topic or the database is not the one that the shard was written from.
        """
        await self._take_over()
        try:
            while not stop.is_set():
                records = await self._due(await self._take(), stop)
                if records:
                    await self._handle(records)
                else:
                    self._note()
            await self._finish()
            await self._replies.settle(SETTLES_S)
            self._note()
            await self._finish()
        finally:
            await self._replies.end()
            await self._cut_off()

    async def _take_over(self) -> None:
        """Make sure of the topic, claim the shard, load its ledgers, and begin where the last transaction ended."""
        self._readiness.waits(self._part, "loading")
        standing = await patiently(self._part, self._journal.standing, self._readiness)
        await patiently(self._part, lambda: same_topic(self._inbox, standing), self._readiness)
        standing = await patiently(self._part, lambda: self._journal.claim(RULES), self._readiness)
        await patiently(self._part, self._load, self._readiness)
        await self._inbox.seek(standing.next)
        self._standing = standing
        self._replies.begin(standing)
        self.tally.next = standing.next
        self._readiness.works(self._part)
        _log.info("writing", shard=self._inbox.partition, epoch=standing.epoch, next=standing.next)

    async def _load(self) -> None:
        self._shard = Shard(self._inbox.partition, self._partitions)
        snapshot = await self._begin_with()
        self._shard.ledgers.update(snapshot.ledgers)
        async for rows in self._journal.load(snapshot.position):
            self._shard.restore(rows)
        # Millions of accounts stay for as long as the process does: no use in looking at them again and again.
        gc.freeze()
        if sum(len(ledger.accounts) for ledger in self._shard.ledgers.values()) >= MANY:
            Thread(target=enlarge, daemon=True).start()

    async def _take(self) -> list[Record]:
        if self._commit is not None and self._commit.done():
            await self._finish()
        if self._early:
            early, self._early = self._early, []
            return early
        return await patiently(
            self._part, lambda: self._inbox.take(MOST_RECORDS, MOST_BYTES, self._poll_s), self._readiness
        )

    async def _due(self, records: list[Record], stop: asyncio.Event) -> list[Record]:
        """Give the records before the first that is stamped too far in the future; wait where there is none before it.

        None is given when stopped before. The stamps of one batch may be of two leaders, whose clocks differ.
        """
        if max((record.at_ms for record in records), default=0) <= self._now_ms() + AHEAD_MS:
            return records
        if records[0].at_ms > self._now_ms() + AHEAD_MS:
            _log.error("records from the future", shard=self._inbox.partition, offset=records[0].offset)
            self._readiness.waits(self._part, "the broker's clock is ahead of ours")
            while records[0].at_ms > self._now_ms() + AHEAD_MS:
                if stop.is_set():
                    return []
                await asyncio.sleep(self._poll_s)
            self._readiness.works(self._part)
        until = self._now_ms() + AHEAD_MS
        due = list(takewhile(lambda record: record.at_ms <= until, records))
        self._early = records[len(due) :]
        return due

    async def _handle(self, records: Sequence[Record]) -> None:
        """Decide one batch, and begin its commit once the one before is done."""
        readings = read_all(records)
        wanted = self._shard.wanted(readings)
        in_flight = 0 if self._commit is None or self._commit.done() else 1
        durable = self._shard.drafts - in_flight
        recalled = await patiently(self._part, lambda: self._journal.recall(wanted), self._readiness)
        self._shard.forget(durable)
        draft = self._shard.begin()
        heard = time.monotonic()
        for reading in readings:
            decided = False
            while not decided:
                decided = self._shard.step(reading, recalled, draft)
                if time.monotonic() - heard > BREATH_S:
                    await asyncio.sleep(0)
                    heard = time.monotonic()
        await self._point("decided")
        await self._finish()
        self._count(records, draft)
        self._commit = asyncio.create_task(self._append(records, readings, draft))
        await asyncio.sleep(0)  # it begins before the next batch is read
        if len(records) < self._overlap_from:
            await self._finish()

    async def _append(self, records: Sequence[Record], readings: Sequence[Reading | DeadLetter], draft: Draft) -> None:
        """Store a batch, and let those be told who asked."""
        asking, begin = requests(records, readings), self._standing.next
        batch = _batch(records, draft, self._replies.replied_with(asking, records[-1].offset + 1))
        await self._point("committing")
        await self._store(batch)
        await self._point("committed")
        self._replies.stored(Stored(begin, batch.next, asking, readings, draft))

    def _note(self) -> None:
        """Begin to store how far replies have come, where no batch is there to do it along."""
        self._replies.see_that_it_lives()
        standing, replied = self._standing, self._replies.replied
        if self._commit is None and replied > standing.replied:
            last = (standing.last_at_ms or 0, standing.last_digest or b"")
            self._commit = asyncio.create_task(self._store(Batch((), (), (), (), standing.next, *last, replied)))

    async def _store(self, batch: Batch) -> None:
        begun = time.perf_counter()
        await self._journal.append(batch)
        self.tally.commits.add(time.perf_counter() - begun)
        self.tally.next = batch.next
        last = (batch.last_at_ms, batch.last_digest)
        self._standing = Standing(batch.next, self._standing.epoch, batch.replied, *last)

    async def _finish(self) -> None:
        """Wait for the commit in flight, if there is one."""
        commit, self._commit = self._commit, None
        if commit is not None:
            await commit

    async def _cut_off(self) -> None:
        """Let go of a commit that is still in flight when something else went wrong: whether it is in, is looked up."""
        commit, self._commit = self._commit, None
        if commit is not None:
            commit.cancel()
            await asyncio.gather(commit, return_exceptions=True)

    def _count(self, records: Sequence[Record], draft: Draft) -> None:
        tally = self.tally
        tally.batches += 1
        tally.commands += len(records)
        tally.sizes.add(len(records))
        tally.events += len(draft.entries)
        refused = draft.refusals.total()
        tally.accepted += len(draft.outcomes) - refused
        tally.ticks += len(records) - len(draft.outcomes) - draft.duplicates - len(draft.dead_letters)
        tally.duplicates += draft.duplicates
        tally.dead_letters += len(draft.dead_letters)
        if refused:
            tally.refused.update(draft.refusals)
        if draft.dead_letters:
            tally.dead.update(letter.reason for letter in draft.dead_letters)


def _batch(records: Sequence[Record], draft: Draft, replied: int) -> Batch:
    last = records[-1]
    return Batch(
        entries=draft.entries,
        ids=draft.ids,
        opened=draft.opened,
        dead_letters=draft.dead_letters,
        next=last.offset + 1,
        last_at_ms=last.at_ms,
        last_digest=digest_of(last),
        replied=replied,
    )
