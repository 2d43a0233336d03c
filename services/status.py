"""How far everything has come: every shard, from the topic of commands to the read models, and who is at work.

Law: it is read from where it is kept (offsets, tails, checkpoints, live connections), twice, so that what moves is seen
to move. It asks no process, so it tells the truth about those that do not answer.
"""

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from msgspec import Struct

from services.journal import answers
from services.journal.connection import parameters
from services.journal.reading import event
from services.kafka.outbox import KafkaOutbox
from services.kafka.partition import Partition
from services.kafka.ports import Record
from services.kafka.topics import Topics
from services.lag import NOTHING, Reached, behind_on, undecided
from services.publisher import place_of
from services.settings import Settings
from services.tallies import Behind, Lag

APART_S: Final = 1.0

_PROCESS: Final = re.compile(r"defter-(writer|publisher|projector|ticker)\b.*?-(\d+)(-lock)?")

_HOW_FAR: Final = """
select next, replied, (select coalesce(max(notification_id), 0) from journal.shard_{shard}_events)
  from journal.offsets where shard = {shard}"""

_DEAD: Final = """
select reason, count(*) from journal.dead_letters where "partition" = %s group by reason order by reason"""

_REDRIVEN: Final = """
select count(distinct "offset") from journal.redriven where "partition" = %s"""

_CONNECTIONS: Final = """
select application_name, coalesce(host(client_addr), 'local'), extract(epoch from now() - backend_start)::float8,
       exists (select from pg_locks where pg_locks.pid = activity.pid and locktype = 'advisory' and granted)
  from pg_stat_activity as activity
 where datname = current_database() and application_name like 'defter-%'"""


class Shard(Struct, frozen=True, kw_only=True):
    """How far a shard has come.

    Lags are what is behind: commands, and positions of the journal; those in seconds are the age of the oldest that
    waits. Rates are a second. `replies_lag` counts commands whose replies, where asked for, may not be sent yet.
    `dead_letters` are all there ever were, by reason; `dead_letters_redriven` of them were sent again.
    """

    type: str = "shard"
    shard: int
    commands: int
    next: int
    lag: int
    lag_s: float
    commands_per_s: int
    replies_lag: int
    position: int
    published: int
    publisher_lag: int
    publisher_lag_s: float
    published_per_s: int
    projected: int
    projector_lag: int
    projector_lag_s: float
    projected_per_s: int
    dead_letters: dict[str, int]
    dead_letters_redriven: int
    dead_letters_unpublished: int
    oldest_unpublished_s: float


class Process(Struct, frozen=True, kw_only=True):
    """Who is at work on a shard. `since_s` is how long its oldest connection has been there."""

    type: str = "process"
    process: str
    shard: int
    live: bool
    standing_by: int
    host: str | None
    since_s: int | None


_Connected = tuple[str, str | None, float | None, bool]
"""Name, host, age in seconds, and whether it holds the lock."""


class _Sample(Struct, frozen=True):
    """How far a shard had come at a moment, and what waited for whom."""

    at_s: float
    next: int
    replied: int
    position: int
    published: int
    projected: int
    undecided: Lag
    unpublished: Lag
    unprojected: Lag
    letters: Lag
    dead: dict[str, int]
    redriven: int


async def status(settings: Settings, partitions: int) -> tuple[list[Shard], list[Process]]:
    """Look twice, and tell. Raises `Away`, and `Unexpected` where something is not there."""
    numbers = range(partitions)
    first = await asyncio.gather(*(_sample(settings, number) for number in numbers))
    await asyncio.sleep(max(0.0, first[0].at_s + APART_S - time.monotonic()))
    second = await asyncio.gather(*(_sample(settings, number) for number in numbers))
    shards = [_told(number, *samples) for number, samples in enumerate(zip(first, second, strict=True))]
    processes = await asyncio.gather(*(asyncio.to_thread(_processes, settings, number) for number in numbers))
    return shards, [one for some in processes for one in some]


def _told(number: int, before: _Sample, now: _Sample) -> Shard:
    elapsed_s = now.at_s - before.at_s
    return Shard(
        shard=number,
        commands=now.next + now.undecided.messages,
        next=now.next,
        lag=now.undecided.messages,
        lag_s=round(now.undecided.seconds, 1),
        commands_per_s=round((now.next - before.next) / elapsed_s),
        replies_lag=now.next - now.replied,
        position=now.position,
        published=now.published,
        publisher_lag=now.unpublished.messages,
        publisher_lag_s=round(now.unpublished.seconds, 1),
        published_per_s=round((now.published - before.published) / elapsed_s),
        projected=now.projected,
        projector_lag=now.unprojected.messages,
        projector_lag_s=round(now.unprojected.seconds, 1),
        projected_per_s=round((now.projected - before.projected) / elapsed_s),
        dead_letters=now.dead,
        dead_letters_redriven=now.redriven,
        dead_letters_unpublished=now.letters.messages,
        oldest_unpublished_s=round(max(now.unpublished.seconds, now.letters.seconds), 1),
    )


