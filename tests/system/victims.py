"""Who is killed: each of the three processes and both servers, while it lags, and is started again."""

import asyncio
import random
import signal
from collections.abc import Callable
from typing import NamedTuple

from services.dev import Installation
from services.dev.server import Server as DevServer
from services.errors import Away
from tests.system.house import LOOKS_EVERY_S, House, Reach
from tests.system.processes import PATIENTLY_S, Process

FAR = 200
"""So far behind is who is about to be killed."""

CATCHES_UP_S = 0.03
"""So long, at the most, it is let catch up before it is killed: the publisher has caught up soon after."""


class Work(NamedTuple):
    """What one does: so much there is to do, and so much is done, from the beginning."""

    there: Callable[[Reach], int]
    done: Callable[[Reach], int]


class Victim:
    """One that is killed again and again.

    Args:
        name: as it is told.
        house: where it works.
        work: what it is seen to do.
    """

    def __init__(self, name: str, house: House, work: Work) -> None:
        self.name = name
        self.lags: list[int] = []
        self._house = house
        self._work = work

    async def suffer(self, times: int, chance: random.Random, burst: Callable[[], None]) -> None:
        """Be killed so many times, each time at work and behind, then go on.

        Args:
            times: how often it is to be killed while it lags. Other times do not count.
            chance: decides when.
            burst: asks for many commands.
        """
        while len(self.lags) < times:
            await self._at_work()
            await asyncio.sleep(chance.uniform(0, 1))
            lag = await self._die(chance, burst)
            if lag > 0:
                self.lags.append(lag)

    async def _die(self, chance: random.Random, burst: Callable[[], None]) -> int:
        """Be killed and started again; return how far behind it was."""
        raise NotImplementedError

    async def _far_behind(self, burst: Callable[[], None]) -> list[Reach]:
        """Ask for many commands, and for more, until it is far behind: the fast do them before anyone has looked."""

        def far(reaches: list[Reach]) -> bool:
            behind = self._there(reaches) - self._done(reaches)
            if behind <= FAR:
                burst()
            return behind > FAR

        return await self._until(far)

    async def _at_work(self) -> None:
        """Wait until it is seen to do something."""
        before = self._done(await self._look())
        await self._until(lambda reaches: self._done(reaches) > before)

    def _done(self, reaches: list[Reach]) -> int:
        return sum(map(self._work.done, reaches))

    def _there(self, reaches: list[Reach]) -> int:
        return sum(map(self._work.there, reaches))

    async def _look(self) -> list[Reach]:
        """Look at every partition, as soon as both servers answer."""
        async with asyncio.timeout(PATIENTLY_S):
            while True:
                try:
                    return [await self._house.reach(number) for number in range(self._house.partitions)]
                except Away:
                    await asyncio.sleep(LOOKS_EVERY_S)

    async def _until(self, done: Callable[[list[Reach]], bool]) -> list[Reach]:
        async with asyncio.timeout(PATIENTLY_S):
            while not done(reaches := await self._look()):
                await asyncio.sleep(LOOKS_EVERY_S)
        return reaches


class VictimProcess(Victim):
    """A process, or one of several: it is held until it is far behind, let go, and killed while it catches up."""

    def __init__(self, house: House, processes: list[Process], work: Work) -> None:
        super().__init__(processes[0].name, house, work)
        self._processes = processes

    async def _die(self, chance: random.Random, burst: Callable[[], None]) -> int:
        process = chance.choice(self._processes)
        process.signal(signal.SIGSTOP)
        reaches = await self._far_behind(burst)
        process.signal(signal.SIGCONT)
        await asyncio.sleep(chance.uniform(0, CATCHES_UP_S))
        process.kill()
        lag = self._there(reaches) - self._done(await self._look())
        await asyncio.sleep(chance.uniform(0, 0.5))
        process.start()
        return lag


class VictimServer(Victim):
    """A server. While it is away nobody can tell how far the others are, so what was seen last must do."""

    def __init__(
        self, house: House, server: DevServer, kill: Callable[[], None], start: Callable[[], None], work: Work
    ) -> None:
        super().__init__(server.plan.name, house, work)
        self._kill = kill
        self._start = start

    async def _die(self, chance: random.Random, burst: Callable[[], None]) -> int:
        reaches = await self._far_behind(burst)
        await asyncio.to_thread(self._kill)
        await asyncio.sleep(chance.uniform(0, 0.5))
        await asyncio.to_thread(self._start)
        return self._there(reaches) - self._done(reaches)


DECIDES = Work(lambda reach: reach.sent, lambda reach: reach.decided)
PUBLISHES = Work(lambda reach: reach.stored, lambda reach: reach.published)
PROJECTS = Work(lambda reach: reach.stored, lambda reach: reach.projected)
DECIDES_AND_PUBLISHES = Work(lambda reach: reach.sent + reach.stored, lambda reach: reach.decided + reach.published)


def everyone(house: House, servers: Installation) -> list[Victim]:
    """Start two writers, a publisher and a projector, and make victims of them and of both servers."""
    names = (["writer"] * 2, ["publisher"], ["projector"])
    writers, publishers, projectors = ([house.start(name) for name in same] for same in names)
    postgres, kafka = servers.postgres, servers.kafka
    return [
        VictimProcess(house, writers, DECIDES),
        VictimProcess(house, publishers, PUBLISHES),
        VictimProcess(house, projectors, PROJECTS),
        VictimServer(house, postgres, postgres.stop_at_once, postgres.run, DECIDES),
        VictimServer(house, kafka, kafka.kill, kafka.run, DECIDES_AND_PUBLISHES),
    ]
