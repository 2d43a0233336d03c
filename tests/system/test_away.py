"""A server that is away, or a disk that is full, is waited for. Who waits says so, and goes on by itself."""

import asyncio

import psycopg

from services.dev import Installation
from tests.system.checks import check
from tests.system.conftest import MakeHouse
from tests.system.house import House
from tests.system.load import Load
from tests.system.processes import PATIENTLY_S, Process

NAMES = ("writer", "publisher", "projector")


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


async def test_a_disk_that_is_full_is_waited_for(make_house: MakeHouse) -> None:
    house = await make_house()
    for name in NAMES:
        house.start(name)
    for process in house.processes:
        await process.ready()
    with psycopg.connect(house.dsn, autocommit=True) as owner:
        for table in ("journal.shard_0_events", "read_1.outcome_runs"):
            owner.execute(FULL.replace("{table}", table).encode())
        await house.send(0, Load(43, 0, 1).messages(300))
        await waits_for(house.processes[0], "no space left")

        owner.execute("drop trigger full_disk on journal.shard_0_events")
        await house.decided()
        owner.execute("drop trigger full_disk on read_1.outcome_runs")

    await all_go_on(house)
    await check(house)


FULL = """
create or replace function full_disk() returns trigger language plpgsql as
$$ begin raise exception 'could not extend file: no space left on device' using errcode = '53100'; end $$;
create trigger full_disk before insert on {table} for each statement execute function full_disk()"""
"""What PostgreSQL answers when its disk is full."""


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
