"""SIGTERM: each process finishes what it is at and exits 0, come what may, and what it left is whole."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable

import psutil
import pytest

from services.dev import Installation
from tests.system.checks import check
from tests.system.conftest import MakeHouse
from tests.system.house import House
from tests.system.load import Load

NAMES = ("writer", "publisher", "projector")


async def test_a_process_at_work_finishes_its_batch_and_exits_0(
    make_house: MakeHouse, tell: Callable[[str], None]
) -> None:
    house = await make_house()
    await started(house)
    load = Load(31, 0, 1)

    for _ in range(3):
        await house.send(0, load.messages(1500))
        await asyncio.sleep(0.1)
        tell("at work: " + await stopped(house))
        await started(house)
    await house.settled()

    await check(house)


@pytest.mark.parametrize(("server", "how"), [("PostgreSQL", "frozen"), ("Kafka", "frozen"), ("Kafka", "away")])
async def test_a_process_whose_server_does_not_answer_exits_0(
    make_own_house: MakeHouse, servers: Installation, server: str, how: str, tell: Callable[[str], None]
) -> None:
    house = await make_own_house()
    await started(house)
    load = Load(32, 0, 1)
    await house.send(0, load.messages(1500))

    async with unanswering(servers, server, how):
        await asyncio.sleep(0.5)
        tell(f"{server} {how}: " + await stopped(house))
    for process in house.processes:
        process.start()
    await house.send(0, load.messages(100))
    await house.settled()

    await check(house)


async def test_a_process_that_waits_since_it_began_exits_0(
    make_own_house: MakeHouse, servers: Installation, tell: Callable[[str], None]
) -> None:
    house = await make_own_house()

    async with unanswering(servers, "PostgreSQL", "away"):
        for name in NAMES:
            house.start(name)
        for process in house.processes:
            await process.answers()
        tell("PostgreSQL away from the beginning: " + await stopped(house))


async def started(house: House) -> None:
    """Start all three processes, or start them again, and wait until they are ready."""
    for process in house.processes or [house.process(name) for name in NAMES]:
        process.start()
    for process in house.processes:
        await process.ready()


async def stopped(house: House) -> str:
    """Tell every process to end, see that it exits 0, and say how long it took."""

    async def stop(number: int) -> str:
        process, began = house.processes[number], time.monotonic()
        assert await process.stop() == 0, process.said()[-2000:]
        return f"{process.name} {time.monotonic() - began:.1f} s"

    return ", ".join(await asyncio.gather(*map(stop, range(len(house.processes)))))


@contextlib.asynccontextmanager
async def unanswering(servers: Installation, name: str, how: str) -> AsyncIterator[None]:
    """Freeze a server, or take it away, inside the block."""
    server = servers.postgres if name == "PostgreSQL" else servers.kafka
    if how == "away":
        await asyncio.to_thread(server.stop)
        try:
            yield
        finally:
            await asyncio.to_thread(server.run)
        return
    assert server.pid
    parent = psutil.Process(server.pid)
    frozen = [parent, *parent.children(recursive=True)]
    for process in frozen:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in frozen:
            process.send_signal(signal.SIGCONT)
