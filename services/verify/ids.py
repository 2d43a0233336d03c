"""Whether the id of every command leads to its event, and every id to an event that is there.

First all are compared at once: each side is a sum of numbers, one for each id and where it leads, made by PostgreSQL
under a key that is drawn for this run, so that nobody can have provided for it. Only where the sums of a shard differ
is each id looked up by itself, to name those that are wrong: that costs ten times as much.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final

from services.journal import arrays
from services.journal.recorder import ledger_id, of_shard
from services.verify import whole
from services.verify.chain import Used
from services.verify.fault import Check, Fault
from services.verify.moment import Moment

# One number under another as its key, so that what two ids exchange changes both. (A row's own hash adds its columns.)
_NUMBER: Final = """uuid_hash_extended(key, hashint8extended(sequence,
           uuid_hash_extended(originator_id, coalesce(hashint8extended(reverses, %b), %b))))"""

_SUM_OF_ALL: Final = "select coalesce(sum({number}), 0)::text from journal.shard_{shard}_ids".replace(
    "{number}", _NUMBER
)

_SUM_OF_USED: Final = """
select sum({number})::text
  from unnest(%b::uuid[], %b::uuid[], %b::int8[], %b::int8[]) as used (key, originator_id, sequence, reverses)
""".replace("{number}", _NUMBER).encode()

_WRONG: Final = """
select wanted.number
  from (select unnest(%b::int4[]) as number, unnest(%b::uuid[]) as key, unnest(%b::uuid[]) as ledger,
               unnest(%b::int8[]) as sequence, unnest(%b::int8[]) as reverses offset 0) as wanted
  left join journal.shard_{shard}_ids as ids on ids.key = wanted.key
 where ids.originator_id is distinct from wanted.ledger or ids.sequence <> wanted.sequence
    or ids.reverses is distinct from wanted.reverses
 order by wanted.number"""

_COUNT: Final = "select count(*) from journal.shard_{shard}_ids"

# An id that leads to no event, to one that no command brought about, or to one that another id leads to.
_TOO_MANY: Final = """
select ids.originator_id, ids.sequence
  from journal.shard_{shard}_ids as ids
  left join journal.shard_{shard}_events as events
    on events.originator_id = ids.originator_id and events.originator_version = ids.sequence
 where events.topic is null or events.topic = 'hold-expired.v1'
 union all
select originator_id, sequence from journal.shard_{shard}_ids group by originator_id, sequence having count(*) > 1
 limit 1000"""


class Ids:
    """The ids that events of several ledgers used up."""

    __slots__ = ("keys", "ledgers", "reverses", "sequences")

    def __init__(self) -> None:
        self.ledgers: list[str] = []
        self.keys: list[bytes] = []
        self.sequences: list[int] = []
        self.reverses: list[int | None] = []

    def add(self, ledger: str, used: list[Used]) -> None:
        """Note those of one ledger."""
        start = f"{ledger}\n".encode()
        self.keys += [sha256(start + command.encode()).digest()[:16] for command, _, _ in used]
        self.ledgers += [ledger] * len(used)
        self.sequences += [sequence for _, sequence, _ in used]
        self.reverses += [reverses for _, _, reverses in used]

    def columns(self) -> tuple[Any, ...]:
        """Give keys, ledgers, sequences, and what was reversed, as PostgreSQL takes them."""
        return (
            arrays.uuids(self.keys),
            arrays.uuids([ledger_id(ledger) for ledger in self.ledgers]),
            arrays.bigints(self.sequences),
            arrays.bigints_or_null(self.reverses),
        )


def sum_of(moment: Moment, ids: Ids, key: int) -> int:
    """Return the number that stands for these ids and where they should lead. Raises `Away`."""
    return _number(moment, _SUM_OF_USED, (key, key, *ids.columns()))


def sum_of_all(moment: Moment, shard: int, key: int) -> int:
    """Return the number that stands for all ids of a shard and where they lead. Raises `Away`."""
    return _number(moment, of_shard(_SUM_OF_ALL, shard), (key, key))


def wrong(moment: Moment, shard: int, ids: Ids) -> Iterator[Fault]:
    """Look each of these ids up, and find those that lead elsewhere. Raises `Away`."""
    detail = "the id of its command is not among the ids, or leads to another event"
    columns = (arrays.ints(range(len(ids.keys))), *ids.columns())
    for (number,) in moment.rows(of_shard(_WRONG, shard), columns):
        yield Fault(Check.IDS, ids.ledgers[number], ids.sequences[number], detail)


def too_many(moment: Moment, shard: int, used: int) -> Iterator[Fault]:
    """Find ids that no event used up. Raises `Away`.

    Args:
        moment: where to look.
        shard: which.
        used: how many events used one up; each was looked for.
    """
    ((count,),) = moment.rows(of_shard(_COUNT, shard))
    if count == used:
        return
    for originator, sequence in moment.rows(of_shard(_TOO_MANY, shard)):
        detail = "an id leads here, and no such command brought this about"
        yield Fault(Check.IDS, whole.name_of(moment, originator), sequence, detail)
    yield Fault(Check.IDS, None, None, f"shard {shard} has {count} ids, and its events used up {used}")


def _number(moment: Moment, statement: bytes, arguments: tuple[Any, ...]) -> int:
    ((number,),) = moment.rows(statement, arguments)
    return int(number)
