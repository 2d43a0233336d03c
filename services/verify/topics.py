"""Holds the journal against the topics: what was published, and what the commands say.

Law: the topics are only read, from their beginning, outside of every consumer group.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

from services.journal.postgres import PostgresJournal
from services.kafka.inbox import KafkaInbox
from services.kafka.partition import Partition
from services.kafka.ports import Record
from services.migrations import READER
from services.settings import Settings
from services.setup import Installed
from services.verify import published
from services.verify.fault import Fault
from services.verify.moment import Moment
from services.verify.redecide import Redecided, Release, redecide

_RELEASES = b"select first_offset, rules from journal.releases where shard = %b order by epoch"


class Compared(NamedTuple):
    """What was found: the first fault of each partition, and what was decided again, by partition."""

    faults: list[Fault]
    redecided: list[Redecided]


async def verify(
    settings: Settings,
    installed: Installed,
    *,
    events: bool,
    commands: bool,
    progress: Callable[[int], None] = lambda _: None,
) -> Compared:
    """Compare the topics of every shard with its journal.

    Args:
        settings: where everything is.
        installed: what it is.
        events: compare what was published.
        commands: decide again.
        progress: is told how many commands of a partition were decided again.

    Raises:
        Away: PostgreSQL or Kafka does not answer.
        Unexpected: the commands topic does not hold all that was decided.
    """
    compared = Compared([], [])
    for shard in range(installed.partitions):
        async with AsyncExitStack() as stack:
            journal = PostgresJournal(settings.database(shard), shard, READER)
            stack.push_async_callback(journal.close)
            if events:
                partition = Partition(settings.brokers(), installed.topics.events, shard)
                stack.push_async_callback(partition.close)
                if fault := await published.compare(journal, _records(partition)):
                    compared.faults.append(fault)
            if commands:
                inbox = KafkaInbox(settings.brokers(), installed.topics.commands, shard)
                stack.push_async_callback(inbox.close)
                releases = _releases(settings, shard)
                again = await redecide(inbox, journal, installed.partitions, releases, progress)
                compared.redecided.append(again)
                compared.faults.extend([again.fault] if again.fault else [])
    return compared


async def _records(partition: Partition) -> AsyncIterator[Record]:
    """Give all that a partition holds now."""
    offset, end = await partition.bounds()
    while offset < end:
        chunk = await partition.after(offset)
        for record in chunk.records:
            if record.offset < end:
                yield record
        offset = chunk.next


def _releases(settings: Settings, shard: int) -> list[Release]:
    moment = Moment(settings.database(shard))
    try:
        return [Release(*row) for row in moment.rows(_RELEASES, (shard,))]
    finally:
        moment.close()
