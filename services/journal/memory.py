"""The journal in memory: the twin of the one on PostgreSQL, for a whole writer and publisher in one process.

A store outlives the journals opened on it, as a database outlives its connections. So two writers on one shard, a
restart and a takeover can be played on it. Nothing here keeps time by itself; `pause` decides what else runs meanwhile.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import NamedTuple

from services.errors import Unexpected
from services.journal.dead_letters import storable
from services.journal.ports import (
    Batch,
    DeadLetter,
    Entry,
    Id,
    Key,
    Known,
    OtherWriter,
    Recalled,
    Row,
    Standing,
    Wanted,
)
from services.journal.seals import NOTHING_YET, seal

Pause = Callable[[str], Awaitable[None]]
"""Waited for where the one on PostgreSQL waits; told where: `append`, `appended`, `recall`, `recalled`, `read`."""


class Release(NamedTuple):
    """From `first_offset` on, `rules` decide."""

    first_offset: int
    rules: str


class MemoryStore:
    """What one shard has stored."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.ids: dict[Key, Id] = {}
        self.ledgers: set[str] = set()
        self.dead_letters: dict[int, DeadLetter] = {}
        self.seals: dict[str, dict[int, bytes]] = {}
        self.releases: list[Release] = []
        self.standing = Standing(0, 0, 0, None, None)
        self.commits = 0
        self._places: dict[tuple[str, int], bytes] = {}
        self._waiting: set[asyncio.Event] = set()

    def event(self, ledger: str, sequence: int) -> bytes | None:
        """Return the event at a place, if there is one."""
        return self._places.get((ledger, sequence))

    def claim(self, rules: str) -> Standing:
        """Raise the epoch and note the rules."""
        self.standing = self.standing._replace(epoch=self.standing.epoch + 1)
        if not self.releases or self.releases[-1].rules != rules:
            self.releases.append(Release(self.standing.next, rules))
        return self.standing

    def append(self, batch: Batch, standing: Standing) -> Standing:
        """Store all of `batch` or, where any of it cannot be, nothing."""
        if self.standing.epoch != standing.epoch:
            raise OtherWriter(f"the shard is at epoch {self.standing.epoch}, ours was {standing.epoch}")
        assert batch.next > standing.next or not (batch.entries or batch.ids or batch.dead_letters), (
            "what is stored moves `next`"
        )
        seals = self._next_seals(batch.entries)
        self._refuse_what_is_there(batch)
        position = self.rows[-1].position if self.rows else 0
        self.rows += [
            Row(place, entry.ledger, entry.sequence, entry.tag, entry.data)
            for place, entry in enumerate(batch.entries, position + 1)
        ]
        self._places.update({(entry.ledger, entry.sequence): entry.data for entry in batch.entries})
        self.ids.update({each.key: each for each in batch.ids})
        self.ledgers.update(batch.opened)
        self.dead_letters.update({letter.offset: storable(letter) for letter in batch.dead_letters})
        for ledger, (sequence, value) in seals.items():
            self.seals.setdefault(ledger, {})[sequence] = value
        self.standing = Standing(batch.next, standing.epoch, batch.replied, batch.last_at_ms, batch.last_digest)
        self.commits += 1
        for woken in self._waiting:
            woken.set()
        return self.standing

    async def changed(self, wait_s: float) -> None:
        """Return at the next append, or after `wait_s`."""
        woken = asyncio.Event()
        self._waiting.add(woken)
        try:
            async with asyncio.timeout(wait_s):
                await woken.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(woken)

    def _next_seals(self, entries: Iterable[Entry]) -> dict[str, tuple[int, bytes]]:
        seals: dict[str, tuple[int, bytes]] = {}
        for entry in entries:
            kept = self.seals.get(entry.ledger)
            sequence, value = seals.get(entry.ledger) or (max(kept.items()) if kept else (0, NOTHING_YET))
            if entry.sequence != sequence + 1:
                raise Unexpected(
                    f"ledger {entry.ledger} is sealed up to {sequence}, and {entry.sequence} is to follow",
                    "find the fault",
                )
            seals[entry.ledger] = (entry.sequence, seal(value, [entry.data]))
        return seals

    def _refuse_what_is_there(self, batch: Batch) -> None:
        keys = [each.key for each in batch.ids]
        if len(set(keys)) < len(keys) or any(key in self.ids for key in keys):
            raise Unexpected("an id has its outcome already", "find the fault")
        if any(ledger in self.ledgers for ledger in batch.opened):
            raise Unexpected("a ledger is open already", "find the fault")


