"""Adds batches to the journal of one shard, and knows after every accident whether a batch is in.

A commit whose answer was lost is never assumed. The same batch is sent again; where the place of the shard is not the
one that it must move, that fails, and is looked up:

    my epoch, the old `next`    something else is wrong: stop
    my epoch, the new `next`    it is in
    another epoch               another writer has the shard: step back

The server may still be at the first when the second comes. That is harmless: one of them has the row of the shard first
and moves it; the other waits for that, and fails.
"""

from typing import Any, Final

import psycopg
from eventsourcing.persistence import PersistenceError

from services.errors import Unexpected
from services.journal import answers, arrays
from services.journal.connection import Connection, Connections
from services.journal.ports import Batch, Entry, OtherWriter, Standing
from services.journal.recorder import Append, Seal, ShardRecorder, ledger_id
from services.journal.seals import NOTHING_YET, seal

_CLAIM: Final = """
update journal.offsets set epoch = epoch + 1 where shard = %b returning next, epoch, replied, last_at_ms, last_digest"""

_NOTE_RELEASE: Final = """
insert into journal.releases (shard, epoch, first_offset, rules)
select %(shard)s, %(epoch)s, %(next)s, %(rules)s
 where %(rules)s is distinct from (
     select rules from journal.releases where shard = %(shard)s order by epoch desc limit 1
 )"""

_STANDING: Final = "select next, epoch, replied, last_at_ms, last_digest from journal.offsets where shard = %b"

_LAST_SEALS: Final = """
select uuid_send(ledger) as ledger, sequence, seal
  from unnest(%b::uuid[]) as wanted (ledger),
       lateral (
           select sequence, seal from journal.seals where originator_id = ledger order by sequence desc limit 1
       ) as last"""


class Appender:
    """The only one who adds to a shard, until another claims it. Every method blocks; all are called from one thread.

    Args:
        connections: where it gets the connection of that thread.
        shard: which one.
    """

    def __init__(self, connections: Connections, shard: int) -> None:
        self._connections = connections
        self._shard = shard
        self._recorder = ShardRecorder(connections, shard)
        self._standing: Standing | None = None
        self._seals: dict[str, Seal] = {}

    def claim(self, rules: str) -> Standing:
        """Raise the epoch and note the rules. Raises as `Journal.claim`."""
        self._standing = None
        self._seals = {}
        with answers.understood(), self._connections.connection() as connection, connection.transaction():
            row = connection.execute(_CLAIM, (self._shard,)).fetchone()
            if row is None:
                raise Unexpected(f"shard {self._shard} has no row in journal.offsets", answers.SETUP)
            standing = Standing(**row)
            connection.execute(
                _NOTE_RELEASE, {"shard": self._shard, "epoch": standing.epoch, "next": standing.next, "rules": rules}
            )
        self._standing = standing
        return standing

    def append(self, batch: Batch) -> None:
        """Try once to store `batch`.

        After `Away`, call again with the same batch: if that is in by now, it is found to be.

        Raises:
            Away: it may be in or not.
            OtherWriter: the shard is another's; whether the batch came before, that one has seen.
            Unexpected: the journal is not in the state that this writer left it in.
        """
        standing = self._claimed()
        assert batch.next > standing.next or not (batch.entries or batch.ids or batch.dead_letters), (
            "what is stored moves `next`"
        )
        seals = self._next_seals(batch, standing)
        self._store(Append(batch, standing, seals))
        self._seals.update(seals)
        self._standing = Standing(batch.next, standing.epoch, batch.replied, batch.last_at_ms, batch.last_digest)

    def _claimed(self) -> Standing:
        if self._standing is None:
            raise OtherWriter(f"shard {self._shard} is not claimed")
        return self._standing

    def _store(self, append: Append) -> None:
        """Store it, or find that it is in already: then the place that it was to move has moved, and the move fails."""
        try:
            self._recorder.append(append)
        except PersistenceError as error:
            cause = answers.cause(error)
            if not isinstance(cause, psycopg.IntegrityError):
                raise answers.meaning(cause) from cause
            if not self._is_in(append.batch, append.standing):
                said = f"{cause.diag.message_primary}: {cause.diag.message_detail}"
                raise self._unexpected(f"offset {append.standing.next}: {said}, though nobody claimed it") from cause

    def _is_in(self, batch: Batch, standing: Standing) -> bool:
        """Look up whether `batch`, for which the shard stood at `standing`, is in."""
        found = read_standing(self._connections, self._shard)
        if found.epoch != standing.epoch:
            self._standing = None
            raise OtherWriter(f"shard {self._shard} is at epoch {found.epoch}, ours was {standing.epoch}")
        if found.next not in (standing.next, batch.next):
            expected = f"{standing.next} or {batch.next}"
            raise self._unexpected(f"it stands at offset {found.next}, not {expected}, though nobody claimed it")
        return found.next == batch.next != standing.next

    def _next_seals(self, batch: Batch, standing: Standing) -> dict[str, Seal]:
        """Seal what `batch` adds to each ledger that it touches. Where another writer has sealed on, step back."""
        added: dict[str, list[Entry]] = {}
        for entry in batch.entries:
            added.setdefault(entry.ledger, []).append(entry)
        self._remember(
            [ledger for ledger, entries in added.items() if ledger not in self._seals and entries[0].sequence > 1]
        )
        seals: dict[str, Seal] = {}
        for ledger, entries in added.items():
            last = self._seals.get(ledger, Seal(0, NOTHING_YET))
            end = last.sequence + len(entries)
            if [entry.sequence for entry in entries] != list(range(last.sequence + 1, end + 1)):
                self._is_in(batch, standing)
                following = f"{entries[0].sequence}…{entries[-1].sequence}"
                raise self._unexpected(
                    f"ledger {ledger} is sealed up to {last.sequence}, and {following} are to follow"
                )
            seals[ledger] = Seal(end, seal(last.seal, [entry.data for entry in entries]))
        return seals

    def _remember(self, ledgers: list[str]) -> None:
        """Read the last seals of ledgers that this writer has not touched yet."""
        if not ledgers:
            return
        names = {ledger_id(ledger): ledger for ledger in ledgers}
        with answers.understood(), self._connections.connection() as connection:
            for row in _rows(connection, _LAST_SEALS, (arrays.uuids(list(names)),)):
                self._seals[names[row["ledger"]]] = Seal(row["sequence"], row["seal"])

    def _unexpected(self, what: str) -> Unexpected:
        return Unexpected(f"shard {self._shard}: {what}", "stop all writers of this shard and run `defter verify`")


def read_standing(connections: Connections, shard: int) -> Standing:
    """Read the row of `offsets`. Raises `Away`, and `Unexpected` where there is none."""
    with answers.understood(), connections.connection() as connection:
        rows = _rows(connection, _STANDING, (shard,))
    if not rows:
        raise Unexpected(f"shard {shard} has no row in journal.offsets", answers.SETUP)
    return Standing(**rows[0])


def _rows(connection: Connection, statement: str, arguments: tuple[Any, ...]) -> list[dict[str, Any]]:
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(statement.encode(), arguments, prepare=True).fetchall()
