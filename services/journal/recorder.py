"""The `eventsourcing` library's recorder for one shard, with everything else of a batch in the same transaction.

Of that library the recorder is used: it numbers events, refuses a number already taken, and is certified by the test
cases that the library ships. What is stored is the very bytes that are published, under the tag of the event, so no
Python name is ever written to disk.

Where it is told otherwise than it ships: rows travel as one array a column; the row of the shard in `offsets`, taken
first, puts positions in the order of commits, so its table lock, which waits for every VACUUM, is not needed; positions
are not read back. Its functions inside the database are never used: they take no lock.
"""

import functools
from collections.abc import Hashable, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from services.journal import arrays, dead_letters
from services.journal.connection import Connections
from services.journal.ports import Batch, Id, Standing

_H = TypeVar("_H", bound=Hashable)

# The row of the shard comes first: all else waits until `moved` has given a row. Where the place is no longer ours
# `next` becomes null, which the column refuses, and all fails. An update that merely finds no row would let the rest be
# stored.
_MOVE: Final = """
with moved as (
    update journal.offsets
       set next = case when next = %b and epoch = %b then %b end, last_at_ms = %b, last_digest = %b, replied = %b
     where shard = {shard}
    returning pg_notify('shard_{shard}_events', '')
)"""

_TAKE: Final = """
with moved as materialized (
    select pg_notify('shard_{shard}_events', '')
      from (select from journal.offsets where shard = {shard} for update) as taken
)"""

# Ids go in sorted: keys come in any order, and neighbours in their index are found in the same pages.
_WITH_A_BATCH: Final = """
, sealed as (
    insert into journal.seals (originator_id, sequence, seal)
    select unnest(%b::uuid[]), unnest(%b::int8[]), unnest(%b::bytea[]) where exists (select from moved)
), identified as (
    insert into journal.shard_{shard}_ids (key, fingerprint, originator_id, sequence, reverses)
    select key, fingerprint, (%b::uuid[])[ledger], sequence, reverses
      from (select unnest(%b::uuid[]) as key, unnest(%b::uuid[]) as fingerprint, unnest(%b::int4[]) as ledger,
                   unnest(%b::int8[]) as sequence, unnest(%b::int8[]) as reverses offset 0) as rows
     where exists (select from moved)
     order by key
), opened as (
    insert into journal.ledgers (originator_id, name, shard)
    select unnest(%b::uuid[]), unnest(%b::text[]), {shard} where exists (select from moved)
), dead as (
    insert into journal.dead_letters ("partition", "offset", at_ms, key, value, reason, detail, headers)
    select {shard}, "offset", at_ms, key, value, reason, detail, (%b::bytea[])[first:last]
      from (select unnest(%b::int8[]) as "offset", unnest(%b::int8[]) as at_ms, unnest(%b::bytea[]) as key,
                   unnest(%b::bytea[]) as value, unnest(%b::text[]) as reason, unnest(%b::text[]) as detail,
                   unnest(%b::int4[]) as first, unnest(%b::int4[]) as last offset 0) as rows
     where exists (select from moved)
)"""

_INSERT_EVENTS: Final = """
insert into journal.shard_{shard}_events (originator_id, originator_version, topic, state)
select (%b::uuid[])[ledger], sequence, (%b::text[])[tag], data
  from (select unnest(%b::int4[]) as ledger, unnest(%b::int8[]) as sequence, unnest(%b::int4[]) as tag,
               unnest(%b::bytea[]) as data offset 0) as rows
 where exists (select from moved)"""

APPEND: Final = _MOVE + _WITH_A_BATCH + _INSERT_EVENTS
"""Stores a batch with all that belongs to it."""

_INSERT: Final = _TAKE + _INSERT_EVENTS + " returning notification_id"


class Seal(NamedTuple):
    """How a ledger is sealed up to and including `sequence`."""

    sequence: int
    seal: bytes


class Append(NamedTuple):
    """A batch, the place it must find the shard at, and the seals of the ledgers that it touches."""

    batch: Batch
    standing: Standing
    seals: dict[str, Seal]


@functools.lru_cache(maxsize=1 << 16)
def ledger_id(ledger: str) -> bytes:
    """Return the 16 bytes of the UUID under which a ledger is stored."""
    return uuid5(NAMESPACE_URL, f"defter:{ledger}").bytes


@functools.cache
def of_shard(statement: str, shard: int) -> bytes:
    """Return a statement with the number of its shard filled in, as psycopg takes one with no parts from outside."""
    return statement.replace("{shard}", str(shard)).encode()