class MemoryJournal:
    """A `Journal` on a `MemoryStore`.

    Args:
        store: what is stored, and stays when this is closed.
        shard: the number of the shard.
        pause: what else happens while PostgreSQL would be at work.
    """

    def __init__(self, store: MemoryStore, shard: int = 0, pause: Pause | None = None) -> None:
        self._store = store
        self._shard = shard
        self._pause = pause or _let_others_run
        self._standing: Standing | None = None
        self._seen = -1

    @property
    def shard(self) -> int:
        """The number of the shard, which is that of the partition."""
        return self._shard

    async def claim(self, rules: str) -> Standing:
        """Take the shard over. See `Journal.claim`."""
        self._standing = self._store.claim(rules)
        return self._standing

    async def standing(self) -> Standing:
        """Tell how far the shard has come. See `Journal.standing`."""
        return self._store.standing

    async def append(self, batch: Batch) -> None:
        """Store the batch. See `Journal.append`."""
        await self._pause("append")
        if self._standing is None:
            raise OtherWriter(f"shard {self._shard} is not claimed")
        standing, self._standing = self._standing, None
        self._standing = self._store.append(batch, standing)
        await self._pause("appended")

    async def load(self, after: int = 0, page: int = 5000) -> AsyncIterator[list[Row]]:
        """Give every event in pages. See `Journal.load`."""
        while rows := await self.read(after, page):
            yield rows
            after = rows[-1].position

    async def recall(self, wanted: Wanted) -> Recalled:
        """Look up all that a batch refers to, as it stands when this begins. See `Journal.recall`."""
        await self._pause("recall")
        store = self._store
        recalled = Recalled(
            {key: Known(store.ids[key].fingerprint, store.ids[key].sequence) for key in wanted.ids if key in store.ids},
            {key: self._with_reversals(store.ids[key]) for key in wanted.transfers if key in store.ids},
            {place: data for place in wanted.events if (data := store.event(*place)) is not None},
        )
        await self._pause("recalled")
        return recalled

    async def read(self, after: int, most: int) -> list[Row]:
        """Read events. See `Journal.read`."""
        await self._pause("read")
        rows = self._store.rows
        first = bisect_right(rows, after, key=lambda row: row.position)
        return rows[first : first + most]

    async def event(self, ledger: str, sequence: int) -> Row | None:
        """Read the event at a place. See `Journal.event`."""
        await self._pause("read")
        return next((row for row in self._store.rows if (row.ledger, row.sequence) == (ledger, sequence)), None)

    async def dead_letters(self, after: int, most: int) -> list[DeadLetter]:
        """Read dead letters. See `Journal.dead_letters`."""
        await self._pause("read")
        return [letter for offset, letter in sorted(self._store.dead_letters.items()) if offset > after][:most]

    async def changed(self, wait_s: float) -> None:
        """Wait for an append. See `Journal.changed`."""
        if self._seen == self._store.commits:
            await self._store.changed(wait_s)
        self._seen = self._store.commits

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _with_reversals(self, original: Id) -> list[bytes]:
        reversals = [
            each
            for each in self._store.ids.values()
            if (each.ledger, each.reverses) == (original.ledger, original.sequence)
        ]
        places = [original, *sorted(reversals, key=lambda each: each.sequence)]
        return [data for each in places if (data := self._store.event(each.ledger, each.sequence)) is not None]


async def _let_others_run(_where: str) -> None:
    await asyncio.sleep(0)
