"""Reads the journal of one shard: pages of events, what a batch refers to, dead letters. Every function blocks."""

from contextlib import nullcontext
from functools import partial
from typing import Any, Final
from uuid import UUID

from psycopg.rows import tuple_row

from services.journal import arrays
from services.journal.connection import Connection
from services.journal.dead_letters import from_row
from services.journal.ports import PART, DeadLetter, Key, Known, Recalled, Row, Wanted
from services.journal.recorder import ledger_id, of_shard

_EVENTS: Final = """
select events.notification_id, ledgers.name, events.originator_version, events.topic, events.state
  from journal.shard_{shard}_events as events join journal.ledgers using (originator_id)
 where events.notification_id > %b order by events.notification_id limit %b"""

_EVENT: Final = """
select notification_id, topic, state from journal.shard_{shard}_events
 where originator_id = %b and originator_version = %b"""

_DEAD_LETTERS: Final = """
select "offset", at_ms, key, value, headers, reason, detail from journal.dead_letters
 where "partition" = %b and "offset" > %b order by "offset" limit %b"""

_IDS: Final = """
select uuid_send(key), uuid_send(fingerprint), sequence from journal.shard_{shard}_ids where key = any(%b::uuid[])"""

_TRANSFERS: Final = """
with original as materialized (
    select key, originator_id, sequence from journal.shard_{shard}_ids where key = any(%b::uuid[])
), place as (
    select key, originator_id, sequence from original
    union all
    select original.key, reversal.originator_id, reversal.sequence
      from original, lateral (
          select originator_id, sequence from journal.shard_{shard}_ids as ids
           where ids.originator_id = original.originator_id and ids.reverses = original.sequence
             and ids.reverses is not null offset 0
      ) as reversal
)
select uuid_send(place.key), events.state
  from place join journal.shard_{shard}_events as events
    on events.originator_id = place.originator_id and events.originator_version = place.sequence
 order by place.sequence"""

_PLACES: Final = """
select wanted.number, events.state
  from (select unnest(%b::int4[]) as number, (%b::uuid[])[unnest(%b::int4[])] as originator_id,
               unnest(%b::int8[]) as sequence offset 0) as wanted
  join journal.shard_{shard}_events as events
    on events.originator_id = wanted.originator_id and events.originator_version = wanted.sequence"""

# Events and records may be large. A page is put together of parts, and ends with the part that makes it this heavy.
_PAGE_BYTES: Final = 8 << 20

_as_row: Final = partial(
    tuple.__new__, Row
)  # columns come in the order of the fields; this is the cheapest way to name them


def events(connection: Connection, shard: int, after: int, most: int) -> list[Row]:
    """Return up to `most` events after the position `after`; not fewer than `PART` where there are more."""
    statement = of_shard(_EVENTS, shard)
    rows: list[Row] = []
    weight = 0
    while len(rows) < most and weight < _PAGE_BYTES:
        part_rows = min(PART, most - len(rows))
        with connection.cursor(binary=True, row_factory=_rows_of_events) as cursor:
            part: list[Row] = cursor.execute(statement, (after, part_rows), prepare=True).fetchall()
        rows += part
        if len(part) < part_rows:
            break
        after = part[-1].position
        weight += sum([len(row.data) for row in part])
    return rows


def event(connection: Connection, shard: int, ledger: str, sequence: int) -> Row | None:
    """Return the event at a place."""
    place = (UUID(bytes=ledger_id(ledger)), sequence)
    with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        found = cursor.execute(of_shard(_EVENT, shard), place).fetchone()
    return Row(found[0], ledger, sequence, *found[1:]) if found else None


def dead_letters(connection: Connection, shard: int, after: int, most: int) -> list[DeadLetter]:
    """Return up to `most` dead letters after the offset `after`. Only an empty answer says that there are no more."""
    letters: list[DeadLetter] = []
    weight = 0
    while len(letters) < most and weight < _PAGE_BYTES:
        part_rows = min(PART // 20, most - len(letters))
        with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            part = [from_row(row) for row in cursor.execute(_DEAD_LETTERS, (shard, after, part_rows), prepare=True)]
        letters += part
        if len(part) < part_rows:
            break
        after = part[-1].offset
        weight += sum([len(letter.value or b"") for letter in part])
    return letters


def recall(connection: Connection, shard: int, wanted: Wanted) -> Recalled:
    """Look up all that is wanted in one round trip. What is not wanted costs nothing."""
    recalled = Recalled({}, {}, {})
    several = sum(map(bool, wanted)) > 1
    with connection.pipeline() if several else nullcontext():
        ids = _ask(connection, of_shard(_IDS, shard), arrays.uuids(wanted.ids)) if wanted.ids else None
        transfers = (
            _ask(connection, of_shard(_TRANSFERS, shard), arrays.uuids(wanted.transfers)) if wanted.transfers else None
        )
        places = _ask(connection, of_shard(_PLACES, shard), *_place_columns(wanted)) if wanted.events else None
    if ids:
        recalled.ids.update({key: Known(fingerprint, sequence) for key, fingerprint, sequence in ids.fetchall()})
    if transfers:
        found: dict[Key, list[bytes]] = recalled.transfers
        for key, state in transfers.fetchall():
            found.setdefault(key, []).append(state)
    if places:
        recalled.events.update({wanted.events[number]: state for number, state in places.fetchall()})
    return recalled


def _ask(connection: Connection, statement: bytes, *arguments: arrays.Column) -> Any:
    return connection.cursor(binary=True, row_factory=tuple_row).execute(statement, arguments, prepare=True)


def _place_columns(wanted: Wanted) -> tuple[arrays.Column, ...]:
    ledgers = list(dict.fromkeys(ledger for ledger, _ in wanted.events))
    numbers = {ledger: number for number, ledger in enumerate(ledgers, 1)}
    return (
        arrays.ints(range(len(wanted.events))),
        arrays.uuids([ledger_id(ledger) for ledger in ledgers]),
        arrays.ints([numbers[ledger] for ledger, _ in wanted.events]),
        arrays.bigints([sequence for _, sequence in wanted.events]),
    )


def _rows_of_events(_cursor: object) -> "partial[Row]":
    return _as_row
