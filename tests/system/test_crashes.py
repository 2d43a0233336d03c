"""Everyone is killed again and again while it lags and commands go on arriving. Nothing is done twice, nothing lost.

Nearly every command asks for a reply, and has it in the end.

`DEFTER_CRASH_SEEDS=1,2,3` plays other loads, `DEFTER_CRASH_KILLS=20` kills more often.
"""

import asyncio
import os
import random
import time
from collections.abc import Callable

import pytest

from services.dev import Installation
from services.kafka.ports import Message
from tests.system.checks import check
from tests.system.conftest import MakeHouse
from tests.system.house import House
from tests.system.load import Load
from tests.system.replies import Asking
from tests.system.victims import everyone

SEEDS = [int(seed) for seed in os.environ.get("DEFTER_CRASH_SEEDS", "20261121").split(",")]
KILLS = int(os.environ.get("DEFTER_CRASH_KILLS", "5"))
PARTITIONS = 2
BURST = 500


@pytest.mark.parametrize("seed", SEEDS)
async def test_whoever_is_killed_and_whenever_every_command_has_the_one_outcome_that_it_should(
    make_own_house: MakeHouse, servers: Installation, seed: int, tell: Callable[[str], None]
) -> None:
    tell(f"seed {seed}")
    began = time.monotonic()
    house = await make_own_house(PARTITIONS)
    victims = everyone(house, servers)
    asking = Asking(house, seed)
    await asking.begin()
    feeders = [Feeder(house, seed, partition, asking) for partition in range(PARTITIONS)]
    feeding = [asyncio.create_task(feeder.feed()) for feeder in feeders]

    try:
        async with asyncio.TaskGroup() as suffering:
            for victim in victims:
                chance = random.Random(f"{seed} {victim.name}")
                suffering.create_task(victim.suffer(KILLS, chance, chance.choice(feeders).burst))
    finally:
        for task in feeding:
            task.cancel()
        await asyncio.wait(feeding)
    for feeder in feeders:
        await feeder.finish()
    await house.settled()

    found = await check(house)
    for victim in victims:
        tell(f"{victim.name} was killed {len(victim.lags)} times, behind by {victim.lags}")
    tell(f"{await asking.see_that_all_are_told()} asked for a reply and were told")
    tell(f"{found}; {time.monotonic() - began:.0f} s")


class Feeder:
    """A producer that goes on whatever happens.

    Args:
        house: where it sends to.
        seed: of its load.
        partition: which one.
        asking: lets commands ask for a reply.
    """

    def __init__(self, house: House, seed: int, partition: int, asking: Asking) -> None:
        self._house = house
        self._asking = asking
        self._partition = partition
        self._load = Load(seed, partition, house.partitions)
        self._chance = random.Random(f"{seed} feeder {partition}")
        self._wanted = asyncio.Event()
        self._sending: list[Message] = []

    def burst(self) -> None:
        """Ask for many commands at once."""
        self._wanted.set()

    async def feed(self) -> None:
        """Send some commands, and some more, and many when asked."""
        while True:
            count = BURST if self._wanted.is_set() else self._chance.randint(1, 20)
            self._wanted.clear()
            self._sending = self._asking.asking(self._load.messages(count))
            await self._house.send(self._partition, self._sending)
            self._sending = []
            await asyncio.sleep(self._chance.uniform(0, 0.1))

    async def finish(self) -> None:
        """Send what was on its way: a producer that wants an outcome asks until it has one."""
        await self._house.send(self._partition, self._sending)
