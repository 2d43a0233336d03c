"""A ledger as it stands, loaded from the journal for one question.

Law: it is what a command would be decided on now: all that is stored, with the holds expired that are due. It is a copy
in memory, and nothing that is asked of it changes anything anywhere. No other ledger costs anything.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from typing import NamedTuple

from domain.decide import lapse
from domain.state import Ledger
from schemas.codec import decode_event, id_key
from schemas.events import TransferPosted
from services.journal.ports import Journal, Wanted
from services.journal.postgres import PostgresJournal
from services.journal.streams import Streams
from services.kafka.topics import partition_of
from services.migrations import READER
from services.replay import state_before
from services.settings import Settings
from services.setup import Installed


class Present(NamedTuple):
    """A ledger at a time. `stored` is the last sequence that the journal has of it; after that come expiries."""

    ledger: Ledger
    at: str
    stored: int
    streams: Streams
    journal: Journal

    def transfers(self) -> Iterator[TransferPosted]:
        """Give every transfer of the ledger, in order. Blocks. Raises `Away`; `Unexpected` where one is missing."""
        for page in self.streams.pages(self.ledger.name, 1, self.stored):
            yield from (event for event in map(decode_event, page) if isinstance(event, TransferPosted))

    async def has_outcome(self, command: str) -> bool:
        """Tell whether this id is used up. Raises `Away`."""
        key = id_key(self.ledger.name, command)
        return key in (await self.journal.recall(Wanted([key], (), ()))).ids


@asynccontextmanager
async def present(settings: Settings, installed: Installed, name: str, at: str) -> AsyncIterator[Present | None]:
    """Load a ledger; None where it was never opened. Blocks while it loads.

    Args:
        settings: where the journal is.
        installed: what the installation is.
        name: of the ledger.
        at: the time that it is now, UTC, 24 characters.

    Raises:
        Away: the journal does not answer.
        Unexpected: it is not the one expected, or an event is missing.
    """
    number = partition_of(name, installed.partitions)
    dsn = settings.database(number)
    with closing(Streams(dsn, number, "defter-present")) as streams:
        stored = streams.last(name)
        if not stored:
            yield None
            return
        ledger = state_before(streams, name, stored + 1)
        lapse(ledger, max(at, ledger.at))
        journal = PostgresJournal(dsn, number, READER)
        try:
            yield Present(ledger, max(at, ledger.at), stored, streams, journal)
        finally:
            await journal.close()
