"""`defter dev`: a whole local installation, kept in the user's data directory, running until Ctrl-C."""

import asyncio
import contextlib
from pathlib import Path

from services import log
from services.cli import screen
from services.cli.serving import stop_at_signals
from services.dev import Installation, default_directory
from services.settings import Settings
from services.setup import setup
from services.supervisor import Supervisor

_LOOK_EVERY_S = 0.1


def run() -> None:
    """Run it until it is told to stop.

    Raises:
        Unexpected: it runs already, or cannot be started.
    """
    set_here = Settings.read()
    directory = default_directory()
    installation = Installation(directory)
    screen.say(f"starting PostgreSQL and Kafka in {directory} …")
    installation.start(screen.say)
    try:
        settings = set_here.at(*installation.addresses)
        log.configure(settings.log, "dev")
        asyncio.run(_run(settings, directory))
    finally:
        screen.say("stopping …")
        installation.stop()


def delete() -> None:
    """Delete it.

    Raises:
        Unexpected: it runs.
    """
    directory = default_directory()
    Installation(directory).reset()
    screen.say(f"deleted: {directory}")
    screen.hint("defter dev")


async def _run(settings: Settings, directory: Path) -> None:
    stop = asyncio.Event()
    stop_at_signals(stop)
    await setup(settings)
    said = directory / "processes.log"
    supervisor = Supervisor(settings, log=said)
    running = asyncio.create_task(supervisor.run(stop))
    while not stop.is_set() and not running.done():
        if await supervisor.ready():
            _tell(settings, said)
            break
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_EVERY_S)
    await running


def _tell(settings: Settings, said: Path) -> None:
    screen.say(f"  PostgreSQL  {settings.database(0)}")
    screen.say(f"  Kafka       {settings.brokers().servers}, topics {settings.prefix}…")
    screen.say(f"  processes   writer, publisher, projector, ticker; what they say: {said}")
    screen.say("ready. Ctrl-C stops it; the data stays.")
    screen.say("Try, in another terminal: defter open-ledger main · defter open alice · defter status")
