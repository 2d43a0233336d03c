"""Which generation of read models is live: changed in one step, and back in another. And dropping old ones.

Law: whoever becomes live has come as far as the one before, which is held still meanwhile; its readers are not. So no
reader ever sees a sequence go back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, TypeVar

import psycopg

from projections import generations
from projections.checkpoint import checkpoints, digest_of
from projections.generations import SHAPE, Known, NoGeneration, NotPrepared, schema_of
from services.building import Building, Positions
from services.errors import Unexpected
from services.journal import answers
from services.journal.lock import Taken, only_one
from services.journal.postgres import PostgresJournal
from services.migrations import PROJECTOR
from services.projector import connected
from services.reads import NotThere
from services.settings import Settings

_T = TypeVar("_T")
_Connection = psycopg.Connection[Any]

NAME: Final = "defter-rebuild"
_ALONE_WITHIN_S: Final = 1.0
_SWAPS: Final = 200
_PAUSE_S: Final = 0.25


class Place(NamedTuple):
    """A database of read models, and the shards whose read models it has."""

    dsn: str
    shards: tuple[int, ...]


class Kept(NamedTuple):
    """A generation, and how far it has come."""

    known: Known
    positions: Positions


def places(settings: Settings, partitions: int) -> list[Place]:
    """Give the databases of read models of an installation, each with its shards."""
    found: dict[str, list[int]] = {}
    for shard in range(partitions):
        found.setdefault(settings.read_database(shard), []).append(shard)
    return [Place(dsn, tuple(shards)) for dsn, shards in found.items()]


async def make_live(place: Place, building: Building, other: int | None) -> None:
    """Let a generation be the live one.

    Args:
        place: where.
        building: brings it as far as it has to come.
        other: the one that is live now, if what it shows is not to go back.

    Raises:
        Away: the database does not answer.
        Unexpected: somebody reads through the views for so long that they cannot be changed.
    """
    for _ in range(_SWAPS):
        async with holding(place.dsn, other) as held:
            if other is not None:
                await building.to(await blocking(lambda: positions(held, other)), exactly=False, hurry=True)
            if await blocking(lambda: _swapped(held, building.number)):
                return
        await asyncio.sleep(_PAUSE_S)
    raise Unexpected(
        "the views of the schema read cannot be changed: somebody reads through them without end",
        "end that query (pg_stat_activity shows it) and run this again: it goes on where it stands",
    )


async def roll_back(settings: Settings, place: Place) -> tuple[int, int]:
    """Let the generation be live again that was so before. Returns its number, and that of the one that was live.

    Raises:
        Away: a database does not answer.
        NotThere: there is none.
        Unexpected: somebody else rebuilds.
    """
    async with alone(place.dsn):
        live, number = await asked(place.dsn, lambda cursor: (_live(cursor), generations.previous(cursor)))
        if live is None or number is None:
            raise NotThere(
                "there is no generation to go back to: none was live before this one, or it was dropped; "
                "`defter rebuild` makes one from the journal"
            )
        await asked(place.dsn, lambda cursor: generations.find(cursor, number))
        building = Building(settings, place.dsn, number)
        building.positions = await asked(place.dsn, lambda cursor: positions(cursor.connection, number))
        other = None if await obstacle(settings, place, live) else live.number
        await make_live(place, building, other)
        return number, live.number


async def drop(place: Place, number: int) -> None:
    """Drop a generation that is not live.

    Raises:
        Away: the database does not answer.
        NotThere: there is no such generation, or it is live.
    """
    try:
        await asked(place.dsn, lambda cursor: generations.drop(cursor, number))
    except NoGeneration as none:
        raise NotThere(f"{none}; `defter rebuild --list` tells which there are") from None


async def all_kept(place: Place) -> list[Kept]:
    """Give every generation, with how far it has come."""

    def ask(cursor: psycopg.Cursor[Any]) -> list[Kept]:
        return [Kept(known, positions(cursor.connection, known.number)) for known in generations.known(cursor)]

    return await asked(place.dsn, ask)


async def obstacle(settings: Settings, place: Place, known: Known | None) -> str | None:
    """Tell why a generation cannot be compared with what the journal says now; None where it can."""
    if known is None:
        return "no generation is live"
    if not known.keepable:
        return f"generation {known.number} has shape {known.shape}, and this release keeps shape {SHAPE}"
    found = await asked(place.dsn, lambda cursor: checkpoints(cursor, schema_of(known.number)))
    for shard, (position, digest) in found.items():
        if position and not await _is_there(settings, shard, position, digest):
            return f"generation {known.number} has come to position {position} of shard {shard} of another journal"
    return None


@asynccontextmanager
async def alone(dsn: str) -> AsyncIterator[None]:
    """Be the only one that makes and swaps generations in a database. What is done inside ends when that is in doubt.

    Raises:
        Away: the database does not answer, or not any more.
        Unexpected: somebody else does.
    """
    try:
        async with only_one(dsn, "rebuild", 0, within_s=_ALONE_WITHIN_S) as held, held.needed():
            yield
    except Taken:
        raise Unexpected("another rebuild is at work on these read models", "wait for its end") from None


@asynccontextmanager
async def holding(dsn: str, number: int | None) -> AsyncIterator[_Connection]:
    """Keep a generation still for a moment: no page of it is stored. It can be read as ever."""
    connection = await blocking(lambda: _hold(dsn, number))
    try:
        yield connection
    finally:
        await asyncio.to_thread(connection.close)


def positions(connection: _Connection, number: int) -> Positions:
    """Tell how far a generation has come. Blocks."""
    with connection.cursor() as cursor:
        return {shard: position for shard, (position, _) in checkpoints(cursor, schema_of(number)).items()}


async def asked(dsn: str, question: Callable[[psycopg.Cursor[Any]], _T]) -> _T:
    """Ask a database of read models, in a transaction of its own. Raises `Away`, `Unexpected`."""

    def ask() -> _T:
        with connected(dsn, NAME) as connection, connection.cursor() as cursor:
            return question(cursor)

    return await blocking(ask)


async def blocking(call: Callable[[], _T]) -> _T:
    """Do in a thread what waits for the database. Raises `Away`, `Unexpected`."""

    def understood() -> _T:
        with answers.understood():
            return call()

    try:
        return await asyncio.to_thread(understood)
    except NoGeneration:
        raise
    except NotPrepared as not_prepared:
        raise Unexpected(str(not_prepared), answers.SETUP) from None


def _live(cursor: psycopg.Cursor[Any]) -> Known | None:
    return next((known for known in generations.known(cursor) if known.live), None)


def _hold(dsn: str, number: int | None) -> _Connection:
    connection = connected(dsn, NAME)
    try:
        # A page in flight is waited for, and pages to come wait for us, but for no longer than this.
        connection.execute("set lock_timeout = '20s'; set idle_in_transaction_session_timeout = '60s'")
        connection.commit()
        connection.execute("select from read.generations where generation = %s for update", (number,))
    except BaseException:
        connection.close()
        raise
    return connection


def _swapped(connection: _Connection, number: int) -> bool:
    """Swap, unless that would have readers wait who come through the views."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("set local lock_timeout = '50ms'")
            generations.swap(cursor, number)
        connection.commit()
    except psycopg.errors.LockNotAvailable:
        connection.rollback()
        return False
    return True


async def _is_there(settings: Settings, shard: int, position: int, digest: bytes) -> bool:
    """Tell whether the journal has the event at a position that a checkpoint remembers."""
    journal = PostgresJournal(settings.database(shard), shard, PROJECTOR)
    try:
        rows = await journal.read(position - 1, 1)
    finally:
        await journal.close()
    return bool(rows) and rows[0].position == position and digest_of(rows[0].data) == digest
