"""The processes of an installation, each from its settings to its end: writer, publisher, projector, ticker.

Law: each waits for what is away and ends for what is wrong. At any moment it may be killed, and starting it again is
all that is ever needed. The command line (`services.cli`) gives them signals, health and a log.

The story of a command goes on in `services.writer`, that of an event in `services.publisher` and `services.projector`.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Final, NamedTuple

import structlog

from services.errors import Away, WrongSetting
from services.journal.ports import OtherWriter
from services.journal.postgres import PostgresJournal
from services.kafka.dispatch import Dispatch
from services.kafka.inbox import KafkaInbox
from services.kafka.membership import Membership
from services.kafka.partition import Partition
from services.kafka.ports import Inbox
from services.kafka.topics import Topics
from services.keeping import keep
from services.lag import undecided
from services.patience import Readiness, patiently
from services.points import Point, no_point
from services.publishing import publish
from services.replies import Replies
from services.settings import Kafka, Settings
from services.setup import Installed, check_installation, check_shard, read_installation
from services.snapshots import latest
from services.tallies import Behind, Tallies, WriterTally
from services.ticker import tick
from services.writer import RULES, Writer

_log: Final = structlog.get_logger()

MakeInbox = Callable[[Kafka, str, int], Inbox]

_LOOK_EVERY_S: Final = 5.0
_LEAVES_WITHIN_S: Final = 3.0
"""How long who gives a partition up may take over its batch in flight; cut off then, it does no harm."""


async def writer(
    settings: Settings,
    readiness: Readiness,
    stop: asyncio.Event,
    *,
    tallies: Tallies | None = None,
    point: Point = no_point,
    inbox: MakeInbox = KafkaInbox,
) -> None:
    """Write the partitions that the group of writers gives to this instance, each from its `inbox`, until `stop`.

    Raises:
        Unexpected: a dependency is not the one expected.
    """
    tallies = tallies or Tallies()
    installed = await patiently("writer", lambda: check_installation(settings), readiness)
    topics = Topics(settings.prefix)
    partitions = installed.partitions
    async with Membership(
        settings.brokers(), topics.writers, topics.commands, partitions, settings.instance
    ) as membership:
        readiness.waits("writer", "no partition is given yet")
        writing = _Writing(settings, membership, installed, readiness, tallies, point, inbox)
        try:
            await until(stop, writing.follow(), _watch(settings))
        finally:
            await writing.end()


class _Turn(NamedTuple):
    """One partition written from when it is given to us until `stop`, and the little while that its end takes."""

    partition: int
    stop: asyncio.Event


class _Writing:
    """A task for each partition that is ours. They come and go as the group deals the partitions out.

    Law: none waits for another, but for the one that had the same partition before.
    """

    def __init__(
        self,
        settings: Settings,
        membership: Membership,
        installed: Installed,
        readiness: Readiness,
        tallies: Tallies,
        point: Point,
        inbox: MakeInbox,
    ) -> None:
        self._settings = settings
        self._membership = membership
        self._installed = installed
        self._readiness = readiness
        self._tallies = tallies
        self._point = point
        self._inbox = inbox
        self._turns: dict[asyncio.Task[None], _Turn] = {}

    async def follow(self) -> None:
        """Write what the group gives us, for as long as it does; cancelled, it leaves the partitions to `end`."""
        changes = aiter(self._membership.changes())
        change = asyncio.ensure_future(anext(changes))
        while True:
            await asyncio.wait({change, *self._turns}, return_when=asyncio.FIRST_COMPLETED)
            self._collect()
            if change.done():
                self._become(change.result())
                change = asyncio.ensure_future(anext(changes))

    async def end(self) -> None:
        """Give up every partition, each after its batch in flight."""
        self._leave(frozenset())
        if self._turns:
            await asyncio.wait(self._turns)
        self._collect()

    def _become(self, owned: frozenset[int]) -> None:
        _log.info("partitions", owned=sorted(owned))
        self._readiness.works("writer")
        self._leave(owned)
        ours = {turn.partition for turn in self._turns.values() if not turn.stop.is_set()}
        for partition in owned - ours:
            before = [task for task, turn in self._turns.items() if turn.partition == partition]
            turn = _Turn(partition, asyncio.Event())
            self._turns[asyncio.create_task(self._take(turn, before))] = turn

    def _leave(self, owned: frozenset[int]) -> None:
        """Have every partition given up but these. Whoever waits for what is away would never come to see `stop`."""
        for task, turn in self._turns.items():
            if turn.partition not in owned and not turn.stop.is_set():
                turn.stop.set()
                asyncio.get_running_loop().call_later(_LEAVES_WITHIN_S, task.cancel)

    def _collect(self) -> None:
        """Forget those that have ended, and raise what one of them ended with."""
        for task in [task for task in self._turns if task.done()]:
            del self._turns[task]
            if not task.cancelled():
                task.result()

    async def _take(self, turn: _Turn, before: Collection[asyncio.Task[None]]) -> None:
        """Write one partition as soon as those have ended that had it before."""
        if before:
            await asyncio.wait(before)
        try:
            await self._write(*turn)
        finally:
            self._readiness.works(f"writer {turn.partition}")

    async def _write(self, partition: int, stop: asyncio.Event) -> None:
        """Write one partition until `stop`. When another writer took it, go on only if the group says it is ours."""
        same = partial(check_shard, self._settings, partition, self._installed)
        await patiently(f"writer {partition}", same, self._readiness)
        while not stop.is_set():
            async with AsyncExitStack() as resources:
                kafka, topics = self._settings.brokers(), self._installed.topics
                inbox, again = (make(kafka, topics.commands, partition) for make in (self._inbox, KafkaInbox))
                watched = Partition(kafka, topics.commands, partition)
                dispatch = Dispatch(kafka, topics.all(postings=True))
                for opened in (inbox, again, watched, dispatch):
                    resources.push_async_callback(opened.close)
                journal = PostgresJournal(self._settings.database(partition), partition, readiness=self._readiness)
                resources.push_async_callback(journal.close)
                tally, partitions = self._tallies.writer(partition), self._installed.partitions
                replies = Replies(again, journal, dispatch.send, tally, self._readiness)
                begin_with = partial(asyncio.to_thread, latest, self._settings.database(partition), partition, RULES)
                writer = Writer(
                    inbox,
                    journal,
                    replies,
                    partitions,
                    self._readiness,
                    tally=tally,
                    point=self._point,
                    begin_with=begin_with,
                )
                resources.enter_context(self._tallies.at_work("writer", partition, partial(_undecided, watched, tally)))
                try:
                    await writer.run(stop)
                except OtherWriter as other:
                    _log.warning("another writer was here", shard=partition, why=str(other))
                    self._readiness.waits(f"writer {partition}", "another writer was here")
            if not stop.is_set() and partition not in await self._membership.confirmed():
                return


async def publisher(
    settings: Settings,
    readiness: Readiness,
    stop: asyncio.Event,
    *,
    shards: Collection[int] = (),
    from_position: int | None = None,
    tallies: Tallies | None = None,
    point: Point = no_point,
) -> None:
    """Publish the journals of shards, until `stop`; for each shard wait until nobody else does.

    Args:
        settings: where everything is.
        readiness: is told while something is waited for.
        stop: ends the run after the page in flight.
        shards: which; all of them where none is named.
        from_position: the position to publish after, where what was published before is gone.
        tallies: count what is done.
        point: called between a page and the next.

    Raises:
        Unexpected: a dependency is not the one expected.
    """
    installed = await patiently("publisher", lambda: check_installation(settings), readiness)
    tallies = tallies or Tallies()
    works = [
        publish(settings, installed, shard, readiness, tallies, from_position=from_position, point=point)
        for shard in _named(shards, installed)
    ]
    await until(stop, *works, _watch(settings))


async def projector(
    settings: Settings,
    readiness: Readiness,
    stop: asyncio.Event,
    *,
    shards: Collection[int] = (),
    tallies: Tallies | None = None,
    point: Point = no_point,
) -> None:
    """Keep the read models of shards, all generations, until `stop`; for each wait until nobody else does.

    They are those of `shards`, or of all where none is named.

    Raises:
        Unexpected: a dependency is not the one expected.
    """
    installed = await patiently("projector", lambda: read_installation(settings), readiness)

    async def kept(shard: int) -> None:
        await patiently(f"projector {shard}", partial(check_shard, settings, shard, installed), readiness)
        await keep(settings, shard, readiness, tallies=tallies, point=point)

    await until(stop, *map(kept, _named(shards, installed)))


async def ticker(
    settings: Settings, readiness: Readiness, stop: asyncio.Event, *, tallies: Tallies | None = None
) -> None:
    """Let time pass for holds that are due, until `stop`; wait until nobody else does.

    Raises:
        Unexpected: a dependency is not the one expected.
    """
    installed = await patiently("ticker", lambda: check_installation(settings), readiness)
    await until(stop, tick(settings, installed.partitions, readiness, tallies=tallies), _watch(settings))


def _named(shards: Collection[int], installed: Installed) -> Collection[int]:
    for shard in shards:
        if shard >= installed.partitions:
            raise WrongSetting(f"there is no shard {shard}; expected 0 to {installed.partitions - 1}")
    return frozenset(shards) or range(installed.partitions)


async def _undecided(commands: Partition, tally: WriterTally) -> Behind:
    return Behind(await undecided(commands, tally.next))


async def _watch(settings: Settings) -> None:
    """Look now and then whether the topics are still this installation's: one made anew is read on in silence.

    Raises:
        Unexpected: they are not.
    """
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        with suppress(Away):
            await check_installation(settings)


async def until(stop: asyncio.Event, *works: Coroutine[Any, Any, object]) -> None:
    """Do all the works until one ends or fails, or until `stop`; the others are then cancelled."""
    tasks = [asyncio.create_task(work) for work in (stop.wait(), *works)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
