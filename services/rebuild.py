"""Makes the read models anew beside the live ones, compares the two, and swaps them.

One rebuild, start to end:

    begin, or go on -> project the journal -> meet the live one -> compare -> catch up -> swap

Law: readers never see a generation that is half-built. Killed anywhere, the next rebuild goes on with what there is.
The old generation is kept until it is dropped, so going back is the same swap.

How a generation is brought forward: `services.building`. The swap: `services.swapping`. Who keeps all generations from
then on: `services.keeping`.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from projections import comparing, generations
from projections.comparing import TABLES, Compared
from projections.generations import schema_of
from services.building import Building, Positions
from services.errors import Unexpected
from services.journal.connection import parameters
from services.migrations import PROJECTOR
from services.points import Point, no_point
from services.projector import PAGE, connected
from services.reads import NotThere
from services.settings import Settings
from services.swapping import (
    NAME,
    Place,
    all_kept,
    alone,
    asked,
    blocking,
    drop,
    holding,
    make_live,
    obstacle,
    positions,
)

Told = Callable[[str, int, int], None]
"""Is told what goes on, how much of it is done, and how much there is."""

_END: Final = "select coalesce(max(notification_id), 0) from journal.shard_{shard}_events"
_LOOK_EVERY_S: Final = 0.2
_STANDS_STILL_S: Final = 10.0


class Rebuilt(NamedTuple):
    """What a rebuild came to. `why` says why nothing was compared, where nothing was."""

    generation: int
    instead_of: int | None
    resumed_at: int
    positions: Positions
    compared: list[Compared]
    why: str | None

    @property
    def equal(self) -> bool:
        """Whether no difference was found."""
        return all(one.difference is None for one in self.compared)


async def rebuild(
    settings: Settings,
    place: Place,
    *,
    dry_run: bool = False,
    whole: bool = True,
    rate: int | None = None,
    told: Told = lambda *_: None,
    point: Point = no_point,
) -> Rebuilt:
    """Build a generation from the journal, compare it with the live one, and swap the two.

    Args:
        settings: where everything is.
        place: whose read models.
        dry_run: compare only; what was built is dropped.
        whole: else balances alone are built and compared; only in a dry run, for nobody is shown them.
        rate: so many events a second, at most.
        told: is told what goes on.
        point: called at `begun`, `met`, `compared`, `caught up` and `swapped`, and in every page (see `Projector`).

    Raises:
        Away: a database does not answer any more. Run again, it goes on.
        Unexpected: somebody else rebuilds, or the journal is not whole.
    """
    building = Building(settings, place.dsn, 0, rate=rate, point=point)
    async with alone(place.dsn):
        live = next((kept.known for kept in await all_kept(place) if kept.known.live), None)
        resumed_at = await _begin(settings, place, building, whole=whole)
        why = await obstacle(settings, place, live)
        before = live.number if live else None
        other = None if why else before
        compared = await _compare(place, building, other, told, whole=whole) if other else None
        if other and not compared:
            why = f"generation {other} stands still: no projector keeps it"
        if dry_run or not whole:
            await _let_go(place, building.number)
        else:
            await _take_over(settings, place, building, other, told)
        return Rebuilt(building.number, before, resumed_at, building.positions, compared or [], why)


async def _begin(settings: Settings, place: Place, building: Building, *, whole: bool) -> int:
    """Go on with what is half-built, if it is of this journal, shape and kind; all else half-built is dropped.

    Returns:
        The position to go on after, of all shards together; 0 at the beginning.
    """
    for kept in await all_kept(place):
        if kept.known.built:
            continue
        same = kept.known.whole == whole and not await obstacle(settings, place, kept.known)
        if same and not building.number:
            building.number, building.positions = kept.known.number, kept.positions
        else:
            await _let_go(place, kept.known.number)
    if not building.number:
        building.number = await asked(place.dsn, partial(generations.begin, whole=whole))
    await building.point("begun")
    return sum(building.positions.values())


async def _let_go(place: Place, number: int) -> None:
    """Drop a generation that no rebuild goes on with. Raises `Unexpected` where somebody else has just done so."""
    try:
        await drop(place, number)
    except NotThere as gone:
        raise Unexpected(str(gone), "somebody else dropped it meanwhile: run this again") from None


async def _compare(place: Place, building: Building, other: int, told: Told, *, whole: bool) -> list[Compared] | None:
    """Compare what is built with the live one, at one event; None where the live one stands still before it."""
    building.told = partial(told, "building")
    both = await _meet(place, building, other)
    await building.point("met")
    if both is None:
        return None
    tables = tuple(TABLES) if whole else ("balances",)

    def compare() -> list[Compared]:
        found: list[Compared] = []
        with both:
            for one in comparing.compare(both, schema_of(other), schema_of(building.number), tables):
                found.append(one)
                told("comparing", len(found), len(tables))
        return found

    compared = await blocking(compare)
    await building.point("compared")
    return compared


async def _meet(place: Place, building: Building, other: int) -> psycopg.Connection[Any] | None:
    """Bring what is built to where the live one is, event for event.

    Returns:
        A connection in a transaction that sees both so; None where the live one stays behind and does not move.
    """
    last, since = None, time.monotonic()
    while True:
        theirs = await asked(place.dsn, lambda cursor: positions(cursor.connection, other))
        if any(position > theirs.get(shard, 0) for shard, position in building.positions.items()):
            if theirs != last:
                last, since = theirs, time.monotonic()
            if time.monotonic() - since > _STANDS_STILL_S:
                return None
            await asyncio.sleep(_LOOK_EVERY_S)
            continue
        behind = sum(theirs.values()) - sum(building.positions.values())
        await building.to(theirs)
        if behind <= PAGE:
            break
    async with holding(place.dsn, other) as held:
        await building.to(await blocking(lambda: positions(held, other)), hurry=True)
        return await blocking(lambda: _looking_at(place.dsn, other))


async def _take_over(settings: Settings, place: Place, building: Building, other: int | None, told: Told) -> None:
    """Go on to the journal's end, and be the live one."""
    building.told = partial(told, "catching up")
    await _catch_up(settings, place, building)
    await building.point("caught up")
    await make_live(place, building, other)
    await building.point("swapped")


async def _catch_up(settings: Settings, place: Place, building: Building) -> None:
    """Bring what is built to the end of the journal, near enough."""
    while True:
        ends = {shard: await blocking(partial(_end, settings, shard)) for shard in place.shards}
        behind = sum(ends.values()) - sum(building.positions.get(shard, 0) for shard in ends)
        await building.to(ends)
        if behind <= PAGE:
            return


def _looking_at(dsn: str, number: int) -> psycopg.Connection[Any]:
    """Connect, and see the state of this moment from now on. Long questions are allowed here."""
    arguments = parameters(dsn, NAME) | {"options": ""}
    connection: psycopg.Connection[Any] = psycopg.connect(**arguments)
    connection.execute(sql.SQL("set role {}").format(sql.Identifier(PROJECTOR)))
    connection.commit()
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    connection.execute(f"select from {schema_of(number)}.checkpoints".encode())
    return connection


def _end(settings: Settings, shard: int) -> int:
    """Give the position of the journal's last event, 0 where there is none."""
    question = _END.replace("{shard}", str(shard)).encode()
    with connected(settings.database(shard), NAME) as connection:
        row = connection.execute(question).fetchone()
        return int(row[0]) if row else 0
