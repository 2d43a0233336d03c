"""Who asked to be told what came of a command, and what they are told.

Pure: records, what they brought about, and what the journal holds go in, replies come out. When they are made and how
often: `services.replies`.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

import structlog

from schemas.codec import MalformedError
from schemas.commands import Tick
from schemas.reasons import DeadReason
from schemas.replies import Outcome, Reply, Told, encode_reply, named, reply
from services.journal.ports import DeadLetter, Key
from services.kafka.dispatch import Addressed
from services.kafka.ports import Headers, Record
from services.reading import Reading, decoded

HEADER: Final = "reply-to"

_log: Final = structlog.get_logger()
_headers: Final = attrgetter("headers")


class Request(NamedTuple):
    """A record whose outcome is to be told, and to which topic."""

    topic: str
    record: Record
    reading: Reading | DeadLetter


class Found(NamedTuple):
    """The event that is the outcome of an id."""

    sequence: int
    told: Told


def requests(records: Sequence[Record], readings: Sequence[Reading | DeadLetter]) -> list[Request]:
    """Find the records whose outcome is to be told. A tick has none.

    Args:
        records: of one batch.
        readings: of the same, in the same order.
    """
    if not headed(records):
        return []
    return [
        Request(topic, record, reading)
        for record, reading in zip(records, readings, strict=True)
        if record.headers and (topic := _reply_to(record.headers)) is not None and not _ticks(reading)
    ]


def headed(records: Iterable[Record]) -> bool:
    """Tell whether any record has headers at all. Records without are all that most batches hold."""
    return any(map(_headers, records))


def firsts(readings: Iterable[Reading | DeadLetter], letters: Mapping[int, DeadLetter]) -> dict[Key, int]:
    """Return for each id the offset of the first record that was decided and not kept as a dead letter."""
    offsets: dict[Key, int] = {}
    for reading in readings:
        if isinstance(reading, Reading) and reading.record.offset not in letters and not _ticks(reading):
            offsets.setdefault(reading.key, reading.record.offset)
    return offsets


def replies(
    asking: Iterable[Request], letters: Mapping[int, DeadLetter], found: Mapping[Key, Found], first: set[int]
) -> list[Addressed]:
    """Make the replies.

    Args:
        asking: in order.
        letters: the dead letters among them, by offset.
        found: the outcome of each id.
        first: the offsets of the records that brought one about; any other is a duplicate.
    """
    made = []
    for topic, record, reading in asking:
        letter = letters.get(record.offset)
        if letter is not None:
            answer = _of_letter(letter, record, reading)
        elif isinstance(reading, Reading) and reading.key in found:
            sequence, told = found[reading.key]
            command = reading.command
            answer = reply(command.id, command.ledger, sequence, told, duplicate=record.offset not in first)
        else:
            _log.error("a command that was decided has no outcome", offset=record.offset)
            continue
        made.append(Addressed(topic, answer.command.encode() if answer.command else None, encode_reply(answer)))
    return made


def _ticks(reading: Reading | DeadLetter) -> bool:
    return isinstance(reading, Reading) and type(reading.command) is Tick


def _reply_to(headers: Headers) -> str | None:
    """Return the topic named; the first header of a name counts. What is no text names no topic, and is ignored."""
    for name, value in headers:
        if name == HEADER:
            return (value or b"").decode(errors="replace")
    return None


def _of_letter(letter: DeadLetter, record: Record, reading: Reading | DeadLetter) -> Reply:
    """Tell of a dead letter, with as much as is known of who sent it."""
    command = ledger = None
    if isinstance(reading, Reading):
        command, ledger = reading.command.id, reading.command.ledger
    elif letter.reason != DeadReason.TOO_LARGE:
        try:
            understood, _ = decoded(record)
            command, ledger = understood.id, understood.ledger
        except MalformedError:
            command, ledger = named(record.value)
    return Reply(
        command=command,
        ledger=ledger,
        outcome=Outcome.DEAD_LETTER,
        duplicate=False,
        reason=letter.reason,
        details={"detail": letter.detail},
    )
