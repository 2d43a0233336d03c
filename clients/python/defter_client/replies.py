"""Hears the outcomes of the commands that were sent, and tells whoever waits for each.

Law: an outcome is told once it is durable, and it is Defter's own word. Whoever asks for the same command twice at the
same time is told the same; two contents are never on their way under one id, for one reply could not be told from the
other. A reply that nobody waits for is passed over: whoever asks again is answered again.

Who waits: `defter_client.client`.
"""

import asyncio
import logging
from typing import Any, Final, NamedTuple

import msgspec

from .errors import Away, Unexpected
from .kafka import Kafka
from .reading import Reader
from .schemas.replies import Reply, decode_reply

_PAUSE_S: Final = 1.0
_log: Final = logging.getLogger("defter_client")


class Asked(NamedTuple):
    """What an outcome is of: one id has one outcome in its ledger."""

    ledger: str
    command: str


class _Waiting(NamedTuple):
    """Who waits for an outcome, and what was said."""

    content: bytes
    told: list[asyncio.Future[Reply]]


class Replies:
    """One topic of replies, heard from now on.

    Args:
        kafka: the cluster.
        topic: its name.
        partitions: how many it has.
    """

    def __init__(self, kafka: Kafka, topic: str, partitions: int) -> None:
        self.topic = topic
        self._readers = [Reader(kafka, topic, number) for number in range(partitions)]
        self._waiting: dict[Asked, _Waiting] = {}
        self._listening: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Begin to hear what comes from now on. Raises `Away`, and `Unexpected` where the topic may not be read."""
        for reader in self._readers:
            _, end = await reader.bounds()
            reader.seek(end)
        self._listening = [
            asyncio.create_task(self._listen(reader), name="defter_client: replies") for reader in self._readers
        ]

    def expect(self, asked: Asked, content: bytes) -> asyncio.Future[Reply]:
        """Wait for an outcome. The future is cancelled by whoever waits no longer.

        Raises:
            ValueError: the id is on its way already, with another content.
        """
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(asked, _Waiting(content, []))
        if waiting.content != content:
            raise ValueError(f"{asked.command!r} is on its way to ledger {asked.ledger}, and says something else")
        waiting.told.append(told)
        told.add_done_callback(lambda _: self._forget(asked, told))
        return told

    async def close(self) -> None:
        """Hear no more, tell those who wait, and let go of connections. Never raises."""
        for told in [told for waiting in self._waiting.values() for told in waiting.told if not told.done()]:
            told.set_exception(Away("the client was closed before the outcome was heard; sending it again is safe"))
        for task in self._listening:
            task.cancel()
        if self._listening:
            await asyncio.wait(self._listening)
        await asyncio.gather(*(reader.close() for reader in self._readers))

    async def _listen(self, reader: Reader) -> None:
        while True:
            try:
                records = await reader.records()
            except Unexpected as unexpected:
                # Whoever waits asks again, and is answered from here on.
                _log.warning("%s; replies are heard from where they are now", unexpected.what)
                await asyncio.sleep(_PAUSE_S)
                await self._catch_up(reader)
            else:
                for record in records:
                    self._tell(record)

    async def _catch_up(self, reader: Reader) -> None:
        try:
            _, end = await reader.bounds()
        except (Away, Unexpected) as error:
            _log.debug("%s", error)
        else:
            reader.seek(end)

    def _tell(self, record: Any) -> None:
        try:
            reply = decode_reply(record.value or b"")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            _log.warning("%s: what is at offset %d is no reply", self.topic, record.offset)
            return
        if reply.ledger is not None and reply.command is not None:
            waiting = self._waiting.pop(Asked(reply.ledger, reply.command), None)
            for told in waiting.told if waiting else ():
                if not told.done():
                    told.set_result(reply)

    def _forget(self, asked: Asked, told: asyncio.Future[Reply]) -> None:
        waiting = self._waiting.get(asked)
        if waiting and told in waiting.told:
            waiting.told.remove(told)
            if not waiting.told:
                del self._waiting[asked]