class ShardRecorder(PostgresApplicationRecorder):
    """The recorder of one shard.

    Args:
        connections: where it gets a connection for the thread that calls.
        shard: which one.
    """

    def __init__(self, connections: Connections, shard: int) -> None:
        super().__init__(_Datastore(connections), events_table_name=f"shard_{shard}_events")
        self.lock_table_statements = []
        self._append = of_shard(APPEND, shard)
        self._insert = of_shard(_INSERT, shard)

    def append(self, append: Append) -> None:
        """Store a batch.

        Raises:
            eventsourcing.persistence.PersistenceError: with the error of psycopg as its cause; nothing is stored,
                unless it is the answer that was lost.
        """
        self.insert_events(cast(Any, append.batch.entries), append=append)

    def insert_events(
        self, stored_events: Sequence[StoredEvent], *, append: Append | None = None, **_: Any
    ) -> Sequence[int] | None:
        """Store the library's events, or a batch with all that belongs to it, in one statement: that is a transaction.

        So none stands open while we do something else, and each side wakes up once. The library's own asks
        thrice, and after a lost answer tries again by itself, which would take rows of ours for another's.
        """
        with self.datastore.get_connection() as connection, connection.cursor() as cursor:
            # Only now: as long as there is no connection, a batch that is tried again and again builds nothing.
            statement, arguments = self._of_library(stored_events) if append is None else self._of_batch(append)
            cursor.execute(statement, arguments, prepare=True)
            return [row["notification_id"] for row in cursor] if append is None else None

    def _of_library(self, events: Sequence[StoredEvent]) -> tuple[bytes, tuple[Any, ...]]:
        ids, places = _numbered([cast(UUID, event.originator_id).bytes for event in events])
        columns = _event_columns(
            ids,
            places,
            [event.originator_version for event in events],
            [event.topic for event in events],
            [event.state for event in events],
        )
        return self._insert, columns

    def _of_batch(self, append: Append) -> tuple[bytes, tuple[Any, ...]]:
        batch, standing, seals = append
        place = (standing.next, standing.epoch, batch.next, batch.last_at_ms, batch.last_digest, batch.replied)
        ledgers, places = _numbered([entry.ledger for entry in batch.entries])
        columns = (
            *_seal_columns(seals),
            *_id_columns(batch.ids),
            *_ledger_columns(batch.opened),
            *dead_letters.columns(batch.dead_letters),
            *_event_columns(
                [ledger_id(ledger) for ledger in ledgers],
                places,
                [entry.sequence for entry in batch.entries],
                [entry.tag for entry in batch.entries],
                [entry.data for entry in batch.entries],
            ),
        )
        return self._append, (*place, *columns)


class _Datastore(PostgresDatastore):
    """What the library's recorder knows of a database, on our connections instead of its pool."""

    def __init__(self, connections: Connections) -> None:
        super().__init__("", "", "", "", "", schema="journal")
        self.pool = cast(Any, connections)

    def register_type_adapters(self) -> None:
        """Do nothing: the composite types that the library ships its rows in are not used."""


def _event_columns(
    ids: list[bytes], places: list[int], sequences: list[int], tags: list[str], states: list[bytes]
) -> tuple[arrays.Column, ...]:
    distinct_tags, tag_places = _numbered(tags)
    return (
        arrays.uuids(ids),
        arrays.texts(distinct_tags),
        arrays.ints(places),
        arrays.bigints(sequences),
        arrays.ints(tag_places),
        arrays.byteas(states),
    )


def _seal_columns(seals: dict[str, Seal]) -> tuple[arrays.Column, ...]:
    return (
        arrays.uuids([ledger_id(ledger) for ledger in seals]),
        arrays.bigints([sequence for sequence, _ in seals.values()]),
        arrays.byteas([value for _, value in seals.values()]),
    )


def _id_columns(ids: Sequence[Id]) -> tuple[arrays.Column, ...]:
    ledgers, places = _numbered([each.ledger for each in ids])
    return (
        arrays.uuids([ledger_id(ledger) for ledger in ledgers]),
        arrays.uuids([each.key for each in ids]),
        arrays.uuids([each.fingerprint for each in ids]),
        arrays.ints(places),
        arrays.bigints([each.sequence for each in ids]),
        arrays.bigints_or_null([each.reverses for each in ids]),
    )


def _ledger_columns(opened: Sequence[str]) -> tuple[arrays.Column, ...]:
    return arrays.uuids([ledger_id(ledger) for ledger in opened]), arrays.texts(opened)


def _numbered(values: Sequence[_H]) -> tuple[list[_H], list[int]]:
    """Return each distinct value once, and for each value the number of its like, from 1 as PostgreSQL counts."""
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values), 1)}
    return list(numbers), [numbers[value] for value in values]
