"""What goes out beside events where it is asked for: replies to commands, and postings one by one.

Law: as of everything that is measured, all of it is looked at before there is a figure.
"""

from collections.abc import AsyncIterator

from schemas.postings import decode_posting
from schemas.replies import Outcome, decode_reply
from services.bench.checking import Wrong
from services.kafka.partition import Partition
from services.kafka.ports import Headers
from services.kafka.topics import Topics
from services.requests import HEADER
from services.settings import Settings


def replies_topic(settings: Settings) -> str:
    """Name the topic that replies go to."""
    return f"{settings.prefix}replies.bench"


def asking(settings: Settings) -> Headers:
    """Give the headers of a command that asks for a reply."""
    return [(HEADER, replies_topic(settings).encode())]


async def see_replies(settings: Settings, partitions: int, commands: int) -> None:
    """See that each of so many commands was told once that it is accepted. Raises `Wrong`, `Away`."""
    told = set()
    count = 0
    async for value in _values(settings, replies_topic(settings), partitions):
        reply = decode_reply(value)
        if reply.outcome is not Outcome.ACCEPTED or reply.duplicate:
            raise Wrong(f"a reply says {value!r}")
        told.add((reply.ledger, reply.command))
        count += 1
    if (count, len(told)) != (commands, commands):
        raise Wrong(f"{commands} commands brought {count} replies, to {len(told)} of them")


async def see_postings(settings: Settings, partitions: int, postings: int) -> None:
    """See that so many postings are on their topic, each once. Raises `Wrong`, `Away`."""
    told = set()
    count = 0
    async for value in _values(settings, Topics(settings.prefix).postings, partitions):
        posting = decode_posting(value)
        told.add((posting.ledger, posting.id))
        count += 1
    if (count, len(told)) != (postings, postings):
        raise Wrong(f"{postings} postings are {count} messages, of {len(told)} postings")


async def _values(settings: Settings, topic: str, partitions: int) -> AsyncIterator[bytes]:
    for number in range(partitions):
        partition = Partition(settings.brokers(), topic, number)
        try:
            place, end = await partition.bounds()
            while place < end:
                chunk = await partition.after(place)
                place = chunk.next
                for record in chunk.records:
                    yield record.value or b""
        finally:
            await partition.close()
