"""How fast the past is gone through again: verified, replayed, and taken up by a writer that starts.

Law: each does exactly what its command does, in a process of its own where memory is told.
"""

import asyncio
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from services import replay as replaying
from services.bench import load
from services.bench.checking import Wrong
from services.bench.costs import Meter, between
from services.bench.decide import collecting_as_a_process
from services.bench.grounds import begin_alike, connected, fresh
from services.bench.load import HOME, LEDGER, Home
from services.bench.options import Options, Result
from services.bench.past import happened
from services.bench.surroundings import cores
from services.journal.postgres import PostgresJournal
from services.journal.streams import Streams
from services.replay import Window
from services.settings import Settings
from services.shard import Shard
from services.snapshots import latest, make
from services.verify import run
from services.writer import RULES


class Started(NamedTuple):
    """How a writer's state was taken up: in how many seconds, and how many bytes that took."""

    seconds: float
    bytes: int
    accounts: int
    sequence: int


async def verify(options: Options, servers: Settings) -> Result:
    """Measure once: events a second that are verified, by as many processes as there are cores.

    Raises `Away`, `Unexpected`, `Wrong`.
    """
    homes = load.homes(options.partitions)
    processes = cores()

    def work(settings: Settings, events: int) -> None:
        found = run.verify(settings, len(homes), jobs=processes)
        if found.faults or found.events != events:
            raise Wrong(f"of {events} events {found.events} were verified: {found.faults[:1]}")

    shared = {"partitions": len(homes)} if len(homes) > 1 else {}
    return await _measured("verify", options, servers, homes, work) | shared | {"processes": processes}


async def replay(options: Options, servers: Settings) -> Result:
    """Measure once: events a second of a whole ledger that are replayed. Raises `Away`, `Unexpected`, `Wrong`."""

    def work(settings: Settings, events: int) -> None:
        lines = 0
        with (
            collecting_as_a_process(),
            closing(Streams(settings.database(0), 0)) as streams,
            Path(os.devnull).open("wb") as nowhere,
        ):
            for text in replaying.replay(streams, LEDGER, replaying.bounds(streams, LEDGER, Window())):
                lines += text.count(b"\n")
                nowhere.write(text)
        if lines != events + 2:
            raise Wrong(f"{events} events were replayed in {lines} lines")

    return await _measured("replay", options, servers, [HOME], work)


async def start(options: Options, servers: Settings) -> Result:
    """Measure once: how long a writer takes to have its state, with a snapshot and without. Raises as the others."""
    async with fresh(servers) as settings:
        events = await happened(settings, options)
        begun = time.perf_counter()
        made = await asyncio.to_thread(make, settings.database(0), 0, 1, RULES)
        made_s = time.perf_counter() - begun
        if made is None:
            raise Wrong("no snapshot was made")
        snapshot, folded = [await asyncio.to_thread(_in_a_process, settings, from_it) for from_it in (True, False)]
        for one in (snapshot, folded):
            if (one.accounts, one.sequence) != (made.accounts, events):
                raise Wrong(f"{made.accounts} accounts at {events} came back as {one}")
    return {
        "seconds": round(snapshot.seconds, 2),
        "without_snapshot_s": round(folded.seconds, 2),
        "snapshot_made_s": round(made_s, 2),
        "snapshot_bytes": made.bytes,
        "bytes_an_account": round(snapshot.bytes / made.accounts),
        "transfers": options.transfers,
        "accounts": options.accounts,
        "events": events,
    }


async def _measured(name: str, options: Options, servers: Settings, homes: list[Home], work: Any) -> Result:
    async with fresh(servers, len(homes)) as settings:
        events = sum([await happened(settings, options, home) for home in homes])
        with connected(settings) as connection:
            connection.execute("analyze")
            await begin_alike(settings)
            meter = await asyncio.to_thread(Meter, settings, connection, {name: os.getpid()})
            before, begun = await asyncio.to_thread(meter.look), time.perf_counter()
            await asyncio.to_thread(work, settings, events)
            seconds = time.perf_counter() - begun
            costs = between(before, await asyncio.to_thread(meter.look), events, seconds)
    return {
        "per_s": round(events / seconds),
        "of": "events",
        "transfers": options.transfers,
        "accounts": options.accounts,
        "seconds": round(seconds, 2),
        "cpu_us": {part: costs.cpu_us[part] for part in costs.cpu_us if part != "kafka"},
    }


def _in_a_process(settings: Settings, from_snapshot: bool) -> Started:  # noqa: FBT001 - it is handed to a process
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_start, settings.database(0), from_snapshot).result()


def _start(dsn: str, from_snapshot: bool) -> Started:  # noqa: FBT001 - as above
    """Do what a writer does before it takes its first command."""
    process = psutil.Process()
    before, begun = process.memory_info().rss, time.perf_counter()
    shard = asyncio.run(_taken_up(dsn, from_snapshot=from_snapshot))
    seconds = time.perf_counter() - begun
    ledger = shard.ledgers[LEDGER]
    return Started(seconds, process.memory_info().rss - before, len(ledger.accounts), ledger.sequence)


async def _taken_up(dsn: str, *, from_snapshot: bool) -> Shard:
    shard, journal, position = Shard(0, 1), PostgresJournal(dsn, 0), 0
    if from_snapshot:
        position, ledgers = await asyncio.to_thread(latest, dsn, 0, RULES)
        shard.ledgers.update(ledgers)
    async for rows in journal.load(position):
        shard.restore(rows)
    await journal.close()
    return shard
