"""N commands lie in the topic: how long until every stage is done with them, and what that takes of the machine.

Law: nothing is counted but the N. Accounts and deposits are in the journal before; every process works, and the writer
stands before its first fetch, when the clock starts.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg

from services.bench import load
from services.bench.beside import asking, replies_topic, see_postings, see_replies
from services.bench.checking import check
from services.bench.costs import Meter, between
from services.bench.crew import Crew
from services.bench.finish import Finish
from services.bench.grounds import begin_alike, connected, fresh
from services.bench.options import Options, Result
from services.kafka.topics import make
from services.settings import Settings

_SIZES: Final = """
select relname::text, nspname = 'journal', pg_total_relation_size(pg_class.oid)
  from pg_class join pg_namespace on pg_namespace.oid = relnamespace
 where nspname in ('journal', 'read_1') and relkind = 'r'"""

_Sizes = dict[tuple[str, bool], int]


async def drain(options: Options, servers: Settings) -> Result:
    """Measure once: transfers a second, and what each stage costs. Raises `Away`, `Unexpected`, `Wrong`."""
    return (await _drained(options, servers))[0]


async def hot_pair(options: Options, servers: Settings) -> Result:
    """Measure the same with 2 accounts."""
    return await drain(msgspec.structs.replace(options, accounts=2), servers)


async def reply(options: Options, servers: Settings) -> Result:
    """Measure the same with every command asking for a reply; it lasts until the last reply is in its topic, too."""
    return await drain(msgspec.structs.replace(options, replies=True), servers)


async def postings(options: Options, servers: Settings) -> Result:
    """Measure the same with every posting published by itself, too."""
    return await drain(msgspec.structs.replace(options, postings=True), servers)


async def disk(options: Options, servers: Settings) -> Result:
    """Measure how many bytes a transfer takes: in the journal with its indexes, and, apart, in the read models."""
    result, before, after = await _drained(options, servers)
    grown = {
        place: round((size - before.get(place, 0)) / options.transfers, 1)
        for place, size in after.items()
        if size > before.get(place, 0)
    }
    journal = {name: size for (name, of_journal), size in grown.items() if of_journal}
    models = {name: size for (name, of_journal), size in grown.items() if not of_journal}
    return {
        "bytes": round(sum(journal.values()), 1),
        "read_model_bytes": round(sum(models.values()), 1),
        "journal": dict(sorted(journal.items())),
        "read_models": dict(sorted(models.items())),
        "transfers": result["transfers"],
        "accounts": result["accounts"],
    }


async def _drained(options: Options, servers: Settings) -> tuple[Result, _Sizes, _Sizes]:
    """Measure once, and return the result with the sizes of tables before and after."""
    homes = load.homes(options.partitions)
    async with fresh(servers, options.partitions, postings=options.postings) as settings:
        replies = replies_topic(settings) if options.replies else None
        if replies:
            await make(settings.brokers(), replies, len(homes))
        settled = [await load.settle(settings, options.accounts, home) for home in homes]
        headers = asking(settings) if options.replies else ()
        shares = [load.share(home, options.transfers, options.accounts) for home in homes]
        put = [await load.put(settings, share, home, headers) for share, home in zip(shares, homes, strict=True)]
        commands = [sum(both) for both in zip(settled, put, strict=True)]
        await begin_alike(settings)
        with tempfile.TemporaryDirectory() as directory, connected(settings) as connection:
            crew = Crew(settings, Path(directory), options.profiles, partitions=len(homes), writers=options.writers)
            async with crew:
                before = await asyncio.to_thread(_sizes, connection)
                finish = Finish(settings, connection, len(homes), replies)
                result = await _timed(settings, connection, crew, finish, (sum(settled), sum(commands)))
                after = await asyncio.to_thread(_sizes, connection)
            for home, each in zip(homes, commands, strict=True):
                await check(settings, connection, each, home)
            await _check_beside(settings, options, len(homes))
    shared = {"partitions": options.partitions, "writers": options.writers} if len(homes) > 1 else {}
    return {"accounts": options.accounts} | shared | result, before, after


async def _check_beside(settings: Settings, options: Options, partitions: int) -> None:
    """See that what went out beside events is whole. Raises `Wrong`."""
    if options.replies:
        await see_replies(settings, partitions, options.transfers)
    if options.postings:
        await see_postings(settings, partitions, 2 * (options.transfers + options.accounts * partitions))


async def _timed(
    settings: Settings, connection: psycopg.Connection[Any], crew: Crew, finish: Finish, ends: tuple[int, int]
) -> Result:
    """Let the writers go, and wait until all is done.

    Args:
        settings: of the installation.
        connection: to its database.
        crew: the processes.
        finish: tells when all is done.
        ends: how many commands are decided before, and how many there are.
    """
    settled, commands = ends
    transfers = commands - settled
    try:
        await finish.reached(settled, settled, crew, time.perf_counter())
        meter = await asyncio.to_thread(Meter, settings, connection, crew.pids)
        before = await asyncio.to_thread(meter.look)
        begun = time.perf_counter()
        crew.let_go()
        stages = await finish.reached(commands, commands, crew, begun, transfers)
        after = await asyncio.to_thread(meter.look)
    finally:
        await finish.close()
    seconds = max(stages.values())
    costs = between(before, after, transfers, seconds)
    return {
        "per_s": round(transfers / seconds),
        "transfers": transfers,
        "seconds": round(seconds, 2),
        "stage_seconds": {stage: round(taken, 2) for stage, taken in stages.items()},
        **msgspec.structs.asdict(costs),
    }


def _sizes(connection: psycopg.Connection[Any]) -> _Sizes:
    return {(name, of_journal): size for name, of_journal, size in connection.execute(_SIZES)}
