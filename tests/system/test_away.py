"""A server that is away, or a disk that is full, is waited for. Who waits says so, and goes on by itself."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.dev import Installation, ports
from tests.system.checks import check
from tests.system.conftest import MakeHouse
from tests.system.house import House
from tests.system.load import Load
from tests.system.processes import PATIENTLY_S, Process
from tests.system.small_disk import OnASmallDisk, in_a_namespace

NAMES = ("writer", "publisher", "projector")
NO_SPACE = "No space left on device"


async def test_servers_that_are_away_at_the_start_are_waited_for(
    make_own_house: MakeHouse, servers: Installation
) -> None:
    house = await make_own_house()
    await house.send(0, Load(41, 0, 1).messages(300))
    await asyncio.to_thread(servers.postgres.stop)
    await asyncio.to_thread(servers.kafka.stop)

    for name in NAMES:
        house.start(name)
    for process in house.processes:
        await waits_for(process, "PostgreSQL")
    await asyncio.to_thread(servers.postgres.run)
    writer, publisher, _ = house.processes
    for process in (writer, publisher):
        await waits_for(process, "Kafka")
    await asyncio.to_thread(servers.kafka.run)

    await all_go_on(house)
    await check(house)


async def test_servers_that_go_away_are_waited_for(make_own_house: MakeHouse, servers: Installation) -> None:
    house = await make_own_house()
    for name in NAMES:
        house.start(name)
    load = Load(42, 0, 1)
    writer, publisher, projector = house.processes

    for server, waiting in ((servers.postgres, [writer, publisher, projector]), (servers.kafka, [writer, publisher])):
        await house.send(0, load.messages(800))
        await asyncio.to_thread(server.stop)
        for process in waiting:
            await waits_for(process, server.plan.name)
        await asyncio.to_thread(server.run)
        await house.send(0, load.messages(300))
        await all_go_on(house)

    await check(house)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[OnASmallDisk]:
    """A PostgreSQL with a disk that can be filled up."""
    if not in_a_namespace():
        pytest.skip("this system lets nobody mount a disk of his own")
    server = OnASmallDisk(tmp_path / "postgres", ports.pick())
    server.run()
    yield server
    server.stop_at_once()


@pytest.fixture
def database(small_disk: OnASmallDisk) -> str:
    """A database on that disk."""
    return small_disk.database("ledger")


async def test_a_disk_that_is_full_is_waited_for(make_house: MakeHouse, small_disk: OnASmallDisk) -> None:
    house = await make_house()
    writer, publisher = house.start("writer"), house.start("publisher")
    for process in (writer, publisher):
        await process.ready()

    with small_disk.full():
        await house.send(0, Load(43, 0, 1).messages(3000))
        await waits_for(writer, NO_SPACE)
    await house.decided()
    with small_disk.full():
        await waits_for(house.start("projector"), NO_SPACE)

    await all_go_on(house)
    await check(house)


async def waits_for(process: Process, what: str) -> None:
    """Wait until a process says, to whoever asks, that it waits for this."""
    async with asyncio.timeout(PATIENTLY_S):
        while what not in str(await process.waits_for()):
            process.must_run()
            await asyncio.sleep(0.05)


async def all_go_on(house: House) -> None:
    """Wait until everything is done and everyone ready, none having been started anew."""
    await house.settled()
    for process in house.processes:
        await process.ready()
