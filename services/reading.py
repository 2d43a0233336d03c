"""From a record to a command that may be decided, or to a dead letter.

These are the first rungs of `SPEC.md` 14: what can be said of a record by itself. What depends on the ledgers is asked
in `services.shard`, where the story goes next.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Final

from msgspec import Struct

from schemas.cloudevents import STRUCTURED, decode_binary, decode_structured
from schemas.codec import MOST_BYTES, MalformedError, decode_command, fingerprint, id_key
from schemas.commands import Command
from schemas.reasons import DeadReason
from services.journal.ports import DeadLetter, Fingerprint, Key
from services.kafka.ports import Record, size_of

MOST_KEPT: Final = 64 * 1024 * 1024
"""In a compressed batch of a megabyte there is room for a record of gigabytes, and PostgreSQL takes no value of one."""

PORTION: Final = 100
"""So many of a batch go through one step before any of them goes through the next: what a step needs, its code above
all, is then still in the processor's caches. A whole batch would not fit in there (docs/performance.md)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Reading(Struct, frozen=True, gc=False):
    """A command as it was read: when, what, and what its id and its content are known by."""

    record: Record
    at: str
    command: Command
    key: Key
    fingerprint: Fingerprint


def read(record: Record, at: str | None = None) -> Reading | DeadLetter:
    """Read one record.

    Args:
        record: as it came.
        at: the time to decide it at, where that is not the broker's time of the record.
    """
    (reading,) = read_all((record,), at)
    return reading


def read_all(records: Sequence[Record], at: str | None = None) -> list[Reading | DeadLetter]:
    """Read many, a `PORTION` at a time: understood, then hashed. Arguments as of `read`."""
    readings: list[Reading | DeadLetter] = []
    for first in range(0, len(records), PORTION):
        portion = records[first : first + PORTION]
        for record, said in zip(portion, [_understood(record) for record in portion], strict=True):
            if isinstance(said, DeadLetter):
                readings.append(said)
            else:
                command, canonical = said
                key = id_key(command.ledger, command.id)
                readings.append(Reading(record, at or time_of(record.at_ms), command, key, fingerprint(canonical)))
    return readings


def _understood(record: Record) -> tuple[Command, bytes] | DeadLetter:
    """Ask what can be asked of a record by itself, and return its command with the canonical text."""
    if record.value is not None and len(record.value) > MOST_BYTES:
        return dead(record, DeadReason.TOO_LARGE, f"{len(record.value)} bytes, at most {MOST_BYTES} - at `$`")
    try:
        said = decoded(record) if record.headers else decode_command(record.value, record.key)
    except MalformedError as error:
        return dead(record, DeadReason.MALFORMED, str(error))
    ledger = said[0].ledger
    if record.key is not None and record.key != ledger.encode():
        return dead(record, DeadReason.KEY_MISMATCH, f"the key is not {ledger} - at `$.ledger`")
    return said


def decoded(record: Record) -> tuple[Command, bytes]:
    """Read the command of a record by itself or, where its headers say so, as a CloudEvent.

    Returns:
        The command and its canonical text.

    Raises:
        MalformedError: it is no command.
    """
    said: dict[str, bytes | None] = {}
    for name, value in record.headers:
        said.setdefault(name, value)
    if (said.get("content-type") or b"").partition(b";")[0].strip().lower() == STRUCTURED:
        return decode_structured(record.value, record.key)
    if said.keys() & {"ce_id", "ce_specversion"}:
        return decode_binary(record.value, record.key, said.get("ce_id"), said.get("ce_specversion"))
    return decode_command(record.value, record.key)


def dead(record: Record, reason: DeadReason, detail: str) -> DeadLetter:
    """Make a dead letter of a record, as it came; of one that is larger than `MOST_KEPT` its size and hash remain."""
    size = size_of(record)
    if size > MOST_KEPT:
        hashed = sha256(record.value or b"").hexdigest()
        told = f"{detail}; {size} bytes, too many to keep, their value's SHA-256 is {hashed}"
        return DeadLetter(record.offset, record.at_ms, None, None, (), reason, told)
    return DeadLetter(record.offset, record.at_ms, record.key, record.value, record.headers, reason, detail)


@lru_cache(maxsize=64)
def time_of(at_ms: int) -> str:
    """Give the time as events hold it.

    >>> time_of(1_700_000_000_123)
    '2023-11-14T22:13:20.123Z'

    Args:
        at_ms: milliseconds since 1970, UTC. The records of one Kafka batch share theirs.
    """
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds")[:23] + "Z"
