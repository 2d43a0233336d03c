"""What the rest of Defter knows of the journal: what is stored, and the one `Journal` that stores it.

A journal is that of one shard. It has two implementations: on PostgreSQL (`services.journal.postgres`) and in memory
(`services.journal.memory`), with the same ids, offsets, seals and dead letters, held to one conformance suite.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from services.kafka.ports import Headers

Key = bytes
"""16 bytes that stand for one command id in one ledger (`schemas.codec.id_key`)."""

Fingerprint = bytes
"""16 bytes that stand for all that a command says (`schemas.codec.fingerprint`)."""


PART: Final = 1000
"""Where a journal is asked for more events than this and gives fewer, there are no more."""


class OtherWriter(RuntimeError):
    """Another writer has taken this shard over. Step back, give the partition up, join again."""


class Entry(Struct, frozen=True, gc=False):
    """One event about to be stored: its place and its bytes."""

    ledger: str
    sequence: int
    tag: str
    data: bytes


class Id(Struct, frozen=True, gc=False):
    """One command id that now has an outcome, at `sequence`; for a reversal, `reverses` is that of what it reverses."""

    key: Key
    fingerprint: Fingerprint
    ledger: str
    sequence: int
    reverses: int | None


class DeadLetter(NamedTuple):
    """One record of `commands` that was not decided, kept as it came."""

    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str
    detail: str


class Batch(NamedTuple):
    """All that one transaction stores. Either all of it is stored or nothing.

    `next` is the offset of the commands topic that is decided next; `last_at_ms` and `last_digest` (SHA-256) are
    those of the record before it.
    """

    entries: Sequence[Entry]
    ids: Sequence[Id]
    opened: Sequence[str]
    dead_letters: Sequence[DeadLetter]
    next: int
    last_at_ms: int
    last_digest: bytes
    replied: int


class Standing(NamedTuple):
    """How far a shard has come: the row of `offsets`. At `next` 0 there was nothing yet, and so no last record."""

    next: int
    epoch: int
    replied: int
    last_at_ms: int | None
    last_digest: bytes | None


class Row(NamedTuple):
    """One event as it is stored."""

    position: int
    ledger: str
    sequence: int
    tag: str
    data: bytes


class Wanted(NamedTuple):
    """What a batch of commands needs to know of the past.

    `ids`: the keys of the commands themselves. `transfers`: the keys of commands whose event is needed, with every
        reversal of it. `events`: places whose event
    is needed.
    """

    ids: Sequence[Key]
    transfers: Sequence[Key]
    events: Sequence[tuple[str, int]]


class Known(NamedTuple):
    """An id that has its outcome: the content it stood for, and the sequence of its event."""

    fingerprint: Fingerprint
    sequence: int


class Recalled(NamedTuple):
    """The answer to `Wanted`, without what does not exist. `transfers` gives events, then their reversals in order."""

    ids: dict[Key, Known]
    transfers: dict[Key, list[bytes]]
    events: dict[tuple[str, int], bytes]


class Journal(Protocol):
    """The events of one shard, and everything that is stored together with them."""

    @property
    def shard(self) -> int:
        """The number of the shard, which is that of the partition."""
        ...

    async def claim(self, rules: str) -> Standing:
        """Take the shard over: raise its epoch, so that whoever had it before can append no more.

        Args:
            rules: the version of the rules that decide from here on; noted in `releases` when it differs from the last.

        Raises:
            Away: PostgreSQL does not answer.
            Unexpected: it is not the database, or not the schema, that is expected.
        """
        ...

    async def standing(self) -> Standing:
        """Read the row of `offsets`, without claiming anything. Raises `Away`."""
        ...

    def load(self, after: int = 0, page: int = 5000) -> AsyncIterator[list[Row]]:
        """Give every event after the position `after`, in order of position, in pages. Raises `Away`."""
        ...

    async def recall(self, wanted: Wanted) -> Recalled:
        """Look up all that a batch refers to, in one round trip. Does not wait for an `append`. Raises `Away`."""
        ...

    async def append(self, batch: Batch) -> None:
        """Store the batch durably; return once it is.

        Waits out a database that does not answer, and looks up a lost answer to COMMIT by epoch and offset, never
        assumes it.

        Raises:
            OtherWriter: the shard is another's. Whether the batch came before, the journal knows: claim and load.
            Unexpected: the journal is not as this writer left it, though nobody claimed the shard.
        """
        ...

    async def read(self, after: int, most: int) -> list[Row]:
        """Read up to `most` events after the position `after`; fewer, but not fewer than `PART`, where they are large.

        Raises `Away`.
        """
        ...

    async def event(self, ledger: str, sequence: int) -> Row | None:
        """Read the event at a place, wherever it is stored; None where there is none. Raises `Away`."""
        ...

    async def dead_letters(self, after: int, most: int) -> list[DeadLetter]:
        """Read up to `most` dead letters of offsets after `after` (-1 for all). Raises `Away`."""
        ...

    async def changed(self, wait_s: float) -> None:
        """Return when something may have been appended, or after `wait_s` at the latest."""
        ...

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        ...
