"""What came of one command, told to whoever asked for it by a `reply-to`.

Law: a reply says nothing that the journal does not hold: it is made of the event, or of the dead letter, once that is
durable. So a retry is told what was told before, and asking again is always safe.
"""

from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from .codec import parse_object
from .events import CommandRefused
from .reasons import DeadReason, Reason
from .values import CommandId, LedgerName, Sequence

AnyReason = Annotated[
    str,
    Meta(
        description="why a command was refused, or why a record is a dead letter",
        extra_json_schema={"enum": [str(reason) for reason in (*Reason, *DeadReason)]},
    ),
]


class Outcome(StrEnum):
    """What may come of a command."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    DEAD_LETTER = "dead-letter"


class Reply(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="reply.v1", gc=False):
    """The outcome of a command.

    `command` and `ledger` are absent where the record did not say them intelligibly. `duplicate`: the id had its
    outcome before, and this is that. `sequence` is that of the event; a dead letter has none, and as its `details` only
    `detail`, the path to the fault included.
    """

    command: CommandId | None = None
    ledger: LedgerName | None = None
    outcome: Outcome
    duplicate: bool
    sequence: Sequence | None = None
    reason: AnyReason | None = None
    details: dict[str, str] | None = None


class Told(Struct, frozen=True, gc=False):
    """What an event says of the outcome of its command; what else it says is passed over."""

    type: str
    at: str
    reason: str | None = None
    details: dict[str, str] | None = None


encode_reply: Final[Callable[[Reply], bytes]] = msgspec.json.Encoder().encode
"""Reply to the bytes that are sent: compact JSON, fields in the order above."""

decode_reply: Final[Callable[[bytes], Reply]] = msgspec.json.Decoder(Reply).decode
"""Bytes to reply. Unknown fields are passed over."""

decode_told: Final[Callable[[bytes], Told]] = msgspec.json.Decoder(Told).decode
"""Bytes of an event to what it says of the outcome."""


class _Id(Struct):
    id: CommandId | None = None
    idempotency_key: CommandId | None = None


class _Ledger(Struct):
    ledger: LedgerName | None = None


_ids: Final = msgspec.json.Decoder(_Id)
_ledgers: Final = msgspec.json.Decoder(_Ledger)
_REFUSED: Final = str(CommandRefused.__struct_config__.tag)


def reply(command: str, ledger: str, sequence: int, told: Told, *, duplicate: bool) -> Reply:
    """Make the reply to a command that has its event.

    Args:
        command: its id.
        ledger: its ledger.
        sequence: of the event.
        told: by the event.
        duplicate: whether the id had its outcome before.
    """
    return Reply(
        command=command,
        ledger=ledger,
        outcome=Outcome.REFUSED if told.type == _REFUSED else Outcome.ACCEPTED,
        duplicate=duplicate,
        sequence=sequence,
        reason=told.reason,
        details=told.details,
    )


def named(value: bytes | None) -> tuple[str | None, str | None]:
    """Find id and ledger in what is no command, so that who sent it may know it again; None where they are not said.

    >>> named(b'{"type":"transfer.v1","id":"order-77","colour":"red"}')
    ('order-77', None)
    """
    command = ledger = None
    with suppress(ValueError, RecursionError):
        parse_object(value or b"")
        with suppress(ValueError):
            said = _ids.decode(value or b"")
            command = said.id or said.idempotency_key
        with suppress(ValueError):
            ledger = _ledgers.decode(value or b"").ledger
    return command, ledger
