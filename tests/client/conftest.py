"""An installation whose writer and publisher are tasks of the test, so that they can be stopped and started again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services import processes
from services.kafka.topics import Topics, delete
from services.settings import Kafka, Secret, Settings
from services.setup import setup
from tests.services.stage import Calm

PARTITIONS = 2


class Defter:
    """An installation. It decides nothing before `start`."""

    def __init__(self, database: str, servers: str, prefix: str) -> None:
        """Know where it is."""
        self.servers = servers
        self.prefix = prefix
        self.settings = Settings(instance="test", dsn=Secret(database), kafka=Kafka(servers=servers), prefix=prefix)
        self._stop = asyncio.Event()
        self._working: list[asyncio.Future[None]] = []

    def start(self) -> None:
        """Decide and publish."""
        self._stop.clear()
        works = (processes.writer, processes.publisher)
        self._working = [asyncio.ensure_future(work(self.settings, Calm(), self._stop)) for work in works]

    async def stop(self) -> None:
        """Decide and publish no more."""
        self._stop.set()
        await asyncio.gather(*self._working)
        self._working = []


@pytest.fixture
async def defter(database: str, kafka: str, prefix: str) -> AsyncIterator[Defter]:
    """An installation that is set up, and not started."""
    defter = Defter(database, kafka, prefix)
    await setup(defter.settings, PARTITIONS)
    yield defter
    await defter.stop()
    names = [f"{prefix}replies.{name}" for name in ("test", "other", "o_ther", "shop", "producer")]
    await delete(defter.settings.brokers(), [*Topics(prefix).all(), *names])
