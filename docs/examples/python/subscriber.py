"""Keeps balances of its own in SQLite. Killed at any moment and started again, it goes on where it was.

    DEFTER_KAFKA=localhost:9092 python subscriber.py balances.db

How far it has read (`sequence`) is stored in the same transaction as what it made of the events: so no event counts
twice and none is left out, whatever is delivered again. It ends, and says why, when an event is missing.
"""

import asyncio
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Sequence

from defter_client import Client
from defter_client.schemas.events import Event, TransferPosted

TABLES = """
create table if not exists balances (
    account text, unit text, balance integer not null, primary key (account, unit)
);
create table if not exists progress (ledger text primary key, sequence integer not null);
"""
LEDGER = "main"


async def subscribe(database: sqlite3.Connection, servers: str, prefix: str) -> None:
    """Take in events for ever."""
    database.executescript(TABLES)
    database.execute("insert or ignore into progress values (?, 0)", (LEDGER,))
    database.commit()
    (sequence,) = database.execute("select sequence from progress where ledger = ?", (LEDGER,)).fetchone()
    async with Client.connect(servers, prefix=prefix) as client:
        async for events in client.subscribe(LEDGER, after=sequence).pages():
            take_in(database, events)


def take_in(database: sqlite3.Connection, events: Sequence[Event]) -> None:
    """Add up what events say, and note the last of them, both or neither."""
    changes: Counter[tuple[str, str]] = Counter()
    for event in events:
        if isinstance(event, TransferPosted):
            for posting in event.postings:
                changes[posting.account, posting.unit] += int(posting.amount)
    with database:
        database.executemany(
            "insert into balances values (?, ?, ?) on conflict do update set balance = balance + excluded.balance",
            [(account, unit, change) for (account, unit), change in changes.items()],
        )
        moved = database.execute(
            "update progress set sequence = ? where ledger = ? and sequence = ?",
            (events[-1].sequence, LEDGER, events[0].sequence - 1),
        )
        if moved.rowcount != 1:
            # Raised within `with`, it takes the balances back too.
            raise RuntimeError("another subscriber keeps the same database")


if __name__ == "__main__":
    asyncio.run(
        subscribe(sqlite3.connect(sys.argv[1]), os.environ["DEFTER_KAFKA"], os.environ.get("DEFTER_PREFIX", "defter."))
    )
