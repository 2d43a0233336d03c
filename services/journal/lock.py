"""Who is the one live publisher, projector or ticker: whoever holds an advisory lock of PostgreSQL. The others wait.

The lock belongs to a connection and is free when that ends: at once when the process dies, within 10 s when its host is
lost. So whoever holds it must stop acting as the live one as soon as the connection is gone, and is told so by then.
"""

import asyncio
import contextlib
import time
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import psycopg
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, retry_never, wait_random_exponential

from services.errors import Away
from services.journal import answers
from services.journal.connection import hang_up, parameters
from services.patience import asked_again

_ASK_EVERY_S: Final = 0.25
_LOOK_EVERY_S: Final = 1.0
_LOOK_TIMEOUT_S: Final = 5.0  # and so before the server, which waits 9 s, gives the lock to another
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 1.0

_log: Final = structlog.get_logger()


class Taken(RuntimeError):
    """Somebody else holds the lock."""


class Held:
    """The lock, for as long as its connection lasts."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        """Set when the lock may be another's already: stop acting as the live one."""

    @contextlib.asynccontextmanager
    async def needed(self) -> AsyncIterator[None]:
        """Cut short what is done inside, with `Away`, when the lock may be another's already."""

        async def cut_short() -> None:
            await self.lost.wait()
            limit.reschedule(asyncio.get_running_loop().time())

        try:
            async with asyncio.timeout(None) as limit:
                watching = asyncio.create_task(cut_short())
                try:
                    yield
                finally:
                    watching.cancel()
        except TimeoutError:
            if not limit.expired():
                raise
            raise Away("PostgreSQL: the connection with the lock is lost, and another may have it by now") from None


@contextlib.asynccontextmanager
async def only_one(
    dsn: str, what: str, number: int, waits: Callable[[str], None] = lambda _: None, *, within_s: float | None = None
) -> AsyncIterator[Held]:
    """Wait until this is the only live `what` of a number in a database, and be it inside the block.

    Waits for a database that does not answer, too, unless in a hurry. It asks again and again rather than wait inside
    PostgreSQL, where a long wait would keep VACUUM from cleaning up.

    Args:
        dsn: the database.
        what: such as `publisher`.
        number: that of the shard, or of whatever there is one `what` for.
        waits: is told when the database does not answer, and when it does again and the lock is what is waited for.
        within_s: how long to wait for another to leave, in a hurry; else for ever.

    Raises:
        Away: in a hurry only, the database does not answer.
        Taken: in a hurry only, another is the live one.
        Unexpected: the login is not the one expected.
    """
    connection = await _locked(dsn, what, number, waits, within_s)
    held = Held()
    watching = asyncio.create_task(_watch(connection, held))
    try:
        yield held
    finally:
        watching.cancel()
        held.lost.set()
        with contextlib.suppress(psycopg.Error, OSError, asyncio.CancelledError):
            await watching
        with contextlib.suppress(psycopg.Error, OSError):
            await connection.close()


async def _locked(
    dsn: str, what: str, number: int, waits: Callable[[str], None], within_s: float | None
) -> psycopg.AsyncConnection[Any]:
    """Return a connection that holds the lock, however long that takes if nobody is in a hurry."""
    part = what.partition(" ")[0]
    away = False

    def say_once(state: RetryCallState) -> None:
        nonlocal away
        away = True
        why = str(state.outcome.exception()) if state.outcome else ""
        waits(why)
        asked_again[f"{part} {number}"] += 1
        if state.attempt_number == 1:
            _log.warning("waiting for PostgreSQL", what=what, number=number, why=why)

    def connected() -> None:
        if away:
            waits(f"another {part} is the live one")

    waiting = AsyncRetrying(
        retry=retry_if_exception_type(Away) if within_s is None else retry_never,
        wait=wait_random_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S),
        before_sleep=say_once,
        reraise=True,
    )
    arguments = parameters(dsn, f"defter-{what}-{number}-lock")
    kind = zlib.crc32(f"defter {what}".encode()) - (1 << 31)
    async for attempt in waiting:
        with attempt:
            connection = await _locked_once(arguments, kind, number, connected, within_s)
    if waiting.statistics["attempt_number"] > 1:
        _log.info("PostgreSQL is back", what=what, number=number)
    return connection


async def _locked_once(
    arguments: dict[str, Any], kind: int, number: int, connected: Callable[[], None], within_s: float | None
) -> psycopg.AsyncConnection[Any]:
    """Connect, and ask for the lock until it is given. Raises `Away`, `Taken`, `Unexpected`."""
    with answers.understood():
        connection = await psycopg.AsyncConnection.connect(**arguments, autocommit=True)
    connected()
    try:
        with answers.understood():
            await _given(connection, kind, number, within_s)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _given(connection: psycopg.AsyncConnection[Any], kind: int, number: int, within_s: float | None) -> None:
    """Ask for the lock until it is given. Raises `Taken`."""
    asking_since = time.monotonic()
    while True:
        cursor = await connection.execute("select pg_try_advisory_lock(%s::int4, %s::int4)", (kind, number))
        if await cursor.fetchone() == (True,):
            return
        if within_s is not None and time.monotonic() - asking_since > within_s:
            raise Taken
        await asyncio.sleep(_ASK_EVERY_S)


async def _watch(connection: psycopg.AsyncConnection[Any], held: Held) -> None:
    """Set `held.lost` when the connection is gone, or cannot be seen to be there."""
    try:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            looking = asyncio.create_task(connection.execute("select 1"))
            try:
                await asyncio.wait({looking}, timeout=_LOOK_TIMEOUT_S)
            finally:
                if not looking.done():
                    hang_up(connection)  # a question that is cancelled waits for the server another 10 s
                await asyncio.gather(looking, return_exceptions=True)
            looking.result()
    except (psycopg.Error, OSError):
        held.lost.set()
