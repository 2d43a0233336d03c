"""Brings one generation of read models forward, to exactly where it is wanted, no faster than is allowed.

Law: it is the projector that does this (`services.projector`), with a journal that ends earlier. So what is built is
what live projection would have made, and being killed at any moment is as harmless.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from services.journal.ports import Row
from services.journal.postgres import PostgresJournal
from services.migrations import PROJECTOR
from services.patience import Unheard
from services.points import Point, no_point
from services.projector import Projector
from services.settings import Settings

Positions = dict[int, int]
"""How far shards have come in their journals, by number."""

PAGE: Final = 100_000
"""So many events a page, if there are as many. Nobody waits for them, and large pages are cheaper."""

_LOOK_EVERY_S: Final = 0.01
_TELL_EVERY_S: Final = 0.2
_NEVER_BELOW: Final = 100


class Pace:
    """So many events a second, on average over the last second; None for as many as there can be."""

    def __init__(self, rate: int | None) -> None:
        self.rate = rate
        self._due = 0.0

    async def take(self, events: int) -> None:
        """Wait until so many events may be taken in."""
        if self.rate:
            now = time.monotonic()
            self._due = max(self._due, now - 1) + events / self.rate
            await asyncio.sleep(self._due - now)


class Building:
    """One generation that is brought forward.

    Args:
        settings: where everything is.
        dsn: the database of the read models.
        number: of the generation.
        rate: how many events a second, at most; None for as many as there can be.
        point: see `Projector`.

    `positions` tells how far it has come; `told` is told so now and then, in all, and how far it is to come.
    """

    def __init__(
        self, settings: Settings, dsn: str, number: int, *, rate: int | None = None, point: Point = no_point
    ) -> None:
        self.number = number
        self.positions: Positions = {}
        self.told: Callable[[int, int], None] = lambda *_: None
        self._settings = settings
        self._dsn = dsn
        self._pace = Pace(rate)
        self.point = point

    async def to(self, targets: Mapping[int, int], *, exactly: bool = True, hurry: bool = False) -> None:
        """Bring every shard to this position, those of an event each.

        Args:
            targets: by shard; one that has come so far already is left alone.
            exactly: not one event further. Only where nobody else projects this generation.
            hurry: as fast as can be, for somebody waits.

        Raises:
            Unexpected: an event is missing, or journal or read models are not what they were.
        """
        behind = {shard: target for shard, target in targets.items() if self.positions.get(shard, 0) < target}
        pace = Pace(None) if hurry else self._pace
        tasks = [
            asyncio.create_task(self._bring(shard, target, pace, exactly=exactly)) for shard, target in behind.items()
        ]
        tasks.append(asyncio.create_task(self._tell(sum(targets.values()))))
        try:
            await asyncio.gather(*tasks[:-1])
        finally:
            for task in tasks:
                task.cancel()

    async def _tell(self, of: int) -> None:
        while True:
            self.told(sum(self.positions.values()), of)
            await asyncio.sleep(_TELL_EVERY_S)

    async def _bring(self, shard: int, target: int, pace: Pace, *, exactly: bool) -> None:
        journal = _Ending(self._settings.database(shard), shard, pace, target if exactly else None)
        page = PAGE if pace.rate is None else max(min(pace.rate, PAGE), _NEVER_BELOW)
        projector = Projector(
            journal, self._dsn, Unheard(), generation=self.number, page=page, pause=_no_pause, point=self.point
        )
        stop = asyncio.Event()
        running = asyncio.create_task(projector.run(stop))
        try:
            while projector.position < target and not running.done():
                await asyncio.wait({running}, timeout=_LOOK_EVERY_S)
                self.positions[shard] = max(projector.position, self.positions.get(shard, 0))
            stop.set()
            await running
        finally:
            running.cancel()
            await journal.close()
        self.positions[shard] = projector.position


class _Ending(PostgresJournal):
    """A journal that ends with one of its events, and gives no more than the pace allows."""

    def __init__(self, dsn: str, shard: int, pace: Pace, end: int | None) -> None:
        super().__init__(dsn, shard, PROJECTOR)
        self._pace = pace
        self._end = end

    async def read(self, after: int, most: int) -> list[Row]:
        """Read events up to the end. See `Journal.read`."""
        rows = await super().read(after, most)
        if self._end is not None and rows and rows[-1].position > self._end:
            rows = [row for row in rows if row.position <= self._end]
        await self._pace.take(len(rows))
        return rows

    async def changed(self, wait_s: float) -> None:
        """Return at once: whoever builds stops when it is there."""
        await asyncio.sleep(min(wait_s, _LOOK_EVERY_S))


def _no_pause(_: float) -> float:
    return 0.0
