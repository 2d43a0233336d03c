"""How soon commands are decided again after `kill -9`. The figures are told; none is a limit."""

import asyncio
import time
from collections.abc import Callable

from tests.system.conftest import MakeHouse
from tests.system.house import House
from tests.system.load import Load

TIMES = 3


async def test_a_restarted_writer_decides_again(make_house: MakeHouse, tell: Callable[[str], None]) -> None:
    house = await make_house()
    writer = house.start("writer")
    await writer.ready()
    took = []

    async with asyncio.TaskGroup() as tasks:
        feeding = tasks.create_task(feed(house))
        for _ in range(TIMES):
            await asyncio.sleep(0.5)
            writer.kill()
            decided = await house.next()
            writer.start()
            took.append(await decides_again(house, decided))
        feeding.cancel()

    tell("a restarted writer decides again after " + ", ".join(f"{seconds:.2f}" for seconds in took) + " s")


async def test_a_standby_decides_in_the_place_of_a_writer_that_was_killed(
    make_house: MakeHouse, tell: Callable[[str], None]
) -> None:
    house = await make_house()
    writer = house.start("writer")
    await writer.ready()
    standby = house.start("writer")
    await standby.ready()
    await asyncio.sleep(1)

    async with asyncio.TaskGroup() as tasks:
        feeding = tasks.create_task(feed(house))
        await asyncio.sleep(0.5)
        writer.kill()
        took = await decides_again(house, await house.next())
        feeding.cancel()

    tell(f"a standby decides again after {took:.2f} s")


async def feed(house: House) -> None:
    """Send commands without end."""
    load = Load(21, 0, 1)
    while True:
        await house.send(0, load.messages(20))
        await asyncio.sleep(0.02)


async def decides_again(house: House, decided: int) -> float:
    """Return how long it takes until more is decided, in seconds."""
    began = time.monotonic()
    async with asyncio.timeout(60):
        while await house.next() == decided:
            await asyncio.sleep(0.005)
    return time.monotonic() - began
