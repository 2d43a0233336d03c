"""Which installation a command is about, and how long it waits for it.

Without `DEFTER_DATABASE` and `DEFTER_KAFKA` it is the local one that `defter dev` keeps, if it runs; that is said.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from services.errors import Away, WrongSetting

if TYPE_CHECKING:
    from services.settings import Settings

_Answer = TypeVar("_Answer")

_LAST_WORD_S: Final = 0.3
"""What gives up by itself when the time is over knows what it waited for: so long it may take to say so."""


def here(timeout_s: float | None = None) -> "Settings":
    """Return the settings, those of the local installation where nothing is set.

    Args:
        timeout_s: how long any connection to PostgreSQL may wait to be let in, or for a lock; else as long as it takes.

    Raises:
        WrongSetting: one is wrong, or nothing is set and no local installation runs.
    """
    from services.settings import Settings

    settings = Settings.read()
    if settings.local:
        settings = _local(settings)
    return settings if timeout_s is None else settings.hurried(timeout_s)


def _local(settings: "Settings") -> "Settings":
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

    async def answered() -> _Answer:
        asyncio.get_running_loop().set_default_executor(_LeftBehind())
        return await answer

    return asyncio.run(answered())


class _LeftBehind(ThreadPoolExecutor):
    """Threads for calls that block, of which none holds up the end: one inside libpq may wait for a lost host."""

    def submit(self, call: Callable[..., _Answer], /, *args: Any, **kwargs: Any) -> "Future[_Answer]":
        """Begin a call."""
        answer: Future[_Answer] = Future()
        answer.set_running_or_notify_cancel()

        def work() -> None:
            try:
                answer.set_result(call(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - whoever waits for the answer raises it
                answer.set_exception(error)

        Thread(target=work, daemon=True).start()
        return answer


async def within(timeout_s: float, call: Callable[[], Awaitable[_Answer]], who: str = "PostgreSQL") -> _Answer:
    """Return what `call` gives, if it does so in time; while it raises `Away`, ask again, until the time is over.

    Args:
        timeout_s: how long.
        call: asks for one thing that is there at once.
        who: is asked.

    Raises:
        Away: as the last call did, or because it did not end.
    """
    try:
        async with asyncio.timeout(timeout_s + _LAST_WORD_S):
            return await insisting(timeout_s, call)
    except TimeoutError:
        raise Away(f"{who} did not answer within {timeout_s:g} s") from None


async def kafka_within(timeout_s: float, settings: "Settings") -> None:
    """See that Kafka answers, before what takes long is begun. Raises `Away`."""
    from services.kafka.topics import Topics, describe

    await within(timeout_s, lambda: describe(settings.brokers(), Topics(settings.prefix).all()), "Kafka")


async def insisting(timeout_s: float, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Return what `call` gives, however long it takes; while it raises `Away`, ask again, until the time is over.

    It is for what has much to do. What it waits for meanwhile is bounded by the settings that `here` gives.

    Raises:
        Away: as the last call did.
    """
    from tenacity import AsyncRetrying, retry_if_exception_type, stop_before_delay, wait_random_exponential

    attempts = AsyncRetrying(
        retry=retry_if_exception_type(Away),
        stop=stop_before_delay(timeout_s),
        wait=wait_random_exponential(multiplier=0.05, max=1),
        reraise=True,
    )
    async for attempt in attempts:
        with attempt:
            answer = await call()
    return answer
