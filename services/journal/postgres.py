"""The journal of one shard on PostgreSQL.

What blocks runs in threads, each with a connection of its own: one appends, one recalls, so that looking up the next
batch does not wait behind the commit of the last, and one reads.

What happens to the events next: `services.publisher` and `services.projector` read them from here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

import structlog
from tenacity import AsyncRetrying, retry_if_exception, wait_random_exponential

from services.errors import Away
from services.journal import answers, reading
from services.journal.appending import Appender, read_standing
from services.journal.connection import Connection, Connections
from services.journal.one_thread import OneThread, begun
from services.journal.ports import Batch, DeadLetter, Recalled, Row, Standing, Wanted
from services.journal.waking import Waking
from services.migrations import WRITER
from services.patience import Readiness, asked_again, why_of

_T = TypeVar("_T")

_LONGEST_PAUSE_S: Final = 1.0
_FIRST_PAUSE_S: Final = 0.05
_CLOSE_WAIT_S: Final = 1.0

_log: Final = structlog.get_logger()


class PostgresJournal:
    """A `Journal`. Nothing is connected before it is needed.

    Args:
        dsn: the database that holds the shard.
        shard: which one.
        role: whose rights it takes; only the writer's role may claim and append.
        readiness: is told while a batch waits to be stored.
    """

    def __init__(self, dsn: str, shard: int, role: str = WRITER, *, readiness: Readiness | None = None) -> None:
        self._shard = shard
        self._part = f"journal {shard}"
        self._readiness = readiness
        self._connections = Connections(dsn, shard, role)
        self._appender = Appender(self._connections, shard)
        self._appending, self._recalling, self._reading = (
            OneThread(f"journal-{shard}-{task}", self._connections.let_go) for task in ("append", "recall", "read")
        )
        self._waking = Waking(dsn, shard, f"{role.replace('_', '-')}-{shard}-waking")
        self._closed = False

    @property
    def shard(self) -> int:
        """The number of the shard, which is that of the partition."""
        return self._shard

    async def claim(self, rules: str) -> Standing:
        """Take the shard over. See `Journal.claim`."""
        return await self._appending.run(lambda: self._appender.claim(rules))

    async def standing(self) -> Standing:
        """Read the row of `offsets`. See `Journal.standing`."""
        return await self._reading.run(lambda: read_standing(self._connections, self._shard))

    async def append(self, batch: Batch) -> None:
        """Store the batch durably. See `Journal.append`."""
        try:
            await self._append(batch)
        except Away as away:
            if self._closed:
                raise
            _log.warning("waiting for PostgreSQL", shard=self._shard, why=str(away))
            await self._append_again(batch, str(away))

    async def load(self, after: int = 0, page: int = 5000) -> AsyncIterator[list[Row]]:
        """Give every event in pages; the next is fetched while one is worked on. See `Journal.load`."""
        rows = await self.read(after, page)
        while rows:
            coming = await begun(self.read(rows[-1].position, page))
            try:
                yield rows
            except BaseException:
                coming.cancel()
                raise
            rows = await coming

    async def recall(self, wanted: Wanted) -> Recalled:
        """Look up all that a batch refers to. See `Journal.recall`."""
        return await self._recalling.run(
            lambda: self._with(lambda connection: reading.recall(connection, self._shard, wanted))
        )

    async def read(self, after: int, most: int) -> list[Row]:
        """Read events. See `Journal.read`."""
        return await self._reading.run(
            lambda: self._with(lambda connection: reading.events(connection, self._shard, after, most))
        )

    async def event(self, ledger: str, sequence: int) -> Row | None:
        """Read the event at a place. See `Journal.event`."""
        return await self._reading.run(
            lambda: self._with(lambda connection: reading.event(connection, self._shard, ledger, sequence))
        )

    async def dead_letters(self, after: int, most: int) -> list[DeadLetter]:
        """Read dead letters. See `Journal.dead_letters`."""
        return await self._reading.run(
            lambda: self._with(lambda connection: reading.dead_letters(connection, self._shard, after, most))
        )

    async def changed(self, wait_s: float) -> None:
        """Wait for a commit. See `Journal.changed`."""
        await self._waking.wait(wait_s)

    async def close(self) -> None:
        """Let go of connections, cutting short whatever still waits on one."""
        self._closed = True
        threads = (self._appending, self._recalling, self._reading)
        for thread in threads:
            thread.stop()
        self._connections.cut()
        await asyncio.gather(self._waking.close(), *(thread.stopped(_CLOSE_WAIT_S) for thread in threads))

    def _with(self, call: Callable[[Connection], _T]) -> _T:
        with answers.understood(), self._connections.connection() as connection:
            return call(connection)

    async def _append(self, batch: Batch) -> None:
        await self._appending.run(lambda: self._appender.append(batch))

    async def _append_again(self, batch: Batch, first_why: str) -> None:
        """Store a batch, or find it stored, as soon as PostgreSQL is back."""
        waiting = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, Away) and not self._closed),
            wait=wait_random_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S),
            before_sleep=lambda state: self._wait(why_of(state)),
            reraise=True,
        )
        self._wait(first_why)
        try:
            async for attempt in waiting:
                with attempt:
                    await self._append(batch)
        finally:
            if self._readiness:
                self._readiness.works(self._part)
        _log.info("PostgreSQL is back, the batch is stored", shard=self._shard, next=batch.next)

    def _wait(self, why: str) -> None:
        if self._readiness:
            self._readiness.waits(self._part, why)
        asked_again[self._part] += 1
