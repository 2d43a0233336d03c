"""Keeps every generation of read models of one shard: the live one, and those that were live and may be so again.

Law: what goes wrong with one that is not live is no trouble of the live one: it is told in the log, and no more. One
that is still being built is kept by who builds it (`services.rebuild`).

How one generation is kept: `services.projector`.
"""

import asyncio
from functools import partial
from typing import Final

import structlog

from projections import generations
from projections.generations import Known, NotPrepared
from services.errors import Unexpected
from services.health import STARTING
from services.journal import answers
from services.patience import Readiness, Unheard, patiently
from services.points import Point, no_point
from services.projector import connected, project
from services.settings import Settings
from services.tallies import Tallies

LOOK_EVERY_S: Final = 0.5

_log: Final = structlog.get_logger()


async def keep(
    settings: Settings, shard: int, readiness: Readiness, *, tallies: Tallies | None = None, point: Point = no_point
) -> None:
    """Keep all generations of one shard, each whenever nobody else does, for ever. They come, go and become live.

    Being stopped in the middle is harmless.

    Args:
        settings: where everything is.
        shard: whose journal.
        readiness: is told while something is waited for.
        tallies: count what is done for the live one.
        point: see `services.projector.Projector`.

    Raises:
        Unexpected: a dependency is not the one expected.
    """
    keeping = _Keeping(settings, shard, readiness, tallies or Tallies(), point)
    # Said before anything else: who works on several shards is not ready as soon as the first of them is kept.
    readiness.waits(f"projector {shard}", STARTING)
    try:
        while True:
            await keeping.look()
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        await keeping.end()


class _Keeping:
    """A task for each generation, as it was found. One that was swapped is taken up anew: its part is another."""

    def __init__(self, settings: Settings, shard: int, readiness: Readiness, tallies: Tallies, point: Point) -> None:
        self._settings = settings
        self._shard = shard
        self._readiness = readiness
        self._tallies = tallies
        self._point = point
        self._running: dict[Known, asyncio.Task[None]] = {}

    async def look(self) -> None:
        """See which generations there are now, and which of them go wrong.

        Raises:
            Unexpected: the live one goes wrong, or there is none.
        """
        dsn = self._settings.read_database(self._shard)
        found = await patiently(f"projector {self._shard}", partial(asyncio.to_thread, _to_keep, dsn), self._readiness)
        for known in self._running.keys() - found:
            await _cancelled(self._running.pop(known))
        for known in found - self._running.keys():
            self._running[known] = asyncio.create_task(self._keep(known))
        for known, task in self._running.items():
            if known.live and task.done():
                task.result()

    async def end(self) -> None:
        """Stop all."""
        for task in self._running.values():
            await _cancelled(task)

    async def _keep(self, known: Known) -> None:
        if known.live:
            await project(
                self._settings,
                self._shard,
                self._readiness,
                generation=known.number,
                tallies=self._tallies,
                point=self._point,
            )
            return
        try:
            await project(self._settings, self._shard, Unheard(), generation=known.number)
        except Unexpected as wrong:
            _log.warning("a generation that is not live is kept no more", generation=known.number, why=wrong.what)
        except Exception:  # noqa: BLE001 - the live one goes on, whatever it is
            _log.exception("a generation that is not live is kept no more", generation=known.number)


def _to_keep(dsn: str) -> set[Known]:
    """Give the live generation, and those others that are built and that this release can keep. Blocks."""
    try:
        with answers.understood(), connected(dsn, "defter-projector") as connection, connection.cursor() as cursor:
            found = generations.known(cursor)
    except NotPrepared as not_prepared:
        raise Unexpected(str(not_prepared), answers.SETUP) from None
    if not any(known.live for known in found):
        raise Unexpected("the database holds no generation that is live", answers.SETUP)
    return {known for known in found if known.live or (known.built and known.keepable)}


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
