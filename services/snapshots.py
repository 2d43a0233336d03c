"""States of a shard, put away so that a writer starts in seconds: made off the hot path, taken up at start.

Law: a snapshot is never a second truth. It is bound to a position, to the seal of each of its ledgers, to the rules and
the shape that made it, and to the digest of its bytes; where any of these is not as it should be, it is passed over,
and the journal is folded from an older one, or from the beginning.

    make     fold the journal (from the last snapshot on) -> encode, take back, compare digests -> store
    latest   the newest one that is sound -> the ledgers, and the position to fold on from
"""

import gc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec
import psycopg
import structlog
from psycopg import sql
from psycopg.rows import tuple_row

from domain import kept
from domain.digest import digest
from domain.state import Ledger
from services.journal import answers, arrays
from services.journal.connection import parameters
from services.journal.reading import events
from services.journal.recorder import ledger_id
from services.migrations import WRITER, check
from services.shard import Shard

KEPT: Final = 2
"""So many snapshots of a shard are kept: should the newest be unsound, there is another."""

_A_PART: Final = 10_000
_PAGE: Final = 5000

_SNAPSHOTS: Final = b"""
select position, rules, shape, parts, digest from journal.snapshots where shard = %b order by position desc"""
_PART: Final = b"select data from journal.snapshot_parts where shard = %b and position = %b and part = %b"
_SEALS: Final = b"""
select seals.seal
  from unnest(%b::uuid[], %b::int8[]) with ordinality as wanted (originator_id, sequence, number)
  left join journal.seals using (originator_id, sequence) order by number"""

_log: Final = structlog.get_logger()
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


class Snapshot(NamedTuple):
    """The ledgers of a shard as they stood when everything up to and including `position` was folded."""

    position: int
    ledgers: dict[str, Ledger]


class Made(NamedTuple):
    """What a snapshot that was made holds, and how large it is."""

    position: int
    ledgers: int
    accounts: int
    bytes: int


class _Unsound(Exception):
    """A snapshot is not to be used. The message says why."""


def make(dsn: str, shard: int, partitions: int, rules: str) -> Made | None:
    """Put the present state of a shard away. Blocks, for as long as folding takes.

    Args:
        dsn: the database that holds the shard.
        shard: which one.
        partitions: how many there are.
        rules: the version of the rules that decide.

    Returns:
        What was made; None where nothing has happened since the last one, or another made the same one meanwhile.

    Raises:
        Away: PostgreSQL does not answer.
        Unexpected: it is not the database that is expected.
    """
    with _connected(dsn, shard) as connection, _no_collecting():
        last = latest(dsn, shard, rules)
        folded = Shard(shard, partitions)
        folded.ledgers.update(last.ledgers)
        before = position = last.position
        while rows := events(connection, shard, position, _PAGE):
            folded.restore(rows)
            position = rows[-1].position
        if position == before:
            return None
        parts = list(_parts(connection, folded.ledgers))
        _prove(parts, folded.ledgers)
        if not _store(connection, (shard, position, rules, kept.SHAPE), parts):
            return None
        accounts = sum(len(ledger.accounts) for ledger in folded.ledgers.values())
        return Made(position, len(folded.ledgers), accounts, sum(map(len, parts)))


def latest(dsn: str, shard: int, rules: str) -> Snapshot:
    """Take up the newest snapshot that is sound; the beginning, position 0, where there is none. Blocks.

    Raises:
        Away: PostgreSQL does not answer.
        Unexpected: it is not the database that is expected.
    """
    with _connected(dsn, shard) as connection, _no_collecting():
        for row in _rows(connection, _SNAPSHOTS, shard):
            try:
                return _taken_up(connection, shard, rules, *row)
            except _Unsound as unsound:
                _log.warning("a snapshot is passed over", shard=shard, position=row[0], why=str(unsound))
    return Snapshot(0, {})


def _taken_up(connection: psycopg.Connection[Any], shard: int, rules: str, position: int, *said: Any) -> Snapshot:
    of_rules, shape, parts, expected = said
    if (of_rules, shape) != (rules, kept.SHAPE):
        raise _Unsound(f"it was made by rules {of_rules} in shape {shape}, and these are {rules} and {kept.SHAPE}")
    # Read twice rather than kept: nothing is taken up that was not proved, and it may be large.
    told = _beginning((shard, position, of_rules, shape))
    for number in range(parts):
        told.update(_part(connection, shard, position, number))
    if told.digest() != expected:
        raise _Unsound("its bytes are not those that were put away")
    ledgers: dict[str, Ledger] = {}
    seals: list[tuple[str, int, bytes]] = []
    for number in range(parts):
        _take_part(_part(connection, shard, position, number), ledgers, seals)
    for ledger in ledgers.values():
        kept.complete(ledger)
    if _seals_of(connection, [seal[:2] for seal in seals]) != [seal for _, _, seal in seals]:
        raise _Unsound("the journal is sealed otherwise: it is another one, or was restored from before")
    return Snapshot(position, ledgers)


