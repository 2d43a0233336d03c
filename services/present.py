"""A ledger as it stands, loaded from the journal for one question.

Law: it is what a command would be decided on now: all that is stored, with the holds expired that are due. It is a copy
in memory, and nothing that is asked of it changes anything anywhere.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from domain.decide import advance
from domain.state import Ledger
from schemas.codec import decode_event, id_key
from schemas.commands import Tick
from schemas.events import TransferPosted
from schemas.lean import TRANSFER
from services.journal.ports import Journal, Wanted
from services.journal.postgres import PostgresJournal
from services.kafka.topics import partition_of
from services.migrations import READER
from services.settings import Settings
from services.setup import Installed
from services.shard import Shard


class Present(NamedTuple):
    """A ledger at a time. `stored` is the last sequence that the journal has of it; after that come expiries."""

    ledger: Ledger
    at: str
    stored: int
    journal: Journal

    async def transfers(self) -> AsyncIterator[TransferPosted]:
        """Give every transfer of the ledger, in order. Raises `Away`."""
        async for rows in self.journal.load():
            for row in rows:
                if row.ledger == self.ledger.name and row.tag == TRANSFER and row.sequence <= self.stored:
                    event = decode_event(row.data)
                    assert isinstance(event, TransferPosted), event
                    yield event

    async def has_outcome(self, command: str) -> bool:
        """Tell whether this id is used up. Raises `Away`."""
        key = id_key(self.ledger.name, command)
        return key in (await self.journal.recall(Wanted([key], (), ()))).ids


@asynccontextmanager
async def present(settings: Settings, installed: Installed, name: str, at: str) -> AsyncIterator[Present | None]:
    """Load a ledger; None where it was never opened.

    Args:
        settings: where the journal is.
        installed: what the installation is.
        name: of the ledger.
        at: the time that it is now, UTC, 24 characters.

    Raises:
        Away: the journal does not answer.
        Unexpected: it is not the one expected.
    """
    number = partition_of(name, installed.partitions)
    journal = PostgresJournal(settings.database(number), number, READER)
    shard = Shard(number, installed.partitions)
    try:
        async for rows in journal.load():
            shard.restore(row for row in rows if row.ledger == name)
        ledger = shard.ledgers.get(name)
        if ledger is None:
            yield None
            return
        stored = ledger.sequence
        advance(ledger, Tick(id="now", ledger=name), at)
        yield Present(ledger, max(at, ledger.at), stored, journal)
    finally:
        await journal.close()
