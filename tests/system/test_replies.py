"""The writer is killed again and again. Every command that asked has its reply, at least once, and none a wrong one."""

import asyncio
import random

from tests.system.conftest import MakeHouse
from tests.system.load import Load
from tests.system.replies import Asking

KILLS, SOME = 2, 80


async def test_whenever_the_writer_is_killed_whoever_asked_is_told_what_the_journal_holds(
    make_house: MakeHouse,
) -> None:
    house = await make_house()
    asking = Asking(house, 13)
    await asking.begin()
    load, chance = Load(13, 0, 1), random.Random(13)

    async def send() -> None:
        await house.send(0, asking.asking(load.messages(SOME)))

    writer = house.start("writer", "--kill-at", "committed:3")
    while writer.runs:
        await send()
        await asyncio.sleep(0.05)
    writer.arguments = ()
    for _ in range(KILLS):
        await send()
        before = await house.next()
        writer.start()
        await house.until(lambda reach, before=before: reach.decided > before)  # type: ignore[misc]
        await send()
        await asyncio.sleep(chance.uniform(0, 0.1))
        writer.kill()
    await send()
    writer.start()
    await house.decided()

    assert await asking.see_that_all_are_told() > SOME
