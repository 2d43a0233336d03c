"""Keeps the read models of one shard: takes the journal's events, a page at a time, into every one of them.

One page, start to end:

    Journal.read -> fold -> … -> write, checkpoint included -> commit

Law: once, in order, or not at all. The checkpoint is stored with the rows, so a crash anywhere leaves a page whole or
undone, and the next projector goes on exactly there. Live projection and rebuild are the same code.

The fold of each read model is in `projections`; who asks them: `services.reads`.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Final, TypeVar

import psycopg
import structlog
from psycopg import sql

from projections import alone, generations
from projections.checkpoint import Gap, OtherProjector, digest_of
from projections.generations import GenerationChanged, NotPrepared
from projections.projection import Projection
from services.errors import Away, Unexpected
from services.journal import answers
from services.journal.connection import parameters
from services.journal.lock import only_one
from services.journal.one_thread import OneThread, begun
from services.journal.ports import Journal, Row
from services.journal.postgres import PostgresJournal
from services.lag import Reached, behind
from services.migrations import PROJECTOR
from services.patience import Readiness, patiently
from services.points import POLL_S, Point, no_point
from services.settings import Settings
from services.tallies import ProjectorTally, Tallies

_T = TypeVar("_T")

_log: Final = structlog.get_logger()

PAGE: Final = 20_000
"""So many events a page, if there are as many. A page touches each account once, however often it was posted to."""

PART: Final = 1000
"""So many are read and folded at once: few enough to stay in the processor's cache from one to the other."""

REMEDY: Final = "run `defter setup`; `defter rebuild` where there are others"

SHORTEST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 0.4
_PAGE_BYTES: Final = 64 << 20
_MANY_A_SECOND: Final = 10_000


def pause_s(events_per_s: float) -> float:
    """Return how long after the beginning of a page the next one begins, at the soonest.

    What happens after a quiet time is taken in at once. Under load events are left to gather: a page costs the same for
    an account whether it was posted to once or ten times, so larger pages leave more of the machine to the writer.
    """
    return min(max(LONGEST_PAUSE_S * events_per_s / _MANY_A_SECOND, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)


class Projector:
    """The one projector of a shard and generation.

    Args:
        journal: of the shard.
        dsn: the database of the read models.
        readiness: is told while something is waited for.
        generation: which one is kept; the live one if not said.
        page: how many events to take in at once, at most.
        pause: how long to wait between the beginnings of two pages, by how many events come in a second.
        tally: counts what is taken in; one that begins at nothing if not said.
        point: called at `read` (a page is read and folded), `written` (and not committed) and `committed`.
    """

    def __init__(
        self,
        journal: Journal,
        dsn: str,
        readiness: Readiness,
        *,
        generation: int | None = None,
        page: int = PAGE,
        pause: Callable[[float], float] = pause_s,
        tally: ProjectorTally | None = None,
        point: Point = no_point,
    ) -> None:
        """Know the shard and its read models; nothing is connected before `run`."""
        self.position = 0
        self.tally = tally or ProjectorTally()
        self._journal = journal
        self._dsn = dsn
        self._readiness = readiness
        self._generation = generation
        self._page = page
        self._pause = pause
        self._point = point
        self._part = f"projector {journal.shard}"
        self._connection: psycopg.Connection[Any] | None = None
        self._thread = OneThread(self._part, self._disconnect)

    async def run(self, stop: asyncio.Event) -> None:
        """Project until `stop`, which ends the run after the page in flight. Runs once.

        Raises:
            Unexpected: an event is missing, or journal or read models are not what they were.
        """
        try:
            while not stop.is_set():
                projection = await patiently(self._part, self._open, self._readiness)
                try:
                    await self._project(projection, stop)
                except (Away, GenerationChanged, OtherProjector) as interrupted:
                    _log.warning(
                        "a page is undone, the checkpoint is read again", part=self._part, why=str(interrupted)
                    )
        finally:
            self._thread.stop()

    def reached(self) -> Reached:
        """Tell how far the read models have come."""
        return Reached(self.position)

    async def _open(self) -> Projection:
        """Connect, and go on from the checkpoint."""
        projection = await self._blocking(self._connect)
        await self._same_journal(projection)
        self.position = projection.position
        _log.info("projecting", shard=self._journal.shard, position=projection.position)
        return projection

    async def _same_journal(self, projection: Projection) -> None:
        """See that the last event taken in is still in the journal: what comes after another one would be nonsense."""
        position = projection.position
        rows = await self._journal.read(position - 1, 1) if position else []
        if position and (not rows or rows[0].position != position or digest_of(rows[0].data) != projection.digest):
            raise Unexpected(
                f"the read models of shard {self._journal.shard} have come to position {position}, and the journal "
                "has not that event there",
                "the journal was restored from before it: `defter rebuild` makes the read models anew",
            )

    async def _project(self, projection: Projection, stop: asyncio.Event) -> None:
        last = time.monotonic()
        while not stop.is_set():
            begun = time.monotonic()
            events = await self._fold(projection)
            if not events:
                await self._journal.changed(POLL_S)
                continue
            await self._store(projection)
            self.tally.events += events
            if events < self._page:
                pause = self._pause(events / max(begun - last, SHORTEST_PAUSE_S))
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), max(begun + pause - time.monotonic(), 0))
            last = begun

    async def _fold(self, projection: Projection) -> int:
        """Take a page in, part by part: the next is read while one is folded. Return how many events it has."""
        events = weight = 0
        most = min(PART, self._page)
        rows = await self._read(projection.position, most)
        while rows:
            events += len(rows)
            weight += sum([len(row.data) for row in rows])
            # A part that is not full was all there is, for now.
            more = len(rows) == most and events < self._page and weight < _PAGE_BYTES
            ahead = await begun(self._read(rows[-1].position, most)) if more else None
            try:
                projection.fold(rows)
                rows = await ahead if ahead else []
            except Gap as gap:
                raise Unexpected(
                    f"an event is missing from the journal of shard {self._journal.shard}: {gap}",
                    "nothing was taken in after it; `defter verify` tells what else is wrong",
                ) from gap
            finally:
                if ahead:
                    ahead.cancel()
        return events

    async def _store(self, projection: Projection) -> None:
        await self._point("read")
        await self._blocking(projection.write)
        await self._point("written")
        await self._blocking(projection.commit)
        self.position = projection.position
        await self._point("committed")

    async def _read(self, after: int, most: int) -> list[Row]:
        return await patiently(self._part, lambda: self._journal.read(after, most), self._readiness)

    async def _blocking(self, call: Callable[[], _T]) -> _T:
        """Run a call that may wait for the database in the thread, and say in our own words what went wrong."""
        try:
            return await self._thread.run(partial(_understood, call))
        except NotPrepared as not_prepared:
            raise Unexpected(str(not_prepared), REMEDY) from None

    def _connect(self) -> Projection:
        self._disconnect()
        connection = self._connection = connected(self._dsn, f"defter-projector-{self._journal.shard}")
        # A crash of the server may lose the last pages, rows and checkpoint together: they are made again from the
        # journal, which is durable. So no page waits for the disk.
        connection.execute("set synchronous_commit = off")
        with connection.cursor() as cursor:
            generation = generations.find(cursor, self._generation)
        connection.commit()
        return alone.projection(connection, generation, self._journal.shard)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


