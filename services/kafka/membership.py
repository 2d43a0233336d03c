"""Shares out the partitions of `commands` among the writers that live, and tells each which are its own.

Law: it only says who should write; who may is settled in the journal (`offsets.epoch`). So nothing is fetched here, no
offset is kept, and a member that is cut off keeps its partitions until it hears otherwise: two that believe in the same
partition are harmless. An instance that is killed and started again has its partitions back at once; when it does not
come back, they go to the others after `services.kafka.group.SESSION_S`.

What is done with a partition: `services.writer`.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

from services.errors import Away
from services.kafka.group import Group, JoinAgain, Joined, deal
from services.settings import Kafka

# A member that has to join again hears of it with its next heartbeat: this is how quickly the group comes together.
BEAT_S: Final = 0.5

_NOT_IN: Final = -1
_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 1.0


class Membership:
    """One instance in the group of writers, from `async with` on.

    Args:
        kafka: how Kafka is reached.
        group: the name of the group.
        topic: the topic whose partitions are shared out.
        partitions: how many it has.
        instance: the name of this process among all others, the same after a restart.
    """

    def __init__(self, kafka: Kafka, group: str, topic: str, partitions: int, instance: str) -> None:
        self._group = Group(kafka, group, topic, instance)
        self._partitions = partitions
        self._joined = Joined("", _NOT_IN, {})
        self._owned: frozenset[int] | None = None
        self._told: asyncio.Queue[frozenset[int] | BaseException] = asyncio.Queue()
        self._asking: list[asyncio.Future[frozenset[int]]] = []
        self._living: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._living = asyncio.create_task(self._live())
        self._living.add_done_callback(self._end)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._living is not None:
            self._living.cancel()
            await asyncio.wait({self._living})
        await self._group.close()

    async def changes(self) -> AsyncIterator[frozenset[int]]:
        """Give the partitions that are this instance's now, and again whenever they change. None are a set as well.

        Raises:
            Unexpected: this instance is not wanted, for example because another process bears its name.
        """
        while True:
            told = await self._told.get()
            if isinstance(told, BaseException):
                raise told
            yield told

    async def confirmed(self) -> frozenset[int]:
        """Wait until the group has been heard from anew, and return the partitions that are this instance's.

        For a writer that met another one on its partition: whoever is cut off from Kafka must not take it back.

        Raises:
            Unexpected: as `changes`.
        """
        if self._living is not None and self._living.done():
            self._living.result()
        answer: asyncio.Future[frozenset[int]] = asyncio.get_running_loop().create_future()
        self._asking.append(answer)
        return await answer

    async def _live(self) -> None:
        """Belong to the group for as long as the process lives, through every failure that passes by itself."""
        pause_s = _PAUSE_S
        while True:
            asked = len(self._asking)
            try:
                if self._joined.generation == _NOT_IN:
                    await self._join()
                await self._group.beat(self._joined)
            except JoinAgain as again:
                self._joined = Joined("" if again.forgotten else self._joined.member, _NOT_IN, {})
                await asyncio.sleep(_PAUSE_S)
            except Away:
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter is no secret
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                pause_s = _PAUSE_S
                self._confirm(asked)
                await asyncio.sleep(BEAT_S)

    async def _join(self) -> None:
        joined = await self._group.join(self._joined.member, self._owned or frozenset())
        # Known by this id from here on: to ask again under another would look like a second process of our name.
        self._joined = joined._replace(generation=_NOT_IN)
        owned = await self._group.sync(joined, deal(self._partitions, joined.members) if joined.members else {})
        self._joined = joined
        if owned != self._owned:
            self._owned = owned
            self._told.put_nowait(owned)

    def _confirm(self, asked: int) -> None:
        for answer in self._asking[:asked]:
            if not answer.done():
                answer.set_result(self._owned or frozenset())
        del self._asking[:asked]

    def _end(self, living: asyncio.Task[None]) -> None:
        """Hand on to whoever listens why this instance is not in the group any more."""
        error = None if living.cancelled() else living.exception()
        if error is not None:
            self._told.put_nowait(error)
            for answer in self._asking:
                if not answer.done():
                    answer.set_exception(error)
