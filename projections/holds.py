"""Holds: what is promised, what of it is still held, and what each source has held in all.

What a capture takes is in its postings, two by two. What a final capture gives back is in no event: it is what
remained, so what remains of every movement is kept here.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from psycopg import Cursor

from projections.checkpoint import wire_time
from projections.places import Places
from schemas.events import HoldExpired, HoldPlaced, HoldReleased
from schemas.lean import LeanTransfer

_OF_HOLD: Final = "sequence, kind, book, expires_at, sources, destinations, units, amounts, remaining, state, changed"

Key = tuple[str, str]
"""Ledger and id of a hold."""

Place = tuple[str, str, str]
"""Ledger, account and unit."""


class _Change(NamedTuple):
    """Something that happened to a hold, in the order in which it happened."""

    key: Key
    sequence: int
    event: HoldPlaced | HoldReleased | HoldExpired | LeanTransfer


class _Hold:
    """A hold as it stands. `movements` are (source, destination, unit, amount)."""

    __slots__ = ("book", "changed", "expires_at", "kind", "movements", "remaining", "sequence", "state")

    def __init__(
        self, sequence: int, kind: str, book: str | None, expires_at: object, columns: tuple[list[Any], ...]
    ) -> None:
        self.sequence = sequence
        self.kind = kind
        self.book = book
        self.expires_at = expires_at
        self.movements: list[tuple[str, str, str, int]] = list(zip(*columns, strict=True))
        self.remaining = [movement[3] for movement in self.movements]
        self.state = "open"
        self.changed = sequence

    def take(self, source: str, destination: str, unit: str, amount: int) -> None:
        """Take an amount out of what remains. Movements that agree in all else are one pot; the earlier give first."""
        for place, movement in enumerate(self.movements):
            if movement[:3] == (source, destination, unit):
                part = min(amount, self.remaining[place])
                self.remaining[place] -= part
                amount -= part

    def give_back(self) -> Iterator[tuple[str, str, int]]:
        """Let go of all that remains. Gives source, unit and amount of each part."""
        for (source, _, unit, _), left in zip(self.movements, self.remaining, strict=True):
            yield source, unit, left
        self.remaining = [0] * len(self.remaining)


class Holds:
    """The changes of holds of one page.

    Args:
        schema: of the generation, such as `read_1`.
        places: the numbers of places.
    """

    def __init__(self, schema: str, places: Places) -> None:
        self._schema = schema
        self._places = places
        self._changes: list[_Change] = []
        self._holds: dict[Key, _Hold] = {}
        self._held: dict[Place, dict[int, int]] = {}
        self._rows: list[tuple[object, ...]] = []

    def place(self, event: HoldPlaced) -> None:
        """Take in that a hold was placed."""
        assert event.command is not None, "only an expiry has no command"
        self._changes.append(_Change((event.ledger, event.command), event.sequence, event))

    def capture(self, ledger: str, sequence: int, hold: str, event: LeanTransfer) -> None:
        """Take in that some of a hold was moved."""
        self._changes.append(_Change((ledger, hold), sequence, event))

    def end(self, event: HoldReleased | HoldExpired) -> None:
        """Take in that a hold was given back."""
        self._changes.append(_Change((event.ledger, event.hold), event.sequence, event))

    def write(self, cursor: Cursor[Any]) -> None:
        """Store what was taken in, and forget it."""
        if not self._changes:
            return
        self._load(cursor)
        for change in self._changes:
            self._apply(change)
            hold = self._holds[change.key]
            self._rows.append((*change.key, change.sequence, list(hold.remaining), hold.state))
        self._store_holds(cursor)
        self._store_held(cursor)
        self._changes.clear()
        self._rows.clear()
        self._holds.clear()
        self._held.clear()

    def _apply(self, change: _Change) -> None:
        event = change.event
        if isinstance(event, HoldPlaced):
            hold = self._holds[change.key] = _placed(event)
            for source, _, unit, amount in hold.movements:
                self._hold(change, source, unit, amount)
            return
        hold = self._holds[change.key]
        if isinstance(event, LeanTransfer):
            for out, into in zip(event.postings[::2], event.postings[1::2], strict=True):
                hold.take(out.account, into.account, out.unit, into.amount)
                self._hold(change, out.account, out.unit, out.amount)
        if not isinstance(event, LeanTransfer) or event.final:
            for source, unit, left in hold.give_back():
                self._hold(change, source, unit, -left)
        hold.changed = change.sequence
        if not any(hold.remaining):
            hold.state = _end_of(event)

    def _hold(self, change: _Change, account: str, unit: str, amount: int) -> None:
        """Hold so much more of an account from this change on; below zero, so much less."""
        steps = self._held.setdefault((change.key[0], account, unit), {})
        steps[change.sequence] = steps.get(change.sequence, 0) + amount

    def _load(self, cursor: Cursor[Any]) -> None:
        """Read the holds that were placed in earlier pages."""
        keys = list(dict.fromkeys(change.key for change in self._changes))
        cursor.execute(
            f"select ledger, hold, {_OF_HOLD.replace('expires_at', wire_time('expires_at'))} from {self._schema}.holds "
            "join unnest(%s::text[], %s::text[]) as told (ledger, hold) using (ledger, hold)",
            ([ledger for ledger, _ in keys], [hold for _, hold in keys]),
        )
        for ledger, name, sequence, kind, book, expires_at, *columns, remaining, state, changed in cursor:
            hold = self._holds[ledger, name] = _Hold(sequence, kind, book, expires_at, tuple(columns))
            hold.remaining, hold.state, hold.changed = remaining, state, changed

    def _store_holds(self, cursor: Cursor[Any]) -> None:
        cursor.executemany(
            f"insert into {self._schema}.holds (ledger, hold, {_OF_HOLD}) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
            "on conflict (ledger, hold) do update "
            "set remaining = excluded.remaining, state = excluded.state, changed = excluded.changed",
            [(*key, *_columns(hold)) for key, hold in self._holds.items()],
        )
        cursor.executemany(
            f"insert into {self._schema}.hold_changes (ledger, hold, sequence, remaining, state) "
            "values (%s, %s, %s, %s, %s)",
            self._rows,
        )

    def _store_held(self, cursor: Cursor[Any]) -> None:
        """Write what each place holds after each change, on top of what it held before this page."""
        numbers = {place: self._places.number_of(cursor, place[0], place[2], place[1]) for place in sorted(self._held)}
        cursor.execute(
            "select place, held from unnest(%s::int4[]) as told (place) cross join lateral ("
            f"select held from {self._schema}.held_lines where held_lines.place = told.place "
            "order by sequence desc limit 1) as last",
            (list(numbers.values()),),
        )
        held: dict[int, int] = dict(cursor.fetchall())
        rows: list[tuple[int, int, int]] = []
        for place, number in numbers.items():
            total = held.get(number, 0)
            for sequence, amount in self._held[place].items():
                total += amount
                rows.append((number, sequence, total))
        cursor.executemany(f"insert into {self._schema}.held_lines (place, sequence, held) values (%s, %s, %s)", rows)


def _placed(event: HoldPlaced) -> _Hold:
    movements = event.movements
    columns = (
        [movement.source for movement in movements],
        [movement.destination for movement in movements],
        [movement.unit for movement in movements],
        [int(movement.amount) for movement in movements],
    )
    return _Hold(event.sequence, event.kind, event.book, event.expires_at, columns)


def _end_of(event: HoldPlaced | HoldReleased | HoldExpired | LeanTransfer) -> str:
    if isinstance(event, HoldReleased):
        return "released"
    return "expired" if isinstance(event, HoldExpired) else "captured"


def _columns(hold: _Hold) -> tuple[object, ...]:
    parties = [list(column) for column in zip(*hold.movements, strict=True)]
    return (hold.sequence, hold.kind, hold.book, hold.expires_at, *parties, hold.remaining, hold.state, hold.changed)