async def project(
    settings: Settings,
    shard: int,
    readiness: Readiness,
    *,
    generation: int | None = None,
    tallies: Tallies | None = None,
    point: Point = no_point,
) -> None:
    """Keep the read models of one shard whenever nobody else does, for ever. Being stopped in the middle is harmless.

    Args:
        settings: where everything is.
        shard: whose journal.
        readiness: is told while something is waited for.
        generation: which one is kept; the live one if not said.
        tallies: count what is done.
        point: see `Projector`.

    Raises:
        Unexpected: a dependency is not the one expected.
    """
    part = f"projector {shard}"
    dsn = settings.read_database(shard)
    tallies = tallies or Tallies()
    while True:
        number = await patiently(part, partial(asyncio.to_thread, _number, dsn, generation), readiness)
        readiness.waits(part, "another projector is the live one")
        lock = only_one(dsn, f"projector of generation {number}", shard, partial(readiness.waits, part))
        async with lock as held, AsyncExitStack() as resources:
            journal = PostgresJournal(settings.database(shard), shard, PROJECTOR)
            resources.push_async_callback(journal.close)
            readiness.works(part)
            live = Projector(journal, dsn, readiness, generation=number, tally=tallies.projector(shard), point=point)
            look = partial(behind, settings.database(shard), PROJECTOR, shard, live.reached)
            with tallies.at_work("projector", shard, look):
                await live.run(held.lost)


def prepare(dsn: str) -> bool:
    """Make the first generation of read models in a database that has none; part of `defter setup`. Blocks.

    Args:
        dsn: the database, as a user who may take the projector's role; `services.migrations` gave it its rights.

    Returns:
        Whether anything was missing.

    Raises:
        Away: PostgreSQL does not answer.
        Unexpected: the user may not do this.
    """
    with answers.understood(), connected(dsn, "defter-setup") as connection:
        return generations.prepare(connection)


def connected(dsn: str, name: str, role: str = PROJECTOR) -> psycopg.Connection[Any]:
    """Connect to a database of read models, in a role. Raises what psycopg raises; see `answers.understood`."""
    connection = psycopg.connect(**parameters(dsn, name))
    connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
    connection.commit()
    return connection


def _number(dsn: str, generation: int | None) -> int:
    """Return the number of a generation that is there, or of the live one."""
    try:
        with answers.understood(), connected(dsn, "defter-projector") as connection, connection.cursor() as cursor:
            return generations.find(cursor, generation).number
    except NotPrepared as not_prepared:
        raise Unexpected(str(not_prepared), REMEDY) from None


def _understood(call: Callable[[], _T]) -> _T:
    with answers.understood():
        return call()
