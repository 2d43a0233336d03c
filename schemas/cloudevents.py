"""Commands that come as CloudEvents 1.0, and what makes a CloudEvent of an event.

Law: the command is what it is without the envelope. Its `id` is that of the envelope, or the record is malformed, for
two ids would be two answers to the question of what was asked already. So a retry in another mode is the same command.

Source:
    CloudEvents 1.0.2, and its bindings to JSON and to Kafka.
"""

from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from .codec import TOO_DEEP, MalformedError, decode_command, detail, is_too_deep, parse_object
from .commands import Command

STRUCTURED: Final = b"application/cloudevents+json"
"""The content type of a record whose value is the envelope, the command in its `data`."""

VERSION: Final = b"1.0"

_Said = Annotated[str, Meta(min_length=1)]


class _Envelope(Struct, frozen=True, gc=False):
    """What must be said in an envelope. Its type and further attributes are whatever the producer likes."""

    specversion: Literal["1.0"]
    id: _Said
    source: _Said
    type: _Said
    data: Raw


_envelope: Final[Callable[[bytes], _Envelope]] = msgspec.json.Decoder(_Envelope).decode


def decode_structured(value: bytes | None, key: bytes | None) -> tuple[Command, bytes]:
    """Read a command that lies in the `data` of an envelope.

    Args:
        value: the record's value, at most `schemas.codec.MOST_BYTES`.
        key: the record's key.

    Returns:
        As `schemas.codec.decode_command`.

    Raises:
        MalformedError: it is no such envelope, or what is in it is no command, or has another id.
    """
    # What an envelope says beside is not looked at, however deep; so it has to be refused before it is read.
    if is_too_deep(value or b""):
        raise MalformedError(TOO_DEEP)
    try:
        parse_object(value or b"")
        envelope = _envelope(value or b"")
    except (ValueError, RecursionError) as error:
        raise MalformedError(detail(error, value or b"")) from None
    try:
        read = decode_command(bytes(envelope.data), key)
    except MalformedError as error:
        raise MalformedError(str(error).replace("`$", "`$.data")) from None
    if read[0].id != envelope.id:
        raise MalformedError("Expected the id of the command - at `$.id`")
    return read


def decode_binary(
    value: bytes | None, key: bytes | None, ce_id: bytes | None, ce_specversion: bytes | None
) -> tuple[Command, bytes]:
    """Read a command whose envelope is in the headers of its record.

    Args:
        value: the record's value, at most `schemas.codec.MOST_BYTES`.
        key: the record's key.
        ce_id: the header of that name.
        ce_specversion: the header of that name.

    Returns:
        As `schemas.codec.decode_command`.

    Raises:
        MalformedError: it is no command, or its headers say another id or version.
    """
    read = decode_command(value, key)
    if ce_specversion not in {None, VERSION}:
        raise MalformedError("Expected 1.0 in the header ce_specversion - at `$`")
    if ce_id != read[0].id.encode():
        raise MalformedError("Expected the id of the command in the header ce_id - at `$.id`")
    return read


def attributes(ledger: str, sequence: int, tag: str, event: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that make a CloudEvent in binary mode of an event, whose bytes stay as they are.

    >>> event = b'{"type":"ledger-opened.v1","ledger":"main","sequence":1,"at":"2026-11-21T09:30:00.125Z"}'
    >>> for name, value in attributes("main", 1, "ledger-opened.v1", event):
    ...     print(name, value.decode())
    ce_specversion 1.0
    ce_id 1
    ce_source defter:main
    ce_type ledger-opened.v1
    ce_time 2026-11-21T09:30:00.125Z
    content-type application/json

    Args:
        ledger: of the event. It is the source: within it, the sequence is the id.
        sequence: of the event.
        tag: the type of the event.
        event: its bytes, as they are stored. The time is where it always is in them.
    """
    at = event.index(_AT) + len(_AT)
    return (
        ("ce_specversion", VERSION),
        ("ce_id", b"%d" % sequence),
        ("ce_source", f"defter:{ledger}".encode()),
        ("ce_type", tag.encode()),
        ("ce_time", event[at : at + _TIME]),
        ("content-type", b"application/json"),
    )


_AT: Final = b',"at":"'
_TIME: Final = len("2026-11-21T09:30:00.125Z")
