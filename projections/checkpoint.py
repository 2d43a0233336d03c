"""How far the read models of a shard have come: once, in order, with the rows.

Law: an event is folded when it is the next of its ledger. One that was folded before is passed over; one that is not
yet due stops everything, because something is missing. The checkpoint moves in the transaction that holds the rows.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from psycopg import Cursor

Stored = tuple[int, str, int, str, bytes]
"""An event as the journal stores it: position, ledger, sequence, tag, and the bytes as published."""


class Gap(RuntimeError):
    """An event does not follow the one before it in its ledger: something is missing. Nothing of its page is kept."""

    def __init__(self, ledger: str, expected: int, found: int) -> None:
        super().__init__(f"ledger {ledger}: expected sequence {expected}, found {found}")
        self.ledger = ledger
        self.expected = expected
        self.found = found


class OtherProjector(RuntimeError):
    """Somebody else moved the checkpoint. Nothing of the page is kept: begin again from where it stands."""


class Checkpoint:
    """How far one shard has come in one generation. It runs ahead of what is stored while a page is folded.

    Args:
        schema: of the generation, such as `read_1`.
        shard: the number of the shard.

    `position` and `digest` are those of the last event; 0 and nothing before the first.
    """

    def __init__(self, schema: str, shard: int) -> None:
        self.position = 0
        self.digest = b""
        self._schema = schema
        self._shard = shard
        self._stored = 0
        self._sequences: dict[str, int] = {}
        self._times: dict[str, str] = {}
        self._before: dict[str, int] = {}

    def load(self, cursor: Cursor[Any]) -> None:
        """Read how far the shard has come; begin at the beginning where it has not come at all."""
        cursor.execute(
            f"insert into {self._schema}.checkpoints values (%s, 0, '') on conflict do nothing", (self._shard,)
        )
        cursor.execute(f"select position, digest from {self._schema}.checkpoints where shard = %s", (self._shard,))
        ((self.position, self.digest),) = cursor.fetchall()
        self._stored = self.position
        cursor.execute(
            f"select ledger, sequence, {wire_time('at')} from {self._schema}.ledgers where shard = %s", (self._shard,)
        )
        for ledger, sequence, at in cursor:
            self._sequences[ledger] = sequence
            self._times[ledger] = at

    def due(self, rows: Sequence[Stored]) -> Iterator[tuple[str, int, str, bytes]]:
        """Give ledger, sequence, tag and bytes of the rows that are not folded yet.

        Raises:
            Gap: an event is missing.
        """
        sequences = self._sequences
        for _, ledger, sequence, tag, data in rows:
            last = sequences.get(ledger, 0)
            if sequence == last + 1:
                if ledger not in self._before:
                    self._before[ledger] = last
                sequences[ledger] = sequence
                yield ledger, sequence, tag, data
            elif sequence > last:
                raise Gap(ledger, last + 1, sequence)
        if rows:
            self.position = rows[-1][0]
            self.digest = digest_of(rows[-1][4])

    def time(self, ledger: str, at: str) -> None:
        """Note the time of the last event of a ledger."""
        self._times[ledger] = at

    def move(self, cursor: Cursor[Any]) -> None:
        """Store how far the shard has come. It comes first in a page: its row keeps every other projector waiting.

        Raises:
            OtherProjector: what is stored is not what was read, or what was stored here last.
        """
        cursor.execute(
            f"update {self._schema}.checkpoints set position = %s, digest = %s where shard = %s and position = %s",
            (self.position, self.digest, self._shard, self._stored),
        )
        if cursor.rowcount != 1:
            raise OtherProjector(f"the checkpoint of shard {self._shard} is no longer at position {self._stored}")
        self._stored = self.position

    def write(self, cursor: Cursor[Any]) -> None:
        """Store how far each ledger has come, and its time."""
        if self._before:
            ledgers = list(self._before)
            cursor.execute(
                f"insert into {self._schema}.ledgers as known (ledger, shard, sequence, at) "
                "select ledger, %s, sequence, at from unnest(%s::text[], %s::int8[], %s::timestamptz[]) "
                "as told (ledger, sequence, at) "
                "on conflict (ledger) do update set sequence = excluded.sequence, at = excluded.at",
                (
                    self._shard,
                    ledgers,
                    [self._sequences[ledger] for ledger in ledgers],
                    [self._times[ledger] for ledger in ledgers],
                ),
            )
            self._before.clear()


def checkpoints(cursor: Cursor[Any], schema: str) -> dict[int, tuple[int, bytes]]:
    """Give position and digest of every shard that has begun in a generation."""
    cursor.execute(f"select shard, position, digest from {schema}.checkpoints")
    return {shard: (position, digest) for shard, position, digest in cursor}


def digest_of(data: bytes) -> bytes:
    """Give the 32 bytes by which the last event taken in is known again, should the journal be another one later."""
    return sha256(data).digest()


def wire_time(column: str) -> str:
    """Give the SQL for a time in the one form that messages have: UTC, three digits of fraction."""
    return f"""to_char({column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
