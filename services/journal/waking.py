"""Wakes whoever follows a shard when something is committed: one NOTIFY a commit, however many come at once.

Waking is a kindness, not a promise: a NOTIFY may be lost with its connection, and comes for commits that hold nothing of interest. So whoever is woken
looks, and looks every now and then unasked.
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
        self._listen = f"listen shard_{shard}_events".encode()
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def wait(self, wait_s: float) -> None:
        """Return after a commit that was not waited for yet, or after `wait_s`. Never raises: without PostgreSQL only time passes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                try:
                    if self._connection is None:
                        await (
                            self._connect()
                        )  # whatever was committed before must be looked for, so this is reason enough to wake
                        return
                    async for _ in self._connection.notifies(stop_after=1):
                        pass
                except psycopg.Error:
                    await self.close()
                    await asyncio.sleep(wait_s)

    async def close(self) -> None:
        """Let go of the connection. Never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()

    async def _connect(self) -> None:
        connection = await psycopg.AsyncConnection.connect(**self._parameters, autocommit=True)
        try:
            await connection.execute(self._listen)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
