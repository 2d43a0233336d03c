"""How long one event comes after its command, as a subscriber sees it: `latency` under a load, `lone` without one.

Law: the load is an open loop. A command is due when it is due, whether or not the one before has been answered; what
waits because something is slow is counted as waiting (and not left out, as a loop that waits for answers would).
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import psycopg

from services.bench import load
from services.bench.checking import check
from services.bench.costs import Meter, between
from services.bench.crew import Crew
from services.bench.finish import Finish
from services.bench.grounds import begin_alike, connected, fresh
from services.bench.options import Options, Result
from services.errors import Away
from services.kafka.outbox import KafkaOutbox
from services.kafka.partition import Partition
from services.kafka.ports import Message
from services.kafka.topics import Topics
from services.settings import Settings

_WARM_S: Final = 1.0
_PATIENCE_S: Final = 30.0

_RANKS: Final = {"p50_ms": 500, "p99_ms": 990, "p999_ms": 999, "max_ms": 1000}
"""What is told of the samples, and at which thousandth each stands."""

_Samples = list[float]


class _Told(msgspec.Struct):
    """What the subscriber reads of an event."""

    command: str


_decode: Final = msgspec.json.Decoder(_Told).decode


async def latency(options: Options, servers: Settings) -> Result:
    """Measure under a load of `rate` commands a second. Raises `Away`, `Unexpected`, `Wrong`."""
    async with _stage(options, servers) as stage:
        warm = round(options.rate * _WARM_S)
        count = round(options.rate * options.seconds)
        await stage.offered(islice(stage.work, warm), options.rate)
        before = await asyncio.to_thread(stage.meter.look)
        begun = time.perf_counter()
        samples = await stage.offered(islice(stage.work, count), options.rate)
        seconds = time.perf_counter() - begun
        costs = between(before, await asyncio.to_thread(stage.meter.look), count, seconds)
    return {"rate": options.rate, **percentiles(samples), "transfers": count, "seconds": round(seconds, 2)} | {
        "accounts": options.accounts,
        **msgspec.structs.asdict(costs),
    }


async def lone(options: Options, servers: Settings) -> Result:
    """Measure one producer that waits for each outcome. Raises `Away`, `Unexpected`, `Wrong`."""
    async with _stage(options, servers) as stage:
        await stage.one_by_one(_WARM_S)
        begun = time.perf_counter()
        samples = await stage.one_by_one(options.seconds)
        seconds = time.perf_counter() - begun
    return {
        "per_s": round(len(samples) / seconds, 1),
        **percentiles(samples),
        "transfers": len(samples),
        "seconds": round(seconds, 2),
        "accounts": options.accounts,
    }


def percentiles(samples: _Samples) -> dict[str, float]:
    """Return exact percentiles, in ms: each the smallest sample that so large a share of all does not exceed."""
    ranked = sorted(samples)
    return {
        name: round(ranked[-(-len(ranked) * per_mille // 1000) - 1] * 1000, 2) for name, per_mille in _RANKS.items()
    }


class _Stage:
    """A producer and a subscriber of one installation whose processes all work."""

    def __init__(self, settings: Settings, meter: Meter, options: Options, settled: int) -> None:
        topics = Topics(settings.prefix)
        self.meter = meter
        self.work = load.named_transfers(options.accounts, Random(load.SEED))
        self.commands = settled
        self._outbox = KafkaOutbox(settings.brokers(), topics.commands, 0)
        self._events = Partition(settings.brokers(), topics.events, 0)
        self._next = settled

    async def offered(self, work: Iterator[tuple[str, bytes]], rate: int) -> _Samples:
        """Send so many a second, and return how many seconds after it was due each had its event."""
        due: dict[str, float] = {}
        commands = list(work)
        subscriber = asyncio.create_task(self._seen(due, len(commands)))
        try:
            await self._sent(commands, rate, due)
            async with asyncio.timeout(_PATIENCE_S):
                return await subscriber
        except TimeoutError:
            raise Away(f"some of {len(commands)} events did not come within {_PATIENCE_S:g} s") from None
        finally:
            subscriber.cancel()

    async def one_by_one(self, seconds: float) -> _Samples:
        """Send one and wait for its event, then the next, for so long; return how many seconds each took."""
        samples: _Samples = []
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            command_id, value = next(self.work)
            begun = time.perf_counter()
            await self._send([value])
            async with asyncio.timeout(_PATIENCE_S):
                samples += await self._seen({command_id: begun}, 1)
        return samples

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        await self._outbox.close()
        await self._events.close()

    async def _sent(self, commands: Sequence[tuple[str, bytes]], rate: int, due: dict[str, float]) -> None:
        """Send each when it is due, or as soon after as the one before is on its way."""
        begun = time.perf_counter()
        done = 0
        while done < len(commands):
            await asyncio.sleep(max(begun + done / rate - time.perf_counter(), 0))
            late = min(int((time.perf_counter() - begun) * rate) + 1, len(commands))
            for number in range(done, late):
                due[commands[number][0]] = begun + number / rate
            await self._send([value for _, value in commands[done:late]])
            done = late

    async def _send(self, values: Sequence[bytes]) -> None:
        await self._outbox.send([Message(load.LEDGER.encode(), value, ()) for value in values])
        self.commands += len(values)

    async def _seen(self, due: dict[str, float], count: int) -> _Samples:
        """Subscribe until so many events have come; return how long after they were due."""
        samples: _Samples = []
        while len(samples) < count:
            chunk = await self._events.after(self._next)
            now = time.perf_counter()
            self._next = chunk.next
            for record in chunk.records:
                samples.append(now - due[_decode(record.value or b"").command])
        return samples


@asynccontextmanager
async def _stage(options: Options, servers: Settings) -> AsyncIterator[_Stage]:
    """Make a fresh installation with all processes at work; at the end, see that all came out right."""
    async with fresh(servers) as settings:
        settled = await load.settle(settings, options.accounts)
        await begin_alike(settings)
        with tempfile.TemporaryDirectory() as directory, connected(settings) as connection:
            async with Crew(settings, Path(directory), options.profiles) as crew:
                await _ended(settings, connection, crew, settled)
                crew.let_go()
                meter = await asyncio.to_thread(Meter, settings, connection, crew.pids)
                stage = _Stage(settings, meter, options, settled)
                try:
                    yield stage
                finally:
                    await stage.close()
                await _ended(settings, connection, crew, stage.commands)
            await check(settings, connection, stage.commands)


async def _ended(settings: Settings, connection: psycopg.Connection[Any], crew: Crew, commands: int) -> None:
    finish = Finish(settings, connection)
    try:
        await finish.reached(commands, commands, crew, time.perf_counter())
    finally:
        await finish.close()
