"""How far behind the parts of a shard are: in messages, and in seconds since the oldest that waits.

Law: asked where it is kept, in the topic and in the journal, so it is true of parts that do not answer as well. Ages
are by our own clock against the broker's; where ours is behind, the age is 0.

Used by `services.metrics` for the parts of a process, and by `services.status` for all of them.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
import psycopg
from msgspec import Struct
from psycopg import sql

from services.journal import answers
from services.journal.connection import parameters
from services.kafka.partition import Partition
from services.tallies import Behind, Lag

NOTHING: Final = Lag(0, 0.0)

_BEHIND: Final = """
select (select coalesce(max(notification_id), 0) from journal.shard_{shard}_events) as position,
       (select state from journal.shard_{shard}_events where notification_id > %(position)s
         order by notification_id limit 1) as oldest,
       (select count(*) from journal.dead_letters where "partition" = {shard} and "offset" > %(letter)s) as letters,
       (select at_ms from journal.dead_letters where "partition" = {shard} and "offset" > %(letter)s
         order by "offset" limit 1) as letter_at_ms"""


class Reached(NamedTuple):
    """How far a part has come: the last position of the journal, and for a publisher the offset of the last letter."""

    position: int
    letter: int | None = None


class _Dated(Struct):
    """Of an event, when it happened."""

    at: datetime


async def undecided(commands: Partition, following: int) -> Lag:
    """Look what waits for the writer of a partition.

    Ends of transactions take offsets too, so the number of messages may be a little larger than there are commands.

    Args:
        commands: the partition.
        following: the offset that is decided next.

    Raises:
        Away: Kafka does not answer.
        Unexpected: the partition does not hold that place.
    """
    waiting = (await commands.bounds()).end - following
    oldest = await commands.first(following) if waiting > 0 else None
    return Lag(waiting, _age_s(oldest.at_ms / 1000)) if oldest else NOTHING


async def behind(dsn: str, role: str, shard: int, reached: Callable[[], Reached]) -> Behind:
    """Look what waits for a publisher or a projector.

    Positions may skip, so the number of messages may be a little larger than there are events.

    Args:
        dsn: the journal's database.
        role: whose rights are taken.
        shard: whose journal.
        reached: tells how far it has come.

    Raises:
        Away: PostgreSQL does not answer.
        Unexpected: it is not the one expected.
    """
    return await asyncio.to_thread(_behind, dsn, role, shard, reached())


def behind_on(connection: psycopg.Connection[Any], shard: int, reached: Reached) -> Behind:
    """Do as `behind`, on a connection that is there. Raises what psycopg raises."""
    letter = reached.letter if reached.letter is not None else 2**63 - 1
    row = connection.execute(
        _BEHIND.replace("{shard}", str(shard)).encode(), {"position": reached.position, "letter": letter}
    ).fetchone()
    assert row is not None
    position, oldest, letters, letter_at_ms = row
    lag = NOTHING
    if oldest is not None:
        at = msgspec.json.decode(oldest, type=_Dated).at
        lag = Lag(max(1, position - reached.position), _age_s(at.timestamp()))
    if reached.letter is None:
        return Behind(lag)
    return Behind(lag, Lag(letters, _age_s(letter_at_ms / 1000)) if letters else NOTHING)


def _behind(dsn: str, role: str, shard: int, reached: Reached) -> Behind:
    arguments = parameters(dsn, "defter-lag")
    with answers.understood(), psycopg.connect(**arguments, autocommit=True) as connection:
        connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        return behind_on(connection, shard, reached)


def _age_s(at_s: float) -> float:
    return max(0.0, time.time() - at_s)
