"""Follows the topic `events`, as a subscriber does: in order for each ledger, a duplicate told by its sequence.

Law: bytes are handed on as they were published.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from services.errors import Away, Unexpected
from services.kafka.partition import Partition
from services.kafka.ports import Record
from services.settings import Kafka

_AHEAD: Final = 1000


async def follow(
    kafka: Kafka, topic: str, partitions: int, *, beginning: bool
) -> AsyncGenerator[tuple[str, bytes], None]:
    """Give ledger and bytes of every event, for ever. Close it (`contextlib.aclosing`) when there are enough.

    Args:
        kafka: how Kafka is reached.
        topic: that of the events.
        partitions: how many it has.
        beginning: from the first event on; else from now on.

    Raises:
        Away: Kafka does not answer.
        Unexpected: the topic is not there, or was cut short, or holds what is no event.
    """
    records: asyncio.Queue[Record | Exception] = asyncio.Queue(_AHEAD)
    places = [Partition(kafka, topic, number) for number in range(partitions)]
    readers = [asyncio.create_task(_read(place, records, beginning=beginning)) for place in places]
    sequences: dict[str, int] = {}
    try:
        while True:
            record = await records.get()
            if isinstance(record, Exception):
                raise record
            ledger, sequence = _place(record, topic)
            if sequence > sequences.get(ledger, 0):
                sequences[ledger] = sequence
                yield ledger, record.value or b""
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers)
        for place in places:
            await place.close()


async def _read(partition: Partition, records: asyncio.Queue[Record | Exception], *, beginning: bool) -> None:
    try:
        bounds = await partition.bounds()
        place = bounds.begin if beginning else bounds.end
        while True:
            chunk = await partition.after(place)
            for record in chunk.records:
                await records.put(record)
            place = chunk.next
    except (Away, Unexpected) as error:
        await records.put(error)


def _place(record: Record, topic: str) -> tuple[str, int]:
    """Read ledger and sequence from the headers; the first of a name counts."""
    headers = {name: value for name, value in reversed(record.headers) if value is not None}
    try:
        return headers["ledger"].decode(), int(headers["sequence"])
    except (KeyError, ValueError):
        raise Unexpected(
            f"the record at offset {record.offset} of {topic} is no event of Defter's",
            "let nothing else write to this topic, or set DEFTER_PREFIX right",
        ) from None
