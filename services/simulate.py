"""What would become of these commands: decided with no Kafka and no database, or on top of a ledger's present state.

Law: the events are, byte for byte, those that the writer would store. Nothing is changed anywhere.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct
from msgspec.structs import replace

from domain.state import Totals
from schemas.codec import MOST_BYTES, PARTS, detail, parse_object
from schemas.reasons import DeadReason
from schemas.values import timestamp
from services.hindsight import so_far
from services.journal.ports import DeadLetter, Recalled, Wanted
from services.kafka.ports import Record
from services.reading import Reading, dead, read
from services.shard import NOTHING_RECALLED, Shard

BEGINNING: Final = "1970-01-01T00:00:00.000Z"
_BATCH: Final = 500

Balances = dict[tuple[str, str, str], tuple[int, int, int]]
"""Ledger, account and unit to debits, credits and held, in minimal parts."""


class _Timed(Struct):
    at: Any = UNSET


async def nothing_known(_: Wanted) -> Recalled:
    """Recall nothing: there is no past."""
    return NOTHING_RECALLED


async def simulate(
    lines: Iterable[bytes], shard: Shard, recall: Callable[[Wanted], Awaitable[Recalled]] = nothing_known
) -> AsyncIterator[bytes]:
    """Decide a file of commands, and give what comes of them.

    Args:
        lines: JSON Lines. One may carry `at`, the time to decide it at; else it is that of the line before.
        shard: the state to begin on, present or past; it changes as the lines are decided.
        recall: looks up what they refer to; what came after that state does not count.

    Yields:
        Events, as they would be stored, and dead letters, in the order of the lines; without the newline.
    """
    readings = _read(lines)
    draft = shard.begin()
    stood = {name: ledger.sequence for name, ledger in shard.ledgers.items()}
    while batch := list(islice(readings, _BATCH)):
        recalled = so_far(batch, await recall(shard.wanted(batch)), lambda ledger: stood.get(ledger, 0))
        for reading in batch:
            events, dead_letters = len(draft.entries), len(draft.dead_letters)
            shard.decide(reading, recalled, draft)
            for entry in draft.entries[events:]:
                yield entry.data
            for letter in draft.dead_letters[dead_letters:]:
                yield _told(letter)


def balances_of(shard: Shard) -> Balances:
    """Give the totals of every account and unit as they stand."""
    return {
        (ledger.name, account, unit): place.figures
        for ledger in shard.ledgers.values()
        for unit, places in ledger.places.items()
        for account, place in places.items()
    }


def changed(before: Balances, after: Balances) -> Iterator[bytes]:
    """Give a line for each account and unit whose totals differ, in order of ledger, account and unit."""
    for place in sorted(after):
        old, new = before.get(place, (0, 0, 0)), after[place]
        if old != new:
            yield balance_line(place, old, new)


def balance_line(place: tuple[str, str, str], old: tuple[int, int, int], new: tuple[int, int, int]) -> bytes:
    """Give the line for one account and unit: debits, credits and held before and after, in minimal parts."""
    ledger, account, unit = place
    line = {"type": "balance.v1", "ledger": ledger, "account": account, "unit": unit, "before": _told_of(old)}
    return msgspec.json.encode(line | {"after": _told_of(new)})


class _NoTimeError(ValueError):
    """What a line says as its time is none."""


def _read(lines: Iterable[bytes]) -> Iterator[Reading | DeadLetter]:
    at = BEGINNING
    for number, line in enumerate(lines, start=1):
        text = line.removesuffix(b"\n")
        if not text.strip(b" \t\r"):
            continue
        record = Record(number, 0, None, text, ())
        if len(text) <= MOST_BYTES:
            try:
                said = _time_said(text)
                if said is not UNSET:
                    at = _time(said)
                    text = _without_time(text)
            except _NoTimeError as error:
                yield dead(record, DeadReason.MALFORMED, str(error))
                continue
            except (ValueError, RecursionError) as error:
                yield dead(record, DeadReason.MALFORMED, detail(error, text))
                continue
        yield read(replace(record, value=text), at)


def _time_said(line: bytes) -> object:
    """Find what a line says as its `at`, whatever else it says; UNSET where that is nothing, or the line no JSON."""
    try:
        return msgspec.json.decode(line, type=_Timed).at
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        pass
    # It may be JSON all the same: nested too deep, or with half a surrogate, of which only `json` makes text.
    try:
        return json.loads(_shallow(line).decode()).get("at", UNSET)
    except (ValueError, AttributeError):
        return UNSET


def _shallow(line: bytes) -> bytes:
    """Empty the lists and objects in a line's object."""
    kept: list[bytes] = []
    depth = 0
    for part in PARTS.findall(line):
        depth -= part in {b"]", b"}"}
        if depth <= 1:
            kept.append(part)
        depth += part in {b"[", b"{"}
    return b"".join(kept)


def _time(said: object) -> str:
    try:
        if isinstance(said, str):
            return timestamp(said)
    except ValueError:
        pass
    raise _NoTimeError("not a time - at `$.at`")


def _without_time(line: bytes) -> bytes:
    """Take `at` off a line. Raises as `parse_object`, where a command that says this is no command."""
    parse_object(line)
    fields = msgspec.json.decode(line, type=dict[str, Raw])
    del fields["at"]
    rest = b",".join(msgspec.json.encode(name) + b":" + bytes(field) for name, field in fields.items())
    return b"{" + rest + b"}"


def _told(letter: DeadLetter) -> bytes:
    line = {"type": "dead-letter", "line": letter.offset, "reason": letter.reason, "detail": letter.detail}
    return msgspec.json.encode(line)


def _told_of(totals: tuple[int, int, int]) -> dict[str, str]:
    debits, credits_, held = totals
    one = Totals(debits, credits_, held)
    return {
        "debits": str(debits),
        "credits": str(credits_),
        "held": str(held),
        "balance": str(one.balance),
        "available": str(one.available),
    }
