"""Hears the outcomes of the commands that were sent, and tells whoever waits for each.

Law: an outcome is told once it is durable, and it is Defter's own word. Whoever asks for the same command twice at the
same time is told the same. A reply that nobody waits for is passed over: whoever asks again is answered again.

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
        self._waiting: dict[Asked, list[asyncio.Future[Reply]]] = {}
        self._listening: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Begin to hear what comes from now on. Raises `Away`, and `Unexpected` where the topic may not be read."""
        for reader in self._readers:
            _, end = await reader.bounds()
            reader.seek(end)
        self._listening = [
            asyncio.create_task(self._listen(reader), name="defter_client: replies") for reader in self._readers
        ]

    def expect(self, asked: Asked) -> asyncio.Future[Reply]:
        """Wait for an outcome. The future is cancelled by whoever waits no longer."""
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(asked, []).append(told)
        told.add_done_callback(lambda _: self._forget(asked, told))
        return told

    async def close(self) -> None:
        """Hear no more, and let go of connections. Never raises."""
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
        except (msgspec.DecodeError, UnicodeError):
            _log.warning("%s: what is at offset %d is no reply", self.topic, record.offset)
            return
        if reply.ledger is not None and reply.command is not None:
            for told in self._waiting.pop(Asked(reply.ledger, reply.command), ()):
                if not told.done():
                    told.set_result(reply)

    def _forget(self, asked: Asked, told: asyncio.Future[Reply]) -> None:
        others = [one for one in self._waiting.get(asked, ()) if one is not told]
        if others:
            self._waiting[asked] = others
        else:
            self._waiting.pop(asked, None)
