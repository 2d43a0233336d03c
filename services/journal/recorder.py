"""The `eventsourcing` library's recorder for one shard, with everything else of a batch in the same transaction.

Of that library the recorder is used: it numbers events, refuses a number already taken, and is certified by the test cases that the library ships. What
is stored is the very bytes that are published, under the tag of the event, so no Python name is ever written to disk.

Where it is told otherwise than it ships: rows travel as one array a column; the row of the shard in `offsets`, taken first, puts positions in the order of
commits, so its table lock, which waits for every VACUUM, is not needed; positions are not read back. Its functions inside the database are never used:
they take no lock.
"""

import functools
from collections.abc import Hashable, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from services.journal import arrays
from services.journal.connection import Connections
from services.journal.dead_letters import as_row
from services.journal.ports import Batch, Entry, Standing

_H = TypeVar("_H", bound=Hashable)
_Cursor = psycopg.Cursor[dict[str, Any]]

_TAKE_SHARD: Final = "select 1 from journal.offsets where shard = %s for update"

# Where the place is no longer ours `next` becomes null, which the column refuses. An update that merely finds no row would let all that follows be stored.
_MOVE: Final = """
update journal.offsets
   set next = case when next = %b and epoch = %b then %b end, last_at_ms = %b, last_digest = %b, replied = %b
 where shard = %b"""

_INSERT_EVENTS: Final = """
insert into journal.shard_{shard}_events (originator_id, originator_version, topic, state)
select (%b::uuid[])[ledger], sequence, (%b::text[])[tag], data
  from (select unnest(%b::int4[]) as ledger, unnest(%b::int8[]) as sequence, unnest(%b::int4[]) as tag, unnest(%b::bytea[]) as data offset 0) as rows"""

_INSERT_IDS: Final = """
insert into journal.shard_{shard}_ids (key, fingerprint, originator_id, sequence, reverses)
select key, fingerprint, (%b::uuid[])[ledger], sequence, reverses
  from (select unnest(%b::uuid[]) as key, unnest(%b::uuid[]) as fingerprint, unnest(%b::int4[]) as ledger, unnest(%b::int8[]) as sequence,
               unnest(%b::int8[]) as reverses offset 0) as rows"""

_INSERT_LEDGERS: Final = "insert into journal.ledgers (originator_id, name, shard) select id, name, %b from unnest(%b::uuid[], %b::text[]) as rows (id, name)"

_INSERT_SEALS: Final = """
insert into journal.seals (originator_id, sequence, seal) select * from unnest(%b::uuid[], %b::int8[], %b::bytea[])"""

_INSERT_DEAD_LETTER: Final = """
insert into journal.dead_letters ("partition", "offset", key, value, headers, at_ms, reason, detail)
values (%b, %b, %b, %b, %b::bytea[], %b, %b, %b)"""


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


