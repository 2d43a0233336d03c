"""Wakes whoever follows a shard when something is committed: one NOTIFY a commit, however many come at once.

Waking is a kindness, not a promise: a NOTIFY may be lost with its connection, and comes for commits that hold nothing
of interest. So whoever is woken looks, and looks every now and then unasked.
"""

import asyncio
import contextlib
from typing import Any, Final

import psycopg

from services.journal.connection import parameters

_PAUSE_S: Final = 0.5


class Waking:
    """Listens for the commits of one shard, on a connection of its own."""

    def __init__(self, dsn: str, shard: int, name: str) -> None:
        self._parameters = parameters(dsn, name)
        self._statement = f"listen shard_{shard}_events".encode()
        self._listening: asyncio.Task[psycopg.AsyncConnection[Any]] | None = None
        self._looked = False

    async def wait(self, wait_s: float) -> None:
        """Return after a commit that was not waited for yet, or after `wait_s`. Without PostgreSQL only time passes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wait(min(wait_s, _PAUSE_S))

    async def close(self) -> None:
        """Let go of the connection. Never raises."""
        listening, self._listening, self._looked = self._listening, None, False
        if listening is not None:
            listening.cancel()
            with contextlib.suppress(psycopg.Error, OSError, asyncio.CancelledError):
                await (await listening).close()

    async def _wait(self, pause_s: float) -> None:
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        try:
            connection = await asyncio.shield(self._listening)
            if self._looked:
                async for _ in connection.notifies(stop_after=1):
                    pass
            self._looked = True  # what was committed before it listened must be looked for: reason enough to wake
        except psycopg.Error:
            await self.close()
            await asyncio.sleep(pause_s)

    async def _listen(self) -> psycopg.AsyncConnection[Any]:
        """Connect, however long that takes: whoever waits meanwhile waits no longer than it wants to."""
        connection = await psycopg.AsyncConnection.connect(**self._parameters, autocommit=True)
        try:
            await connection.execute(self._statement)
        except BaseException:
            await connection.close()
            raise
        return connection
