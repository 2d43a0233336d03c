"""How fast read models are made anew from the journal: all of them, and balances alone.

Law: both are compared before there is a figure: balances alone are those of all read models, event for event.
"""

import asyncio
import os
import time
from typing import Any, Final

import psycopg

from projections import comparing, generations
from projections.generations import schema_of
from services.bench.checking import Wrong
from services.bench.costs import Meter, between
from services.bench.decide import collecting_as_a_process
from services.bench.grounds import begin_alike, connected, fresh
from services.bench.load import LEDGER
from services.bench.options import Options, Result
from services.bench.past import happened
from services.building import Building
from services.settings import Settings
from services.swapping import asked

_END: Final = "select max(notification_id), count(*) from journal.shard_0_events"


async def rebuild(options: Options, servers: Settings) -> Result:
    """Measure once: events a second into all read models, and into balances alone.

    Raises:
        Away: a server does not answer.
        Unexpected: a server is not as it should be.
        Wrong: balances alone are not those of all read models.
    """
    async with fresh(servers) as settings:
        events = await happened(settings, options)
        with connected(settings) as connection:
            connection.execute("analyze")
            await begin_alike(settings)
            whole, whole_s, costs = await _built(settings, connection, events, whole=True)
            alone, alone_s, alone_costs = await _built(settings, connection, events, whole=False)
            await asyncio.to_thread(_compare, settings, whole, alone, events)
    return {
        "per_s": round(events / whole_s),
        "balances_per_s": round(events / alone_s),
        "of": "events",
        "transfers": options.transfers,
        "accounts": options.accounts,
        "seconds": round(whole_s, 2),
        "cpu_us": costs,
        "balances_cpu_us": alone_costs,
    }


async def _built(
    settings: Settings, connection: psycopg.Connection[Any], events: int, *, whole: bool
) -> tuple[int, float, dict[str, float]]:
    """Build a generation, and tell its number, how long that took, and what."""
    dsn = settings.read_database(0)
    number = await asked(dsn, lambda cursor: generations.begin(cursor, whole=whole))
    building = Building(settings, dsn, number)
    end = end_of(connection, events)
    meter = await asyncio.to_thread(Meter, settings, connection, {"rebuild": os.getpid()})
    before, begun = await asyncio.to_thread(meter.look), time.perf_counter()
    with collecting_as_a_process():
        await building.to({0: end})
    seconds = time.perf_counter() - begun
    costs = between(before, await asyncio.to_thread(meter.look), events, seconds)
    return number, seconds, {part: used for part, used in costs.cpu_us.items() if part != "kafka"}


def end_of(connection: psycopg.Connection[Any], events: int) -> int:
    """Return the last position of a journal that has so many events. Raises `Wrong`: it has not."""
    (end, found), *_ = connection.execute(_END).fetchall()
    if found != events:
        raise Wrong(f"{events} commands brought {found} events")
    return int(end)


def _compare(settings: Settings, whole: int, alone: int, events: int) -> None:
    """See that both have the same balances, and that every event is there. Raises `Wrong`."""
    with psycopg.connect(settings.read_database(0)) as connection:
        difference = comparing.first_difference(connection, schema_of(whole), schema_of(alone), "balances")
        if difference:
            raise Wrong(str(difference))
        for number in (whole, alone):
            question = f"select sequence from {schema_of(number)}.ledgers where ledger = %s"
            rows = connection.execute(question.encode(), (LEDGER,)).fetchall()
            if rows != [(events,)]:
                raise Wrong(f"generation {number} has come to {rows}, not to {events}")
