"""Runs one long-lived process: signals, health, a log, and an end within bounded time.

Law: SIGTERM, SIGINT or, under a supervisor, its end stop the process; it exits 0 within 5 s, come what may. What is
wrong ends it with exit 3; a bug ends it with its traceback, because a restart is safe.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Final

import structlog

from services import log, metrics
from services.cli.place import here
from services.errors import Away, Unexpected, WrongSetting
from services.health import Health, Page, serving
from services.interpreter import collect_seldom, tune
from services.settings import Settings
from services.supervisor import SUPERVISED
from services.tallies import Tallies

Work = Callable[[Settings, Health, asyncio.Event], Awaitable[None]]

LAST_RESORT_S: Final = 4.5

_log: Final = structlog.get_logger()


def serve(
    name: str,
    work: Work,
    pages: dict[str, Page] | None = None,
    settings: Settings | None = None,
    tallies: Tallies | None = None,
) -> None:
    """Run `work` until it is told to stop.

    Args:
        name: of the process.
        work: runs until its event is set.
        pages: what else is told over HTTP.
        settings: where, if that was found out already.
        tallies: what `work` counts, told at `/metrics`.

    Raises:
        Unexpected: a dependency is not the one expected.
    """
    import uvloop

    collect_seldom()
    tune()
    settings = settings or here()
    log.configure(settings.log, name)
    uvloop.run(_served(name, work, settings, pages or {}, tallies or Tallies()))


async def _served(name: str, work: Work, settings: Settings, pages: dict[str, Page], tallies: Tallies) -> None:
    stop = asyncio.Event()
    stop_at_signals(stop)
    health = Health(name)
    pages = {"/metrics": metrics.page(name, settings, health, tallies)} | pages
    async with serving(health, settings.port, pages) if settings.port else nullcontext() as port:
        _log.info("begins", port=port, instance=settings.instance, prefix=settings.prefix)
        try:
            await work(settings, health, stop)
        except BaseExceptionGroup as group:
            raise _of_ours(group) from None
        _log.info("ends")


def stop_at_signals(stop: asyncio.Event) -> None:
    """Set `stop` at SIGTERM, SIGINT and the end of a supervisor; some seconds later the process ends by itself."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        last_resort = threading.Timer(LAST_RESORT_S, os._exit, (0,))
        last_resort.daemon = True
        last_resort.start()

    def wait_for_supervisor() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        loop.call_soon_threadsafe(end)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    if os.environ.get(SUPERVISED) == "1":
        threading.Thread(target=wait_for_supervisor, daemon=True).start()


def _of_ours(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group that a person can do something about, else the group."""
    for kind in (Unexpected, WrongSetting, Away):
        found: BaseException | None = group.subgroup(kind)
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        if found is not None:
            return found
    return group
