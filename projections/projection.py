"""A page of events, taken into every read model of a generation: folded in memory, then stored in one transaction.

    fold     rows → Checkpoint.due → decode → every read model
    write    every read model and the checkpoint → PostgreSQL
    commit

Live projection and rebuild are this same code. A new read model has its table in `sql/` and its module here, is handed
its events in `fold` and has its turn in `write`.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import psycopg
from psycopg import Cursor

from projections import generations
from projections.accounts import Accounts
from projections.ads import Ads
from projections.books import Books
from projections.checkpoint import Checkpoint, Stored
from projections.generations import Generation
from projections.holds import Holds
from projections.outcomes import Outcomes
from projections.places import Places
from projections.postings import Postings
from projections.trial_balance import TrialBalance
from projections.units import Units
from schemas.codec import decode_event
from schemas.events import (
    AccountChanged,
    AdPosted,
    AdWithdrawn,
    BookDefined,
    CommandRefused,
    Event,
    HoldExpired,
    HoldPlaced,
    HoldReleased,
    LedgerOpened,
    UnitDefined,
)
from schemas.lean import TRANSFER, decode_transfer


class Model(Protocol):
    """A read model, with what one page brings to it."""

    def write(self, cursor: Cursor[Any]) -> None:
        """Store what was taken in, and forget it."""


class Projection:
    """The read models of one shard in one generation.

    Good until a call raises: what is in memory is then ahead of what is stored, so a new one begins where that stands.

    Args:
        connection: to the database of the read models, in the role that owns them, not in autocommit.
        generation: which one.
        shard: the number of the shard.
    """

    def __init__(self, connection: psycopg.Connection[Any], generation: Generation, shard: int) -> None:
        schema = generation.schema
        self._connection = connection
        self._generation = generation
        self._checkpoint = Checkpoint(schema, shard)
        self._places = Places(schema)
        self._units = Units(schema)
        self._accounts = Accounts(schema)
        self._books = Books(schema)
        self._ads = Ads(schema)
        self._outcomes = Outcomes(schema)
        self._postings = Postings(schema, self._places)
        self._holds = Holds(schema, self._places)
        self._trial_balance = TrialBalance(schema, self._postings.moved)
        # In this order: what was moved is told by the postings until they are written.
        self._models: tuple[Model, ...] = (
            self._units,
            self._accounts,
            self._books,
            self._ads,
            self._outcomes,
            self._trial_balance,
            self._postings,
            self._holds,
            self._checkpoint,
        )
        with connection.transaction(), connection.cursor() as cursor:
            self._checkpoint.load(cursor)

    @property
    def position(self) -> int:
        """The position of the last event that was taken in, or 0."""
        return self._checkpoint.position

    @property
    def digest(self) -> bytes:
        """The digest of that event (`checkpoint.digest_of`)."""
        return self._checkpoint.digest

    def fold(self, rows: Sequence[Stored]) -> None:
        """Take events into the page. A page may be folded in parts.

        Raises:
            Gap: an event is missing.
        """
        for ledger, sequence, tag, data in self._checkpoint.due(rows):
            if tag == TRANSFER:
                transfer = decode_transfer(data)
                self._checkpoint.time(ledger, transfer.at)
                self._outcomes.fold(ledger, sequence, transfer.at, transfer.command, transfer.kind)
                self._postings.fold(ledger, sequence, transfer.postings)
                if transfer.hold is not None:
                    self._holds.capture(ledger, sequence, transfer.hold, transfer)
                if transfer.ads:
                    self._ads.take(ledger, sequence, transfer)
            else:
                event = decode_event(data)
                self._checkpoint.time(ledger, event.at)
                self._outcomes.fold(ledger, sequence, event.at, event.command)
                self._fold(event)

    def write(self) -> None:
        """Write the page in a transaction that is left open.

        Raises:
            GenerationChanged: the generation was swapped or dropped.
            OtherProjector: another projector works on the same shard and generation.
        """
        with self._connection.cursor() as cursor:
            generations.hold(cursor, self._generation)
            self._checkpoint.move(cursor)
            for model in self._models:
                model.write(cursor)
        self._places.shed()

    def commit(self) -> None:
        """Let the page be true."""
        self._connection.commit()

    def _fold(self, event: Event) -> None:
        """Take in what is no transfer. An event that no read model shows is passed over."""
        match event:
            case AccountChanged():
                self._accounts.fold(event)
            case HoldPlaced():
                self._holds.place(event)
            case HoldReleased() | HoldExpired():
                self._holds.end(event)
            case CommandRefused():
                self._outcomes.refuse(event)
            case LedgerOpened() | UnitDefined():
                self._units.fold(event)
            case BookDefined():
                self._books.fold(event)
            case AdPosted():
                self._ads.post(event)
            case AdWithdrawn():
                self._ads.withdraw(event)
            case _:
                pass
