"""What became of a command, and what of a transfer was moved back since: asked of the journal, which knows every id.

Law: nothing here is kept a second time. An answer is never behind, and no second index of ids has to be.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from domain.parts import Remainder
from domain.reversals import movements, remaining
from schemas.codec import decode_event, id_key
from schemas.events import CommandRefused, Event, TransferPosted
from services.journal.ports import Journal, Wanted

AsOf = int | str | None
"""A sequence or a time, the last that counts; None for now."""

_ENVELOPE: Final = "envelope"


class Outcome(Struct, frozen=True):
    """What became of a command, and the event that says so. `reason` is None where it was accepted."""

    ledger: str
    command: str
    sequence: int
    at: str
    reason: str | None
    details: dict[str, str]
    event: bytes


class Transfer(Struct, frozen=True):
    """A transfer: what it moved, the fee last, and how much of each movement was moved back so far.

    An envelope, and a reversal of one, has postings and no movements; it is moved back whole: `reversals` says whether.
    """

    ledger: str
    id: str
    sequence: int
    at: str
    kind: str
    movements: list[Remainder]
    reversed: list[int]
    reversals: list[int]
    fee: str | None
    book: str | None
    metadata: dict[str, str]
    event: TransferPosted


async def outcome(journal: Journal, ledger: str, command: str, as_of: AsOf = None) -> Outcome | None:
    """Tell what became of a command; None where it has no outcome, or had none as of then.

    Raises:
        Away: the journal does not answer.
    """
    key = id_key(ledger, command)
    recalled = await journal.recall(Wanted((), (key,), ()))
    if key not in recalled.transfers:
        return None
    data = recalled.transfers[key][0]
    event = decode_event(data)
    if not _by(event, as_of):
        return None
    refused = event if isinstance(event, CommandRefused) else None
    reason, details = (refused.reason.value, refused.details) if refused else (None, {})
    return Outcome(ledger, command, event.sequence, event.at, reason, details, data)


async def transfers(journal: Journal, ledger: str, ids: Sequence[str], as_of: AsOf = None) -> list[Transfer]:
    """Tell transfers by their ids, in one round trip; what is no transfer, or was none as of then, is left out.

    Args:
        journal: of the ledger's shard.
        ledger: whose transfers.
        ids: those of their commands, as `transfers` of the read models lists them.
        as_of: what was moved back later does not count.

    Raises:
        Away: the journal does not answer.
    """
    keys = [id_key(ledger, one) for one in ids]
    recalled = await journal.recall(Wanted((), keys, ()))
    found = []
    for key in keys:
        told = [one for one in map(decode_event, recalled.transfers.get(key, ())) if _by(one, as_of)]
        if told and isinstance(told[0], TransferPosted):
            back = [one for one in told[1:] if isinstance(one, TransferPosted)]
            found.append(_transfer(told[0], back, whole=await _is_whole(journal, told[0])))
    return found


async def has(journal: Journal, ledger: str, sequence: int) -> bool:
    """Tell whether a ledger has come to a sequence. Raises `Away`."""
    place = (ledger, sequence)
    return sequence == 0 or place in (await journal.recall(Wanted((), (), (place,)))).events


def _transfer(event: TransferPosted, back: list[TransferPosted], *, whole: bool) -> Transfer:
    moved = [] if whole else movements(event)
    left = [] if whole else remaining(event, back)
    return Transfer(
        ledger=event.ledger,
        id=event.command or "",
        sequence=event.sequence,
        at=event.at,
        kind=event.kind,
        movements=moved,
        reversed=[one.amount - rest.amount for one, rest in zip(moved, left, strict=True)],
        reversals=[one.sequence for one in back],
        fee=event.fee,
        book=event.book,
        metadata=event.metadata,
        event=event,
    )


async def _is_whole(journal: Journal, event: TransferPosted) -> bool:
    """Tell whether a transfer is an envelope, or a reversal of one, or of such a reversal, and so on."""
    while event.reverses is not None:
        place = (event.ledger, event.reverses)
        original = decode_event((await journal.recall(Wanted((), (), (place,)))).events[place])
        assert isinstance(original, TransferPosted), f"{place} is reversed, and no transfer"
        event = original
    return event.kind == _ENVELOPE


def _by(event: Event, as_of: AsOf) -> bool:
    if as_of is None:
        return True
    return event.at <= as_of if isinstance(as_of, str) else event.sequence <= as_of
