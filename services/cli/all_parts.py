"""`defter run`: all processes of an installation, kept running until it is told to stop."""

import asyncio

from services.cli.place import here
from services.cli.serving import serve
from services.health import Health
from services.patience import patiently
from services.settings import Settings
from services.setup import check_installation
from services.supervisor import Supervisor


def run_all() -> None:
    """Run all processes. What is wrong from the beginning is said once, here, and ends it."""
    settings = here()
    supervisor = Supervisor(settings)

    async def work(settings: Settings, health: Health, stop: asyncio.Event) -> None:
        checking = asyncio.create_task(patiently("run", lambda: check_installation(settings), health))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({checking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if checking.done():
            checking.result()
            await supervisor.run(stop)

    serve("run", work, {"/readyz": supervisor.readiness, "/metrics": supervisor.metrics}, settings)
