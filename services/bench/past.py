"""A long past, made quickly: the same work as everywhere, decided in this process and appended with no Kafka between.

Law: the calls are those of the writer. What is in the journal is what a writer would have put there, ids and seals too.
"""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

from services.bench import load
from services.bench.load import HOME, Home
from services.bench.options import Options
from services.journal.ports import Batch, Recalled
from services.journal.postgres import PostgresJournal
from services.kafka.ports import Record
from services.reading import read
from services.settings import Settings
from services.shard import Shard
from services.writer import MOST_RECORDS, RULES

_BEGIN_MS: Final = 1_800_000_000_000
_NO_DIGEST: Final = bytes(32)
_NOTHING: Final = Recalled({}, {}, {})


async def happened(settings: Settings, options: Options, home: Home = HOME) -> int:
    """Fill the empty journal of a ledger with accounts and transfers, and return how many events that took.

    Args:
        settings: of the installation.
        options: how many of each.
        home: which ledger.

    Raises:
        Away: PostgreSQL does not answer.
    """
    journal = PostgresJournal(settings.database(home.partition), home.partition)
    await journal.claim(RULES)
    shard = Shard(home.partition, home.partitions)
    following = 0
    try:
        for records in _batches(options, home):
            # Every id is new, so there is nothing to look up.
            draft = shard.begin()
            for reading in map(read, records):
                shard.decide(reading, _NOTHING, draft)
            following += len(records)
            stored = (draft.entries, draft.ids, draft.opened, draft.dead_letters)
            await journal.append(Batch(*stored, following, records[-1].at_ms, _NO_DIGEST, following))
            shard.forget(shard.drafts)
    finally:
        await journal.close()
    return following


def _batches(options: Options, home: Home) -> Iterator[list[Record]]:
    commands = chain(load.opening(options.accounts), load.share(home, options.transfers, options.accounts))
    coming = enumerate(load.of(home, commands))
    key = home.ledger.encode()
    while records := [
        Record(offset, _BEGIN_MS + offset // MOST_RECORDS, key, value, ())
        for offset, value in islice(coming, MOST_RECORDS)
    ]:
        yield records