def _part(connection: psycopg.Connection[Any], shard: int, position: int, number: int) -> bytes:
    found = _rows(connection, _PART, shard, position, number)
    if not found:
        raise _Unsound(f"part {number} is missing")
    data: bytes = found[0][0]
    return data


def _take_part(data: bytes, ledgers: dict[str, Ledger], seals: list[tuple[str, int, bytes]]) -> None:
    name, head, seal, accounts, places = _decode(data)
    if head is not None:
        ledgers[name] = kept.ledger_of(head)
        seals.append((name, ledgers[name].sequence, seal))
    kept.take_accounts(ledgers[name], accounts)
    kept.take_places(ledgers[name], places)


def _parts(connection: psycopg.Connection[Any], ledgers: dict[str, Ledger]) -> Iterator[bytes]:
    """Encode ledgers, each in as many parts as it takes: its accounts, then their places; in the first all the rest."""
    seals = _seals_of(connection, [(ledger.name, ledger.sequence) for ledger in ledgers.values()])
    for ledger, seal in zip(ledgers.values(), seals, strict=True):
        accounts, places = kept.accounts(ledger), kept.places(ledger)
        yield _encode((ledger.name, kept.head(ledger), seal, *_some(accounts, places)))
        while any(some := _some(accounts, places)):
            yield _encode((ledger.name, None, None, *some))


def _some(
    accounts: Iterator[kept.Values], places: Iterator[kept.Values]
) -> tuple[list[kept.Values], list[kept.Values]]:
    """Take what goes into one part: places only when there are no accounts left."""
    first = list(islice(accounts, _A_PART))
    return first, list(islice(places, _A_PART - len(first)))


def _prove(parts: list[bytes], ledgers: dict[str, Ledger]) -> None:
    """See that what is put away comes back as it was: never is a state stored that was not compared."""
    back: dict[str, Ledger] = {}
    for part in parts:
        _take_part(part, back, [])
    for name, ledger in ledgers.items():
        kept.complete(back[name])
        if digest(back[name]) != digest(ledger):
            raise AssertionError(f"the snapshot of {name} is not its state")


def _store(connection: psycopg.Connection[Any], made: tuple[int, int, str, int], parts: list[bytes]) -> bool:
    """Store a snapshot. Where there is one at this position by now, it stays as it is, and the answer is no."""
    shard, position, *_ = made
    told = _beginning(made)
    for part in parts:
        told.update(part)
    with answers.understood(), connection.transaction():
        # One that older rules left at this very position, or that is damaged, is of no use to anybody.
        connection.execute(
            "delete from journal.snapshots where shard = %s and position = %s "
            "and (rules, shape, digest) is distinct from (%s, %s, %s)",
            (shard, position, *made[2:], told.digest()),
        )
        inserted = connection.execute(
            "insert into journal.snapshots (shard, position, rules, shape, parts, digest) "
            "values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
            (*made, len(parts), told.digest()),
        )
        if not inserted.rowcount:
            return False
        for number, part in enumerate(parts):
            connection.execute(
                "insert into journal.snapshot_parts values (%b, %b, %b, %b)", (shard, position, number, part)
            )
        connection.execute(
            "delete from journal.snapshots where shard = %s and position not in "
            "(select position from journal.snapshots where shard = %s order by position desc limit %s)",
            (shard, shard, KEPT),
        )
    return True


def _seals_of(connection: psycopg.Connection[Any], places: list[tuple[str, int]]) -> list[bytes | None]:
    columns = (
        arrays.uuids([ledger_id(ledger) for ledger, _ in places]),
        arrays.bigints([sequence for _, sequence in places]),
    )
    return [seal for (seal,) in _rows(connection, _SEALS, *columns)]


def _beginning(made: tuple[int, int, str, int]) -> Any:
    """Begin the digest with what stands beside the bytes: at another position the same bytes are another snapshot."""
    return sha256(repr(made).encode())


def _rows(connection: psycopg.Connection[Any], statement: bytes, *arguments: Any) -> list[tuple[Any, ...]]:
    with answers.understood(), connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        return cursor.execute(statement, arguments).fetchall()


@contextmanager
def _connected(dsn: str, shard: int) -> Iterator[psycopg.Connection[Any]]:
    with answers.understood():
        connection: psycopg.Connection[Any] = psycopg.connect(**parameters(dsn, "defter-snapshot"), autocommit=True)
    with closing(connection):
        arrays.register(connection)
        with answers.understood():
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(WRITER)))
            connection.execute("set statement_timeout = 0; set idle_in_transaction_session_timeout = 0")
        check(connection, shard)
        yield connection


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Make millions of objects without looking for cycles among them, of which there are none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
