"""Puts commands into the topic of commands, in the order given, however often that takes.

Law: a command is in the topic, at the place told, once `put` returns; and of one partition no command comes for the
first time before one that was put earlier. So after a failure, when nobody knows what arrived, the producer is thrown
away with all that it had not sent, and everything not acknowledged is sent again, in its order. What was in the topic
already is there twice then, which its id makes harmless.

What becomes of a command next: Defter's writer. Who hears of it: `defter_client.replies`.
"""

import asyncio
import logging
import random
from collections import deque
from itertools import islice
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from .errors import Away, Unexpected
from .kafka import PATIENCE_S, Kafka, failure

_AT_ONCE: Final = 1000
_BATCH_BYTES: Final = 256 * 1024
_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_LETS_GO_S: Final = 2.0
_log: Final = logging.getLogger("defter_client")


class Message(NamedTuple):
    """A command about to be put into its partition."""

    partition: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class Place(NamedTuple):
    """Where a command lies in the topic."""

    partition: int
    offset: int


class Sender:
    """One producer for one topic, made anew after each failure.

    Args:
        kafka: the cluster.
        topic: its name.
    """

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self.trouble = ""
        """Why nothing is acknowledged at the moment; empty where all is well."""
        self._kafka = kafka
        self._topic = topic
        self._waiting: deque[tuple[Message, asyncio.Future[Place]]] = deque()
        self._there_are_some = asyncio.Event()
        self._producer: Any = None
        self._running = asyncio.create_task(self._run(), name="defter_client: sending")

    def put(self, message: Message) -> asyncio.Future[Place]:
        """Line a message up, behind those before it; its place comes once all replicas have it.

        The future is cancelled by whoever waits no longer. It fails with `Unexpected` where Kafka refuses.
        """
        placed: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._waiting.append((message, placed))
        self._there_are_some.set()
        return placed

    async def close(self) -> None:
        """Give up what is not in the topic yet, and let go of connections. Never raises."""
        self._running.cancel()
        await asyncio.wait({self._running})
        await self._abandon()
        for _, placed in self._waiting:
            placed.cancel()

    async def _run(self) -> None:
        pause_s = _PAUSE_S
        while True:
            await self._there_are_some.wait()
            some = list(islice(self._waiting, _AT_ONCE))
            try:
                places = await self._sent([message for message, _ in some])
            except Away as away:
                self.trouble = str(away)
                await self._abandon()
                if pause_s == _PAUSE_S:
                    _log.warning("topic %s: %s; it is tried again", self._topic, away)
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter is no secret
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                self._waiting = deque(one for one in self._waiting if not one[1].done())
            except Unexpected as unexpected:
                await self._abandon()
                self._take_off(some, unexpected)
            else:
                self.trouble, pause_s = "", _PAUSE_S
                self._take_off(some, places)
            if not self._waiting:
                self._there_are_some.clear()

    def _take_off(self, some: list[tuple[Message, asyncio.Future[Place]]], told: list[Place] | Unexpected) -> None:
        for number, (_, placed) in enumerate(some):
            self._waiting.popleft()
            if placed.done():
                continue
            if isinstance(told, Unexpected):
                placed.set_exception(told)
            else:
                placed.set_result(told[number])

    async def _sent(self, messages: list[Message]) -> list[Place]:
        coming: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(PATIENCE_S):
                producer = await self._opened()
                for partition, key, value, headers in messages:
                    coming.append(await producer.send(self._topic, value, key, partition, headers=headers))
                return [Place(told.partition, told.offset) for told in [await one for one in coming]]
        except (KafkaError, OSError) as error:
            raise failure(error, self._kafka) from error
        finally:
            for one in coming:
                one.cancel()

    async def _opened(self) -> Any:
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                acks="all", enable_idempotence=True, max_batch_size=_BATCH_BYTES, **self._kafka.options
            )
            await self._producer.start()
        return self._producer

    async def _abandon(self) -> None:
        """Throw the producer away, unsent batches and all: its own `stop` would go on sending them."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        producer._closed = True  # noqa: SLF001 - it is what `stop` sets
        sending = producer._sender.sender_task  # noqa: SLF001 - nothing public ends it without sending what is left
        if sending is not None:
            sending.cancel()
        await producer.client.close()
        if sending is not None:
            await asyncio.wait({sending}, timeout=_LETS_GO_S)
