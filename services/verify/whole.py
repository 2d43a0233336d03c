"""What is asked of a shard as a whole: its positions, and how it is divided among processes."""

from collections.abc import Iterator
from typing import Final, NamedTuple
from uuid import UUID

from services.journal.recorder import of_shard
from services.verify.fault import Check, Fault
from services.verify.moment import Moment

_SIZES: Final = """
select originator_id,
       (select max(originator_version) from journal.shard_{shard}_events as events
         where events.originator_id = ledgers.originator_id)
  from journal.ledgers where shard = %b order by originator_id"""

# A transaction that fails burns positions, but those of one that succeeds follow one another, and its last event of
# each ledger is sealed. So the event before a hole is a sealed one.
_HOLES: Final = """
select originator_id, originator_version, before, after
  from (select originator_id, originator_version, notification_id as before,
               lead(notification_id) over (order by notification_id) as after
          from journal.shard_{shard}_events) as neighbours
 where after > before + 1
   and not exists (select from journal.seals
                    where (seals.originator_id, seals.sequence) = (neighbours.originator_id, originator_version))
 order by before limit 1000"""

_LOWEST: Final = UUID(int=0)
_HIGHEST: Final = UUID(int=2**128 - 1)


class Part(NamedTuple):
    """A stretch of a shard, by the ids of ledgers, and about how many events it has."""

    first: UUID
    last: UUID
    events: int


def divided(moment: Moment, shard: int, size: int) -> Iterator[Part]:
    """Divide a shard into stretches of about this many events; a ledger is never divided. Raises `Away`."""
    first, events = _LOWEST, 0
    for originator, last in moment.rows(of_shard(_SIZES, shard), (shard,)):
        events += last or 0
        if events >= size:
            yield Part(first, originator, events)
            first, events = UUID(int=min(originator.int + 1, _HIGHEST.int)), 0
    yield Part(first, _HIGHEST, events)


def positions(moment: Moment, shard: int) -> Iterator[Fault]:
    """Find where an event's position was taken away or given to another. Raises `Away`."""
    for originator, sequence, before, after in moment.rows(of_shard(_HOLES, shard)):
        detail = f"position {after} follows on {before}, in the middle of what was stored together"
        yield Fault(Check.POSITIONS, name_of(moment, originator), sequence, detail)


def name_of(moment: Moment, originator: UUID) -> str:
    """Name a ledger by the id that it is stored under."""
    found = moment.rows(b"select name from journal.ledgers where originator_id = %b", (originator,))
    return str(found[0][0]) if found else str(originator)
