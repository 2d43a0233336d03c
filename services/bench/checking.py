"""Whether what was measured came out right. A figure of work that went wrong is no figure.

Law: everything is looked at, nothing is sampled: the topic against the journal byte for byte, the journal against the
rules of arithmetic, the read models against the journal.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import psycopg

from schemas.codec import decode_event
from schemas.events import CommandRefused, TransferPosted
from services.bench.load import LEDGER, Home
from services.journal.ports import Row
from services.journal.postgres import PostgresJournal
from services.kafka.partition import Partition
from services.kafka.topics import Topics
from services.migrations.run import READER
from services.settings import Settings

_BALANCES: Final = "select account, unit, debits, credits, balance from read.balances where ledger = %s"
_COUNTS: Final = """
select (select count(*) from journal.shard_{shard}_ids),
       (select count(*) from journal.dead_letters where "partition" = {shard}),
       (select count(*) from read.outcomes where outcome = 'accepted' and ledger = %s)"""


_HOME: Final = Home()


class Wrong(RuntimeError):
    """What was measured did not come out right."""


async def check(settings: Settings, connection: psycopg.Connection[Any], commands: int, home: Home = _HOME) -> None:
    """See that so many commands were all accepted, and that journal, topic and read models tell the same.

    Args:
        settings: of the installation.
        connection: to its database.
        commands: how many there were, each with an id of its own.
        home: the ledger, and where it lives.

    Raises:
        Wrong: they do not.
    """
    told, shard = Told(home.ledger), home.partition
    published = _Published(settings, shard)
    journal = PostgresJournal(settings.database(shard), shard, READER)
    try:
        async for rows in journal.load():
            for row in rows:
                told.take_in(row)
            await published.compare(rows)
        await published.end()
    finally:
        await journal.close()
        await published.close()
    if told.sequence != commands:
        raise Wrong(f"{commands} commands brought {told.sequence} events")
    question = _COUNTS.replace("{shard}", str(shard))
    counts = (await asyncio.to_thread(_rows, connection, question, home.ledger))[0]
    if counts != (commands, 0, commands):
        raise Wrong(f"{commands} commands: ids, dead letters and accepted outcomes are {counts}")
    told.compare(await asyncio.to_thread(_rows, connection, _BALANCES, home.ledger))


class Told:
    """What the events of a journal tell, by themselves."""

    def __init__(self, ledger: str = LEDGER) -> None:
        self.sequence = 0
        self._ledger = ledger
        self._debits: Counter[tuple[str, str]] = Counter()
        self._credits: Counter[tuple[str, str]] = Counter()

    def take_in(self, row: Row) -> None:
        """Take in the next event."""
        self.sequence += 1
        if (row.ledger, row.sequence) != (self._ledger, self.sequence):
            raise Wrong(f"event {row.sequence} of {row.ledger} stands where {self.sequence} of {self._ledger} should")
        event = decode_event(row.data)
        if isinstance(event, CommandRefused):
            raise Wrong(f"event {row.sequence} refuses: {event.reason} {event.details}")
        if isinstance(event, TransferPosted):
            self._move(event)

    def compare(self, rows: list[tuple[Any, ...]]) -> None:
        """See that the read model has these balances, and that they sum to zero."""
        found = {(account, unit): (debited, credited) for account, unit, debited, credited, _ in rows}
        expected = {
            place: (self._debits[place], self._credits[place]) for place in self._debits.keys() | self._credits.keys()
        }
        for place in expected.keys() | found.keys():
            if expected.get(place) != found.get(place):
                raise Wrong(f"{place}: the journal has {expected.get(place)}, the read model {found.get(place)}")
        if sum(balance for *_, balance in rows):
            raise Wrong("the balances do not sum to zero")

    def _move(self, event: TransferPosted) -> None:
        """Add the postings up, and see that each says the totals after it."""
        moved = 0
        for posting in event.postings:
            place, amount = (posting.account, posting.unit), int(posting.amount)
            moved += amount
            if amount < 0:
                self._debits[place] -= amount
            else:
                self._credits[place] += amount
            if (int(posting.debits), int(posting.credits)) != (self._debits[place], self._credits[place]):
                raise Wrong(f"event {event.sequence}: wrong totals of {posting.account}")
        if moved:
            raise Wrong(f"event {event.sequence} does not sum to zero")


class _Published:
    """The events as any subscriber reads them."""

    def __init__(self, settings: Settings, shard: int) -> None:
        self._partition = Partition(settings.brokers(), Topics(settings.prefix).events, shard)
        self._values: Iterator[bytes | None] = iter(())
        self._next = 0

    async def compare(self, rows: list[Row]) -> None:
        """See that the next events on the topic are these, byte for byte."""
        for row in rows:
            value = next(self._values, None)
            if value is None:
                value = await self._fetched(row)
            if value != row.data:
                raise Wrong(f"event {row.sequence}: the topic has other bytes than the journal")

    async def end(self) -> None:
        """See that there is nothing more on the topic."""
        end = (await self._partition.bounds()).end
        if next(self._values, None) is not None or end != self._next:
            raise Wrong(f"the topic holds more events than the journal: it ends at offset {end}")

    async def close(self) -> None:
        """Let go of the connection. Never raises."""
        await self._partition.close()

    async def _fetched(self, row: Row) -> bytes | None:
        if (await self._partition.bounds()).end == self._next:
            raise Wrong(f"event {row.sequence} is not on the topic")
        chunk = await self._partition.after(self._next)
        self._values, self._next = iter([record.value for record in chunk.records]), chunk.next
        return next(self._values, None)


def _rows(connection: psycopg.Connection[Any], question: str, *arguments: object) -> list[tuple[Any, ...]]:
    return connection.execute(question.encode(), arguments).fetchall()