async def _sample(settings: Settings, shard: int) -> _Sample:
    topics, kafka = Topics(settings.prefix), settings.brokers()
    commands = Partition(kafka, topics.commands, shard)
    outputs = KafkaOutbox(kafka, topics.events, shard), KafkaOutbox(kafka, topics.dead_letters, shard)
    try:
        at_s = time.monotonic()
        # From the end of the way to its beginning, so that what moves meanwhile is seen as a lag rather than as a lead.
        projected = await asyncio.to_thread(_projected, settings, shard)
        tails = await asyncio.gather(*(output.tail() for output in outputs))
        kept = await asyncio.to_thread(_kept, settings, shard, tails, Reached(projected))
        (following, replied, position), published, (unpublished, letters), (unprojected, _), (dead, redriven) = kept
        waiting = await undecided(commands, following)
        return _Sample(
            at_s,
            following,
            replied,
            position,
            published,
            projected,
            waiting,
            unpublished,
            unprojected,
            letters or NOTHING,
            dead,
            redriven,
        )
    finally:
        await asyncio.gather(commands.close(), *(output.close() for output in outputs))


def _said(record: Record | None, header: str, nothing: int) -> int:
    """Return what the last record of an output says of its own place."""
    said = next((value for name, value in record.headers if name == header), None) if record else None
    return int(said) if said is not None else nothing


def _published(connection: psycopg.Connection[Any], shard: int, last: Record | None) -> int:
    """Return where the journal has what was published last; where it has not, the position that was published."""
    place = place_of(last) if last else None
    row = event(connection, shard, *place) if place else None
    return row.position if row else _said(last, "position", 0)


def _kept(
    settings: Settings, shard: int, tails: Sequence[Record | None], projected: Reached
) -> tuple[tuple[int, int, int], int, Behind, Behind, tuple[dict[str, int], int]]:
    """Return how far journal and publisher have come, what waits for publisher and projector, and the dead letters.

    Of dead letters: how many by reason, and how many of all were sent again.
    """
    with _connected(settings.database(shard)) as connection:
        dead = dict(connection.execute(_DEAD, (shard,)).fetchall())
        ((redriven,),) = connection.execute(_REDRIVEN, (shard,)).fetchall()
        row = connection.execute(_HOW_FAR.replace("{shard}", str(shard)).encode()).fetchone()
        assert row is not None, f"shard {shard} has no row in journal.offsets"
        following, replied, position = row
        published = _published(connection, shard, tails[0])
        unpublished = behind_on(connection, shard, Reached(published, _said(tails[1], "offset", -1)))
        unprojected = behind_on(connection, shard, projected)
        return (following, replied, position), published, unpublished, unprojected, (dead, redriven)


def _projected(settings: Settings, shard: int) -> int:
    """Return how far the live read models have come; 0 where they have not begun."""
    with _connected(settings.read_database(shard)) as connection:
        live = connection.execute("select generation from read.generations where live").fetchone()
        if live is None:
            return 0
        statement = f"select position from read_{live[0]}.checkpoints where shard = %s"  # noqa: S608 - a number
        row = connection.execute(statement.encode(), (shard,)).fetchone()
        return int(row[0]) if row else 0


def _processes(settings: Settings, shard: int) -> list[Process]:
    rows: list[_Connected] = []
    for dsn in dict.fromkeys((settings.database(shard), settings.read_database(shard))):
        with _connected(dsn) as connection:
            rows += connection.execute(_CONNECTIONS).fetchall()
    # There is one ticker for all shards; it is told of the first.
    parts = ("writer", "publisher", "projector", *(("ticker",) if shard == 0 else ()))
    return [_process(part, shard, rows) for part in parts]


def _process(part: str, shard: int, rows: list[_Connected]) -> Process:
    """Tell who works on a shard. A writer is at work when it is connected; of the others, who holds the lock."""
    mine = []
    for name, host, since_s, locked in rows:
        match = _PROCESS.fullmatch(name)
        if match and match[1] == part and int(match[2]) == shard:
            mine.append((match[3] is not None, locked, host, since_s))
    waiting = sum(of_lock and not locked for of_lock, locked, _, _ in mine)
    live = [(since_s, host) for of_lock, locked, host, since_s in mine if locked or (part == "writer" and not of_lock)]
    # Of the connections of others a user without `pg_read_all_stats` sees the name, and neither host nor age.
    oldest = max(live, key=lambda one: one[0] or 0, default=(None, None))
    return Process(
        process=part,
        shard=shard,
        live=bool(live),
        standing_by=waiting,
        host=oldest[1],
        since_s=None if oldest[0] is None else round(oldest[0]),
    )


@contextmanager
def _connected(dsn: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    arguments = parameters(dsn, "defter-status")
    with answers.understood(), psycopg.connect(**arguments, autocommit=True) as connection:
        yield connection
