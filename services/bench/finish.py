"""When the work is done: for each stage, and for all of them.

Law: looked at seldom while there is much to do, so that looking costs nothing, and often towards the end, which so is
true to some hundredths of a second.
"""

import asyncio
import time
from typing import Any, Final, NamedTuple

import psycopg

from services.bench.crew import Crew
from services.errors import Away
from services.kafka.partition import Partition
from services.kafka.topics import Topics
from services.settings import Settings

_OFTEN_S: Final = 0.03
_SELDOM_S: Final = 0.3
_LOOKS_TO_COME: Final = 8
_PATIENCE_S: Final = 60.0

_STANDING: Final = """
select (select sum(next)::int8 from journal.offsets), {written},
       coalesce((select sum(position)::int8 from read_1.checkpoints), 0)"""
_WRITTEN: Final = "coalesce((select max(notification_id) from journal.shard_{shard}_events), 0)"


class Standing(NamedTuple):
    """How far the stages have come: commands decided, events published, and positions; of all shards together."""

    decided: int
    written: int
    projected: int
    published: int
    replied: int


class Finish:
    """Watches the stages of one installation.

    Args:
        settings: where.
        connection: to its database.
        partitions: how many shards it has.
        replies: the topic that replies go to, with as many partitions, where some are asked for.
    """

    def __init__(
        self, settings: Settings, connection: psycopg.Connection[Any], partitions: int = 1, replies: str | None = None
    ) -> None:
        self._connection = connection
        shards, topic = range(partitions), Topics(settings.prefix).events
        self._events = [Partition(settings.brokers(), topic, shard) for shard in shards]
        self._replies = [Partition(settings.brokers(), replies, number) for number in shards if replies]
        written = " + ".join(_WRITTEN.replace("{shard}", str(shard)) for shard in shards)
        self._statement = _STANDING.replace("{written}", written).encode()

    async def reached(self, commands: int, events: int, crew: Crew, begun: float, replies: int = 0) -> dict[str, float]:
        """Wait until all stages are done.

        Args:
            commands: how many the topic holds.
            events: how many there are to be on `events`.
            crew: who must live meanwhile.
            begun: when the work began, by `time.perf_counter`.
            replies: how many there are to be.

        Returns:
            How many seconds after `begun` each stage was done.

        Raises:
            Away: nothing has moved for a minute.
            Unexpected: a process has ended.
        """
        done: dict[str, float] = {}
        last, moved = None, time.perf_counter()
        while True:
            standing = await self._standing()
            now = time.perf_counter()
            stages = {
                "writer": standing.decided >= commands,
                "publisher": standing.published >= events,
                "projector": standing.decided >= commands and standing.projected >= standing.written,
            }
            if self._replies:
                stages["replies"] = standing.replied >= replies
            done |= {stage: now - begun for stage, is_done in stages.items() if is_done and stage not in done}
            if len(done) == len(stages):
                return {stage: done[stage] for stage in stages}
            if standing != last:
                last, moved = standing, now
            if now - moved > _PATIENCE_S:
                raise Away(f"nothing has moved for {_PATIENCE_S:g} s, at {standing}, towards {commands} commands")
            crew.see_that_all_live()
            share = min(standing.decided / commands, standing.published / events)
            remaining = (now - begun) * (1 - share) / max(share, 0.01)
            await asyncio.sleep(min(max(remaining / _LOOKS_TO_COME, _OFTEN_S), _SELDOM_S))

    async def close(self) -> None:
        """Let go of the connection to Kafka. Never raises."""
        for partition in (*self._events, *self._replies):
            await partition.close()

    async def _standing(self) -> Standing:
        ((decided, written, projected),) = await asyncio.to_thread(self._ask)
        published, replied = await _ends(self._events), await _ends(self._replies)
        return Standing(decided, written, projected, published, replied)

    def _ask(self) -> list[tuple[Any, ...]]:
        return self._connection.execute(self._statement).fetchall()


async def _ends(partitions: list[Partition]) -> int:
    """Tell how many records these hold together."""
    return sum(each.end for each in await asyncio.gather(*(partition.bounds() for partition in partitions)))
