"""Sends commands and waits for what became of them, as any caller may who has the database to look into.

Law: an outcome is told only once it is durable, and it is the journal that tells it. A command is decided when the
stored offset of its shard is past its record; what became of it is then the dead letter at that place, or else the
outcome of its id, which may have been there before. So sending again is harmless, and answers the same.

What happens to a command on its way: `services.writer`.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType

from schemas.codec import MalformedError, decode_command, decode_event, id_key
from schemas.commands import Tick
from schemas.events import CommandRefused, Event
from schemas.reasons import DeadReason
from schemas.values import LedgerName
from services.errors import Away
from services.journal.ports import DeadLetter, Journal, Known, Wanted
from services.journal.postgres import PostgresJournal
from services.kafka.sender import TOO_LARGE, Keyed, Sender
from services.kafka.topics import Topics, partition_of
from services.migrations.run import READER
from services.settings import Settings

ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
DEAD_LETTER: Final = "dead-letter"
NONE: Final = "none"
"""A tick's: it has no outcome of its own."""

_POLL_S: Final = 0.25
_LETTERS: Final = 500


class Line(Struct, frozen=True):
    """One command about to be sent: its bytes, the key that it is sent with, and what is known of it by itself.

    `command` is empty where the bytes are no command; then a dead letter will say so.
    """

    value: bytes
    ledger: str
    command: str = ""
    tick: bool = False
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Place(Struct, frozen=True):
    """Where a command lies in the topic. `offset` is `TOO_LARGE` where it could not be put there."""

    partition: int
    offset: int


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What became of a command: that of its id, whoever sent it first.

    `event` is what the journal holds, where there is an event. `duplicate`: it was so before this was sent.
    """

    outcome: str
    ledger: str
    command: str = ""
    sequence: int | None = None
    reason: str | None = None
    details: dict[str, str] = {}
    event: Event | None = None
    duplicate: bool = False

    @property
    def good(self) -> bool:
        """Whether the answer is not no."""
        return self.outcome in {ACCEPTED, NONE}


class _Ledgered(Struct):
    ledger: str | UnsetType = UNSET


class Sending:
    """Commands on their way to one installation.

    Args:
        settings: which.
        partitions: how many the commands topic has.
        patience_s: how long anything may take without getting on.
    """

    def __init__(self, settings: Settings, partitions: int, patience_s: float) -> None:
        self._settings = settings
        self._partitions = partitions
        self._patience_s = patience_s
        self._sender = Sender(settings.brokers(), Topics(settings.prefix).commands, patience_s)
        self._journals: dict[int, Journal] = {}

    async def send(self, lines: Sequence[Line]) -> list[Place]:
        """Send commands and return their places once all replicas have them. Raises as `Sender.sent`."""
        messages = [
            Keyed(partition_of(line.ledger, self._partitions), line.ledger, line.value, line.headers) for line in lines
        ]
        offsets = await self._sender.sent(messages)
        return [Place(message.partition, offset) for message, offset in zip(messages, offsets, strict=True)]

    async def outcomes(self, lines: Sequence[Line], places: Sequence[Place]) -> list[Outcome]:
        """Wait until all are decided, and tell what became of each, in the same order.

        Raises:
            Away: the database does not answer, or no writer gets on; sending again is harmless.
            Unexpected: the database is not the one expected.
        """
        found: dict[int, Outcome] = {}
        for partition in sorted({place.partition for place in places}):
            numbers = [number for number, place in enumerate(places) if place.partition == partition]
            there = [number for number in numbers if places[number].offset != TOO_LARGE]
            found |= {number: _too_large(lines[number]) for number in numbers}
            if there:
                offsets = [places[number].offset for number in there]
                told = await self._told(partition, [lines[number] for number in there], offsets)
                found |= dict(zip(there, told, strict=True))
        return [found[number] for number in range(len(lines))]

    async def decided(self, line: Line) -> bool:
        """Return whether a command's id has its outcome already: if so, sending it adds nothing.

        Raises:
            Away: the database does not answer.
            Unexpected: the database is not the one expected.
        """
        journal = self._journal(partition_of(line.ledger, self._partitions))
        return bool(await self._known(journal, [line]))

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        await asyncio.gather(self._sender.close(), *(journal.close() for journal in self._journals.values()))

    async def _told(self, partition: int, lines: Sequence[Line], offsets: Sequence[int]) -> list[Outcome]:
        journal = self._journal(partition)
        await self._decided(journal, max(offsets))
        letters = {letter.offset: letter async for letter in _letters(journal, min(offsets), max(offsets))}
        known = await self._known(journal, lines)
        return [
            _dead(line, letters[offset]) if offset in letters else known.get(line, Outcome(NONE, line.ledger))
            for line, offset in zip(lines, offsets, strict=True)
        ]

    def _journal(self, partition: int) -> Journal:
        if partition not in self._journals:
            self._journals[partition] = PostgresJournal(self._settings.database(partition), partition, READER)
        return self._journals[partition]

    async def _decided(self, journal: Journal, offset: int) -> None:
        """Wait until the shard is past `offset`, for as long as it gets on."""
        seen, since, why = -1, time.monotonic(), "no writer reads it: is one running? (`defter run`)"
        while True:
            try:
                reached = (await journal.standing()).next
            except Away as away:
                reached, why = seen, str(away)
            if reached > offset:
                return
            if reached != seen:
                seen, since = reached, time.monotonic()
            if time.monotonic() - since > self._patience_s:
                raise Away(
                    f"commands are in the topic, up to offset {offset} of partition {journal.shard}, but not decided "
                    f"after {self._patience_s:g} s: {why}"
                )
            await journal.changed(_POLL_S)

    async def _known(self, journal: Journal, lines: Sequence[Line]) -> dict[Line, Outcome]:
        """Look the outcomes of ids up: the sequence by the id, the event by the sequence."""
        keys = {line: id_key(line.ledger, line.command) for line in lines if line.command and not line.tick}
        ids = (await journal.recall(Wanted(list(set(keys.values())), (), ()))).ids
        places = [(line.ledger, ids[key].sequence) for line, key in keys.items() if key in ids]
        events = (await journal.recall(Wanted((), (), list(dict.fromkeys(places))))).events
        return {line: _known(line, ids[key], events) for line, key in keys.items() if key in ids}


def lines_of(texts: Sequence[bytes], ledger: str) -> Iterator[Line]:
    """Give what is sent of lines of JSON: bytes untouched, keyed by the ledger that each names, else by `ledger`."""
    for text in texts:
        try:
            named = msgspec.json.decode(text, type=_Ledgered).ledger
            key = ledger if named is UNSET else msgspec.convert(named, LedgerName)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            key = ledger
        yield line_of(text, key)


def line_of(value: bytes, ledger: str) -> Line:
    """Return what is sent of one command, with the ledger as its key."""
    try:
        command, _ = decode_command(value, ledger.encode())
    except MalformedError:
        return Line(value, ledger)
    return Line(value, ledger, command.id, tick=type(command) is Tick)


def new_id() -> str:
    """Make an id that nobody else makes: a UUID of version 7, so that those made later sort later."""
    bits = (time.time_ns() // 1_000_000) << 80 | 7 << 76 | int.from_bytes(os.urandom(10)) & ~(0xF << 76)
    return str(UUID(int=bits & ~(0b11 << 62) | 0b10 << 62))


async def _letters(journal: Journal, first: int, last: int) -> AsyncIterator[DeadLetter]:
    after = first - 1
    while letters := await journal.dead_letters(after, _LETTERS):
        for letter in letters:
            if letter.offset > last:
                return
            yield letter
        after = letters[-1].offset


def _known(line: Line, known: Known, events: dict[tuple[str, int], bytes]) -> Outcome:
    event = decode_event(events[line.ledger, known.sequence])
    if isinstance(event, CommandRefused):
        return Outcome(REFUSED, line.ledger, line.command, event.sequence, event.reason, event.details, event)
    return Outcome(ACCEPTED, line.ledger, line.command, event.sequence, event=event)


def _dead(line: Line, letter: DeadLetter) -> Outcome:
    return Outcome(DEAD_LETTER, line.ledger, line.command, reason=letter.reason, details={"detail": letter.detail})


def _too_large(line: Line) -> Outcome:
    detail = f"{len(line.value)} bytes, more than the topic takes: it was not sent"
    return Outcome(DEAD_LETTER, line.ledger, line.command, reason=DeadReason.TOO_LARGE, details={"detail": detail})
