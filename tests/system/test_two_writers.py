"""Two writers on one partition: one of them steps back, nothing is done twice, nothing is lost."""

import asyncio
import random
import signal

from tests.services.journal.wire import ASKED, STORED, Cut, Wire, never
from tests.system.checks import check
from tests.system.conftest import MakeHouse
from tests.system.house import House
from tests.system.load import Load
from tests.system.processes import PATIENTLY_S

CUTS, SOME, TAKEN = 20, 0.2, 8


async def test_a_writer_that_froze_before_its_commit_and_wakes_after_another_took_over_steps_back(
    make_house: MakeHouse,
) -> None:
    house = await make_house()
    frozen = house.start("writer", "--stop-at", "committing:4", instance="frozen")
    await frozen.ready()
    other = house.start("writer", instance="other")
    load = Load(11, 0, 1)
    async with asyncio.timeout(PATIENTLY_S):
        while not frozen.is_frozen:
            await house.send(0, load.messages(40))
            await asyncio.sleep(0.05)

    await house.decided()
    frozen.signal(signal.SIGCONT)
    await house.send(0, load.messages(500))
    await house.decided()

    async with asyncio.timeout(PATIENTLY_S):
        while "another writer was here" not in frozen.said():
            await asyncio.sleep(0.05)
    assert frozen.runs
    assert other.runs
    await _publish_all(house)
    await check(house)


async def test_two_writers_that_take_a_partition_from_each_other_again_and_again(make_house: MakeHouse) -> None:
    house = await make_house()
    writers = [house.start("usurper", instance=name) for name in ("one", "another")]
    load = Load(12, 0, 1)

    async with asyncio.timeout(PATIENTLY_S):
        while any(writer.said().count("usurped") < TAKEN for writer in writers):
            for writer in writers:
                writer.must_run()
            await house.send(0, load.messages(30))
            await asyncio.sleep(0.02)
    for writer in writers:
        assert await writer.stop() == 0
    house.start("writer")

    await _publish_all(house)
    await check(house)


async def test_a_writer_whose_connection_is_cut_around_its_commits(make_house: MakeHouse) -> None:
    house = await make_house()
    load = Load(13, 0, 1)

    async with Wire(house.dsn).open() as wire:
        writer = house.start("writer", dsn=wire.dsn)
        await writer.ready()
        wire.cut = now_and_then(random.Random(13))
        async with asyncio.timeout(PATIENTLY_S):
            while wire.cuts < CUTS:
                await house.send(0, load.messages(30))
                await asyncio.sleep(0.02)
        wire.cut = never

        await _publish_all(house)
    await check(house)


def now_and_then(chance: random.Random) -> Cut:
    """Cut around some commits: before the server hears of it, or before the client hears the answer."""

    def cut(data: bytes, from_client: bool) -> bytes | None:
        told = ASKED if from_client else STORED
        return None if told.search(data) and chance.random() < SOME else data

    return cut


async def _publish_all(house: House) -> None:
    house.start("publisher")
    house.start("projector")
    await house.settled()
