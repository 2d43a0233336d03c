"""Holds expire where nobody sends a command, and nobody is flooded with ticks: real PostgreSQL, real Kafka."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import msgspec
import psycopg
import pytest

from services import processes
from services.journal.postgres import PostgresJournal
from services.kafka.outbox import KafkaOutbox
from services.kafka.partition import Partition
from services.kafka.ports import Message, Record
from services.kafka.topics import Topics, delete
from services.migrations import READER
from services.points import Point
from services.settings import Kafka, Secret, Settings
from services.setup import setup
from services.ticker import SELDOMEST, HoldsDue, Ticker, tick
from tests.services.stage import Calm, opened, pay
from tests.services.transactions import send_in_one

LONG_AGO = "2026-01-01T00:00:00.000Z"
ONE_PASS_S = 0.01


class Scene:
    """An installation of one shard, whose processes are tasks of this one."""

    def __init__(self, settings: Settings) -> None:
        """Begin with no process."""
        self.settings = settings
        topics = Topics(settings.prefix)
        self.commands = KafkaOutbox(settings.brokers(), topics.commands, 0)
        self._reading = Partition(settings.brokers(), topics.commands, 0)

    async def send(self, *commands: dict[str, object]) -> None:
        """Put commands on the topic."""
        await self.commands.send([Message(None, msgspec.json.encode(command), ()) for command in commands])

    async def ticks(self) -> list[Record]:
        """Give every tick on the topic."""
        end, found = (await self.commands.bounds()).end, list[Record]()
        while not found or found[-1].offset < end - 1:
            found += (await self._reading.after(found[-1].offset + 1 if found else 0)).records
        return [record for record in found if b"tick.v1" in (record.value or b"")]

    async def until(self, statement: str, answer: object) -> None:
        """Wait until the database gives this answer."""
        connection = await psycopg.AsyncConnection.connect(self.settings.database(0), autocommit=True)
        async with connection:
            while (await (await connection.execute(statement.encode())).fetchone()) != (answer,):
                await asyncio.sleep(0.01)

    async def holds(self, state: str, count: int) -> None:
        """Wait until the read models know of so many holds in this state."""
        await self.until(f"select count(*) from read.holds where state = '{state}'", count)

    async def expiries(self, count: int) -> None:
        """Wait until the journal has so many holds that expired."""
        await self.until("select count(*) from journal.shard_0_events where topic = 'hold-expired.v1'", count)

    async def decided(self) -> None:
        """Wait until all that was sent is decided."""
        await self.until("select next from journal.offsets", (await self.commands.bounds()).end)

    async def close(self) -> None:
        await self.commands.close()
        await self._reading.close()


@pytest.fixture
async def scene(database: str, kafka: str, prefix: str) -> AsyncIterator[Scene]:
    settings = Settings(instance="test", dsn=Secret(database), kafka=Kafka(servers=kafka), prefix=prefix)
    await setup(settings)
    made = Scene(settings)
    yield made
    await made.close()
    await delete(settings.brokers(), Topics(prefix).all())


@asynccontextmanager
async def at_work(*works: Callable[[asyncio.Event], Awaitable[object]]) -> AsyncIterator[None]:
    """Have these work as long as the block lasts; one that fails shows its error."""
    stop = asyncio.Event()
    tasks = [asyncio.ensure_future(work(stop)) for work in works]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


def writer(scene: Scene) -> Callable[[asyncio.Event], Awaitable[None]]:
    return lambda stop: processes.writer(scene.settings, Calm(), stop)


def projector(scene: Scene) -> Callable[[asyncio.Event], Awaitable[None]]:
    return lambda stop: processes.projector(scene.settings, Calm(), stop)


def ticker(scene: Scene) -> Callable[[asyncio.Event], Awaitable[None]]:
    return lambda stop: processes.ticker(scene.settings, Calm(), stop)


async def passes(scene: Scene, count: int) -> None:
    """Run a ticker, as if just started, for so many passes."""
    stop, left = asyncio.Event(), iter(range(count - 1))

    async def point(_: str) -> None:
        if next(left, None) is None:
            stop.set()

    await run(scene, stop, point)


async def run(scene: Scene, stop: asyncio.Event, point: Point) -> None:
    journal = PostgresJournal(scene.settings.database(0), 0, READER)
    due = HoldsDue(scene.settings.read_database(0), 0)
    try:
        await Ticker(journal, scene.commands, due, Calm(), every_s=ONE_PASS_S, point=point).run(stop)
    finally:
        await due.close()
        await journal.close()


def held(command: str, expires_at: str = LONG_AGO) -> dict[str, object]:
    """Give a hold that is due as soon as it is placed."""
    movement = {"source": "alice", "destination": "bob", "unit": "QAZ", "amount": 1}
    return {"type": "place-hold.v1", "id": command, "movements": [movement], "expires_at": expires_at}


async def test_a_hold_expires_although_nobody_sends_a_command(scene: Scene) -> None:
    async with at_work(writer(scene), projector(scene), ticker(scene)):
        await scene.send(*opened(), held("h"))

        await scene.expiries(1)
        await scene.holds("expired", 1)

    assert [record.key for record in await scene.ticks()] == [b"main"]


async def test_a_hold_expires_though_the_last_offset_is_the_end_of_a_transaction(scene: Scene) -> None:
    settings, commands = scene.settings, [msgspec.json.encode(command) for command in (*opened(), held("h"))]
    async with at_work(writer(scene), projector(scene)):
        await send_in_one(settings.brokers().servers, Topics(settings.prefix).commands, *commands)
        await scene.holds("open", 1)

    async with at_work(writer(scene), projector(scene), ticker(scene)):
        await scene.expiries(1)

    assert [(record.offset, record.key) for record in await scene.ticks()] == [(len(commands) + 1, b"main")]


async def test_a_hold_that_is_not_due_is_left_alone(scene: Scene) -> None:
    async with at_work(writer(scene), projector(scene)):
        await scene.send(*opened(), held("h", "2126-01-01T00:00:00.000Z"))
        await scene.holds("open", 1)

        await passes(scene, 5)

    assert await scene.ticks() == []


async def test_a_writer_that_is_away_is_sent_one_tick_however_often_the_ticker_begins_again(scene: Scene) -> None:
    async with at_work(writer(scene), projector(scene)):
        await scene.send(*opened(), held("h"))
        await scene.holds("open", 1)

    await passes(scene, 20)
    await passes(scene, 20)
    await scene.send(pay("another", "alice", "bob", 1))
    await passes(scene, 20)

    assert len(await scene.ticks()) == 1
    async with at_work(writer(scene), projector(scene)):
        await scene.holds("expired", 1)
        await passes(scene, 20)
    assert len(await scene.ticks()) == 1


async def test_a_ledger_whose_holds_stay_due_is_asked_ever_more_seldom(scene: Scene) -> None:
    async with at_work(writer(scene), projector(scene)):
        await scene.send(*opened(), held("h"))
        await scene.holds("open", 1)

    # The read models stand still, so they say for ever that the hold is due.
    looked = 0
    stop = asyncio.Event()

    async def point(_: str) -> None:
        nonlocal looked
        await scene.decided()
        looked += 1
        if looked == 20:
            stop.set()

    async with at_work(writer(scene)):
        await run(scene, stop, point)
        await scene.expiries(1)

    assert len(await scene.ticks()) == len([1, 2, 4, 8, 16])
    assert SELDOMEST == 60


async def test_every_ledger_with_holds_due_is_asked_under_its_own_key(scene: Scene) -> None:
    async with at_work(writer(scene), projector(scene)):
        for ledger in ("main", "other", "quiet"):
            await scene.send(*(command | {"ledger": ledger} for command in opened()))
        await scene.send(*({**held("h"), "ledger": ledger} for ledger in ("other", "main")))
        await scene.holds("open", 2)

    await passes(scene, 1)

    ticks = [(record.key, msgspec.json.decode(record.value or b"")) for record in await scene.ticks()]
    assert [(key, command.get("ledger", "main")) for key, command in ticks] == [(b"main", "main"), (b"other", "other")]


async def test_what_is_due_is_counted_as_the_clock_says(scene: Scene) -> None:
    async with at_work(writer(scene), projector(scene)):
        await scene.send(*opened(), held("h1", "2126-01-01T00:00:00.000Z"), held("h2", "2126-01-01T00:00:00.001Z"))
        await scene.holds("open", 2)

    due = HoldsDue(scene.settings.read_database(0), 0, lambda: datetime(2126, 1, 1, tzinfo=UTC))

    assert [tuple(one) for one in await due()] == [("main", 1, 6)]
    await due.close()


async def test_one_ticker_is_live_and_another_takes_over(scene: Scene) -> None:
    first, second = Calm(), Calm()
    live = asyncio.ensure_future(tick(scene.settings, 1, first, every_s=ONE_PASS_S))
    await told(first, "ticker 0: works")
    waiting = asyncio.ensure_future(tick(scene.settings, 1, second, every_s=ONE_PASS_S))
    await told(second, "ticker 0: another ticker is the live one")
    before = list(second.told)

    await ended(live)
    await told(second, "ticker 0: works")
    await ended(waiting)

    assert before == ["ticker 0: another ticker is the live one"]


async def told(calm: Calm, what: str) -> None:
    while what not in calm.told:
        await asyncio.sleep(0.005)


async def ended(task: "asyncio.Future[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
