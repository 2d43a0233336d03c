"""Sends dead letters again, as they came or corrected, and notes which: `defter dead-letters redrive`.

    DeadLetters -> again -> Sending.send -> DeadLetters.note -> Sending.outcomes

Law: what is noted was sent. Killed between the two, a letter is sent once more by the next run, which is harmless: its
command has its id, and one id has one outcome.

The command goes under the key, and to the partition, of the ledger that it names, whatever went wrong with either
before. Its headers go along as they came, so that replies and traces find their way; only those that tell what the
bytes are do not go along with other bytes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from schemas.commands import Tick
from schemas.reasons import DeadReason
from services.journal import answers, redriven
from services.journal.connection import Connection, Connections
from services.journal.one_thread import OneThread
from services.journal.ports import DeadLetter
from services.journal.redriven import LAST, Kept, Noted, Which
from services.kafka.ports import Headers, Record
from services.migrations import READER
from services.points import Point, no_point
from services.reading import read
from services.sending import Line, Outcome, Place, Sending
from services.settings import Settings

_T = TypeVar("_T")

FROM: Final = "redriven-from"
"""The header that names where the letter lay, as `0/17`."""

PAGE: Final = 200

_OF_THE_BYTES: Final = ("content-type", "ce_", "ce-")


class DeadLetters:
    """The dead letters of an installation, on whichever servers its shards live.

    Args:
        settings: which installation.
        partitions: how many shards it has.
        role: whose rights are taken; to note something, it must be the operator's.
    """

    def __init__(self, settings: Settings, partitions: int, role: str = READER) -> None:
        """Know the shards; nothing is connected before the first question."""
        self.partitions = partitions
        self._connections = [Connections(settings.database(shard), shard, role) for shard in range(partitions)]
        self._threads = [OneThread(f"letters-{one}", each.let_go) for one, each in enumerate(self._connections)]

    async def last(self, which: Which, most: int, shards: Sequence[int]) -> list[Kept]:
        """Return the last that came, by time. Raises `Away`, `Unexpected`."""
        found = await asyncio.gather(
            *(self._ask(shard, partial(redriven.last_letters, which=which, most=most)) for shard in shards)
        )
        return sorted((one for some in found for one in some), key=_came)[-most:]

    async def all(self, which: Which, shards: Sequence[int]) -> AsyncIterator[list[Kept]]:
        """Give all that are there now, shard by shard, in pages. Raises `Away`, `Unexpected`."""
        # Those that come of what is done with a page are not part of it.
        ends = {
            shard: await self._ask(shard, partial(redriven.last_letters, which=Which(), most=1)) for shard in shards
        }
        for shard, end in ends.items():
            after, until = -1, end[-1].letter.offset if end else -1
            ask = partial(redriven.letters, which=which, most=PAGE, until=until)
            while page := await self._ask(shard, partial(ask, after=after)):
                yield page
                after = page[-1].letter.offset

    async def one(self, shard: int, offset: int) -> Kept | None:
        """Return the letter of a place; None where there is none. Raises `Away`, `Unexpected`."""
        ask = partial(redriven.letters, which=Which(), most=1, after=offset - 1, until=offset)
        found = await self._ask(shard, ask) if 0 <= shard < self.partitions and offset < LAST else []
        return found[0] if found else None

    async def note(self, shard: int, noted: Sequence[Noted]) -> None:
        """Note that letters were sent again. Raises `Away`, `Unexpected`."""
        await self._ask(shard, partial(redriven.note, noted=noted))

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        for thread in self._threads:
            thread.stop()

    async def _ask(self, shard: int, question: Callable[[Connection, int], _T]) -> _T:
        def answer() -> _T:
            with answers.understood(), self._connections[shard].connection() as connection:
                return question(connection, shard)

        return await self._threads[shard].run(answer)


class Done(Struct, frozen=True):
    """What was done with one letter.

    `to` is where it lies now, if it was sent. `why` says why not, if it cannot be sent as it is. With neither, it was
    sent before.
    """

    kept: Kept
    to: Place | None = None
    outcome: Outcome | None = None
    why: DeadLetter | None = None

    @property
    def good(self) -> bool:
        """Whether the answer is not no."""
        return self.why is None and (self.outcome is None or self.outcome.good)


async def redrive(
    letters: DeadLetters,
    sending: Sending,
    page: Sequence[Kept],
    *,
    correction: bytes | None = None,
    repeat: bool = False,
    wait: bool = True,
    point: Point = no_point,
) -> list[Done]:
    """Send letters of one shard again, and wait for what becomes of them.

    Args:
        letters: where they are, and where it is noted.
        sending: sends them.
        page: which.
        correction: the bytes of a command that take the place of theirs.
        repeat: send also those that were sent again before.
        wait: for the outcomes.
        point: called at `sent`, between sending and noting.

    Raises:
        Away: a server does not answer; to do it again is harmless.
        Unexpected: a server is not the one expected.
    """
    remade = {kept: again(kept, correction) for kept in page if repeat or not kept.redriven}
    lines = {kept: line for kept, line in remade.items() if isinstance(line, Line)}
    places: dict[Kept, Place] = {}
    outcomes: dict[Kept, Outcome] = {}
    if lines:
        places = dict(zip(lines, await sending.send(list(lines.values())), strict=True))
        await point("sent")
        noted = [
            Noted(kept.letter.offset, to.partition, to.offset, correction is not None) for kept, to in places.items()
        ]
        await letters.note(page[0].partition, noted)
        if wait:
            told = await sending.outcomes(list(lines.values()), list(places.values()))
            outcomes = dict(zip(lines, told, strict=True))
    return [Done(kept, places.get(kept), outcomes.get(kept), _why(remade.get(kept))) for kept in page]


def again(kept: Kept, correction: bytes | None = None) -> Line | DeadLetter:
    """Return what is sent of a letter; or the dead letter that it would be again, whatever the ledgers say.

    Args:
        kept: the letter.
        correction: the bytes of a command that take the place of its own.
    """
    letter = kept.letter
    headers = _headers(kept, corrected=correction is not None)
    record = Record(
        letter.offset, letter.at_ms, letter.key, letter.value if correction is None else correction, headers
    )
    found = read(record)
    if isinstance(found, DeadLetter) and found.reason == DeadReason.KEY_MISMATCH:
        found = read(replace(record, key=None))
    if isinstance(found, DeadLetter):
        return found
    if letter.reason == DeadReason.ID_REUSED and correction is None:
        return letter
    assert record.value is not None, "what was read has a value"
    tick = type(found.command) is Tick
    return Line(record.value, found.command.ledger, found.command.id, tick=tick, headers=tuple(headers))


def _headers(kept: Kept, *, corrected: bool) -> Headers:
    kept_on = [
        (name, value)
        for name, value in kept.letter.headers
        if name != FROM and not (corrected and name.lower().startswith(_OF_THE_BYTES))
    ]
    return [(FROM, kept.place.encode()), *kept_on]


def _why(remade: Line | DeadLetter | None) -> DeadLetter | None:
    return remade if isinstance(remade, DeadLetter) else None


def _came(kept: Kept) -> tuple[int, int, int]:
    return kept.letter.at_ms, kept.partition, kept.letter.offset