def of_shard(statement: str, shard: int) -> bytes:
    """Return a statement with the number of its shard filled in, in the form that psycopg takes for one not made of parts from outside."""
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
        self._shard = shard
        self._insert = of_shard(_INSERT_EVENTS, shard)
        self._insert_returning = self._insert + b" returning notification_id"
        self._insert_ids = of_shard(_INSERT_IDS, shard)
        self._notify = of_shard("notify shard_{shard}_events", shard)

    def append(self, append: Append) -> None:
        """Store a batch in one transaction. Never tries twice: the library's own retry would take rows of ours for another's.

        Raises:
            eventsourcing.persistence.PersistenceError: with the error of psycopg as its cause; nothing is stored, unless the answer to COMMIT was lost.
        """
        once = cast(Any, PostgresApplicationRecorder.insert_events).__wrapped__
        once(self, append.batch.entries, append=append)

    def _insert_events(
        self, curs: _Cursor, stored_events: Sequence[StoredEvent | Entry], *, append: Append | None = None, **_: Any
    ) -> None:
        """Send what goes before the events: first the row of the shard, whose lock keeps positions in the order of commits."""
        if append is None:
            curs.execute(_TAKE_SHARD, (self._shard,), prepare=True)
            return
        batch, standing, seals = append
        curs.execute(
            _MOVE,
            (
                standing.next,
                standing.epoch,
                batch.next,
                batch.last_at_ms,
                batch.last_digest,
                batch.replied,
                self._shard,
            ),
            prepare=True,
        )
        if batch.opened:
            ids = arrays.uuids([ledger_id(ledger) for ledger in batch.opened])
            curs.execute(_INSERT_LEDGERS, (self._shard, ids, arrays.texts(batch.opened)), prepare=True)
        if batch.ids:
            self._send_ids(curs, batch)
        if seals:
            ids = arrays.uuids([ledger_id(ledger) for ledger in seals])
            sequences, values = zip(*seals.values(), strict=True)
            curs.execute(_INSERT_SEALS, (ids, arrays.bigints(sequences), arrays.byteas(values)), prepare=True)
        for letter in batch.dead_letters:
            curs.execute(_INSERT_DEAD_LETTER, as_row(letter, self._shard), prepare=True)
        if not stored_events:
            self._notify_channel(curs)

    def _send_ids(self, curs: _Cursor, batch: Batch) -> None:
        keys, fingerprints, names, sequences, reverses = zip(*batch.ids, strict=True)
        ledgers, places = _numbered(names)
        columns = (
            arrays.uuids([ledger_id(ledger) for ledger in ledgers]),
            arrays.uuids(keys),
            arrays.uuids(fingerprints),
            arrays.ints(places),
            arrays.bigints(sequences),
            arrays.bigints_or_null(reverses),
        )
        curs.execute(self._insert_ids, columns, prepare=True)

    def _insert_stored_events(self, curs: _Cursor, stored_events: Sequence[StoredEvent | Entry], **kwargs: Any) -> None:
        """Send the events. Both a batch's entries and the library's own events have four fields in this order, of which ours names the ledger."""
        self._notify_channel(curs)
        if kwargs.get("append"):
            names, sequences, tags, states = zip(*cast(Sequence[Entry], stored_events), strict=True)
            ledgers, places = _numbered(names)
            ids = [ledger_id(ledger) for ledger in ledgers]
        else:
            events = cast(Sequence[StoredEvent], stored_events)
            ids, places = _numbered([cast(UUID, event.originator_id).bytes for event in events])
            sequences = tuple(event.originator_version for event in events)
            tags = tuple(event.topic for event in events)
            states = tuple(event.state for event in events)
        distinct_tags, tag_places = _numbered(tags)
        columns = (
            arrays.uuids(ids),
            arrays.texts(distinct_tags),
            arrays.ints(places),
            arrays.bigints(sequences),
            arrays.ints(tag_places),
            arrays.byteas(states),
        )
        curs.execute(self._insert if kwargs.get("append") else self._insert_returning, columns, prepare=True)

    def _notify_channel(self, curs: _Cursor) -> None:
        curs.execute(self._notify)

    def _fetch_ids_after_insert_events(
        self, curs: _Cursor, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Read the positions back where they were asked for."""
        return None if kwargs.get("append") else super()._fetch_ids_after_insert_events(curs, stored_events, **kwargs)


class _Datastore(PostgresDatastore):
    """What the library's recorder knows of a database, on our connections instead of its pool."""

    def __init__(self, connections: Connections) -> None:
        super().__init__("", "", "", "", "", schema="journal")
        self.pool = cast(Any, connections)

    def register_type_adapters(self) -> None:
        """Do nothing: the composite types that the library ships its rows in are not used."""


def _numbered(values: Sequence[_H]) -> tuple[list[_H], list[int]]:
    """Return each distinct value once, and for each value the number of its like, from 1 as PostgreSQL counts."""
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values), 1)}
    return list(numbers), [numbers[value] for value in values]
