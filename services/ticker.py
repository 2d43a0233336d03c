"""Lets time pass where nobody sends a command: asks, by `tick.v1`, for the expiry of holds that are due.

One pass over a shard, start to end:

    Journal.standing -> the read model of holds -> commands topic

Law: no tick before the shard has read past all that lay in its topic after the last ones; so there is one for a ledger
at most, however long the writer is away and however often the ticker begins again. And at most one a second.

What becomes of a tick next: `services.writer`, as of any command. One that finds nothing due writes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import psycopg
import structlog

from projections import generations
from projections.generations import NotPrepared
from schemas.commands import Tick
from services.errors import Away, Unexpected
from services.journal import answers
from services.journal.lock import only_one
from services.journal.one_thread import OneThread
from services.journal.ports import Journal
from services.journal.postgres import PostgresJournal
from services.kafka.outbox import KafkaOutbox
from services.kafka.ports import Message, Outbox
from services.kafka.topics import Topics
from services.migrations import READER
from services.patience import Readiness, patiently
from services.points import Point, no_point
from services.projector import connected
from services.settings import Settings
from services.tallies import Tallies, TickerTally

_Answer = TypeVar("_Answer")

EVERY_S: Final = 1.0
SELDOMEST: Final = 60
"""In passes: how often a ledger is asked at least, whose holds stay due whatever was asked."""

_DUE: Final = """
select ledger, count(*), max(holds.sequence)
  from {schema}.holds join {schema}.ledgers using (ledger)
 where state = 'open' and expires_at <= %s and shard = %s
 group by ledger order by ledger"""

_log: Final = structlog.get_logger()


class Due(NamedTuple):
    """A ledger with holds due: how many, and the sequence of the one that was placed last."""

    ledger: str
    holds: int
    last: int


class Ticker:
    """The ticker of one shard.

    Args:
        journal: of the shard.
        commands: its partition of the commands topic.
        due: tells which of its ledgers have holds due.
        readiness: is told while something is waited for.
        every_s: from one pass to the next.
        tally: counts ticks; one that begins at nothing if not said.
        point: called at `looked`, after each pass.
    """

    def __init__(
        self,
        journal: Journal,
        commands: Outbox,
        due: Callable[[], Awaitable[Iterable[Due]]],
        readiness: Readiness,
        *,
        every_s: float = EVERY_S,
        tally: TickerTally | None = None,
        point: Point = no_point,
    ) -> None:
        """Know the shard; nothing is asked before `run`."""
        self._journal = journal
        self._commands = commands
        self._due = due
        self._readiness = readiness
        self._every_s = every_s
        self.tally = TickerTally() if tally is None else tally
        self._point = point
        self._end: int | None = None
        self._seen: Counter[Due] = Counter()

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until `stop`. Being stopped in the middle is harmless."""
        while not stop.is_set():
            await self._look()
            await self._point("looked")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every_s)

    async def _look(self) -> None:
        """Ask once for every ledger with holds due, if the shard has read all that was asked before."""
        if self._end is None:
            self._end = (await self._patiently(self._commands.bounds)).end
        following = (await self._patiently(self._journal.standing)).next
        if following < self._end:
            waiting = await self._patiently(partial(self._commands.first, following))
            if waiting is not None and waiting.offset < self._end:
                return
            # Nothing but ends of transactions: no record ever moves the shard past them.
            self._end = following
        self._seen = Counter({due: self._seen[due] + 1 for due in await self._patiently(self._due)})
        ticks = [_tick(due.ledger) for due, passes in self._seen.items() if _again(passes)]
        if ticks:
            # Whether they are sent or not: after a failure nobody knows how many of them lie there.
            self._end = None
            try:
                await self._commands.send(ticks)
                self.tally.ticks += len(ticks)
            except Away as away:
                _log.warning("ticks may not have been sent", shard=self._journal.shard, why=str(away))

    async def _patiently(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        return await patiently(f"ticker {self._journal.shard}", call, self._readiness)


class HoldsDue:
    """The read models of one shard, asked for holds that are due.

    Args:
        dsn: the database of the read models.
        shard: whose ledgers.
        now: the clock. It is the broker's that decides; a tick that comes too early finds nothing, and is sent again.
    """

    def __init__(self, dsn: str, shard: int, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Know the database; nothing is connected before the first question."""
        self._dsn = dsn
        self._shard = shard
        self._now = now
        self._connection: psycopg.Connection[Any] | None = None
        self._thread = OneThread(f"ticker-{shard}", self._disconnect)

    async def __call__(self) -> list[Due]:
        """Give the ledgers with holds due, by name.

        Raises:
            Away: PostgreSQL does not answer.
            Unexpected: there are no read models.
        """
        return await self._thread.run(partial(self._ask, self._now()))

    async def close(self) -> None:
        """Let go of the connection. Never raises."""
        self._thread.stop()

    def _ask(self, now: datetime) -> list[Due]:
        try:
            with answers.understood():
                if self._connection is None:
                    self._connection = connected(self._dsn, f"defter-ticker-{self._shard}", READER)
                with self._connection.transaction(), self._connection.cursor() as cursor:
                    schema = generations.find(cursor).schema
                    cursor.execute(_DUE.format(schema=schema).encode(), (now, self._shard))
                    return [Due(*row) for row in cursor]
        except NotPrepared as not_prepared:
            raise Unexpected(str(not_prepared), answers.SETUP) from None
        except Away:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


async def tick(
    settings: Settings,
    partitions: int,
    readiness: Readiness,
    *,
    every_s: float = EVERY_S,
    tallies: Tallies | None = None,
) -> None:
    """Tick for every shard whenever nobody else does, for ever.

    Args:
        settings: where everything is.
        partitions: how many shards there are.
        readiness: is told while something is waited for.
        every_s: from one pass to the next.
        tallies: count what is done.

    Raises:
        Unexpected: a dependency is not the one expected.
    """
    shards = range(partitions)
    tallies = tallies or Tallies()

    def waits(why: str) -> None:
        for shard in shards:
            readiness.waits(f"ticker {shard}", why)

    while True:
        waits("another ticker is the live one")
        async with only_one(settings.database(0), "ticker", 0, waits) as held, asyncio.TaskGroup() as ticking:
            for shard in shards:
                readiness.works(f"ticker {shard}")
                ticking.create_task(_tick_for(settings, shard, readiness, held.lost, every_s, tallies))


async def _tick_for(
    settings: Settings, shard: int, readiness: Readiness, lost: asyncio.Event, every_s: float, tallies: Tallies
) -> None:
    async with AsyncExitStack() as resources:
        journal = PostgresJournal(settings.database(shard), shard, READER)
        resources.push_async_callback(journal.close)
        commands = KafkaOutbox(settings.brokers(), Topics(settings.prefix).commands, shard)
        resources.push_async_callback(commands.close)
        due = HoldsDue(settings.read_database(shard), shard)
        resources.push_async_callback(due.close)
        resources.enter_context(tallies.at_work("ticker", shard))
        tally = tallies.ticker(shard)
        await Ticker(journal, commands, due, readiness, every_s=every_s, tally=tally).run(lost)


def _again(passes: int) -> bool:
    """Tell whether what is due for so many passes is to be asked for: ever more seldom, if that changes nothing.

    So it is where the read models do not get on, or the clock here is ahead of the broker's.
    """
    return passes & (passes - 1) == 0 or passes % SELDOMEST == 0


def _tick(ledger: str) -> Message:
    return Message(ledger.encode(), msgspec.json.encode(Tick(id="tick", ledger=ledger)), ())
