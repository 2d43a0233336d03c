"""Which installation a command is about, and how long it waits for it.

Without `DEFTER_DATABASE` and `DEFTER_KAFKA` it is the local one that `defter dev` keeps, if it runs; that is said.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

from services.errors import Away, WrongSetting

if TYPE_CHECKING:
    from services.settings import Settings

_Answer = TypeVar("_Answer")


def here() -> "Settings":
    """Return the settings, those of the local installation where nothing is set.

    Raises:
        WrongSetting: one is wrong, or nothing is set and no local installation runs.
    """
    from services.settings import Settings

    settings = Settings.read()
    if not settings.local:
        return settings
    from services.dev import default_directory, find

    addresses = find(default_directory())
    if addresses is None:
        raise WrongSetting(
            "DEFTER_DATABASE and DEFTER_KAFKA are not set, and no local installation runs\n"
            "  remedy: start one with `defter dev`, in another terminal, or set both"
        )
    click.echo(f"(the local installation of `defter dev`: {addresses.database}, Kafka {addresses.kafka})", err=True)
    return settings.at(*addresses)


def wait_for(answer: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Run what a command does from beginning to end."""
    return asyncio.run(answer)


async def within(timeout_s: float, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Return what `call` gives; while it raises `Away`, ask again, until the time is over.

    Raises:
        Away: as the last call did.
    """
    from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

    attempts = AsyncRetrying(
        retry=retry_if_exception_type(Away),
        stop=stop_after_delay(timeout_s),
        wait=wait_random_exponential(multiplier=0.05, max=1),
        reraise=True,
    )
    async for attempt in attempts:
        with attempt:
            answer = await call()
    return answer
