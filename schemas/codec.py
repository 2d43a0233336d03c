"""Bytes to messages and back: the one door.

Law: commands are read strictly, events tolerantly. The same content gives the same canonical text and so the same
fingerprint, however it was written. The bytes of an event are made once, here, and are stored, sealed and published as
they are.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, get_args

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import force_setattr

from .commands import Command, ShortTransfer, Transfer, UpdateAccount
from .events import Event
from .values import DEFAULT_LEDGER, LedgerName, Movement, WrongField

MOST_BYTES: Final = 64 * 1024
"""A larger command is not looked at."""

TOO_DEEP: Final = "nested too deep - at `$`"

_DEEPEST: Final = 64
"""No message is nested half as deep. How deep a decoder goes rests on how deep its caller stands; no outcome may."""

PARTS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[^]["{}]+|[][{}]', re.DOTALL)
"""Of JSON, good or bad: texts, brackets, and what is between them."""

_LONGEST_DETAIL: Final = 160
_PLACED: Final = re.compile(r"(.*) - at (`(?:key` in `)?\$[!-_a-~]*`)", re.DOTALL)
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""Names that a path shows. In place of any other it has `[...]`, as msgspec has in place of keys."""
_HALF: Final = re.compile("[\ud800-\udfff]")


class MalformedError(ValueError):
    """The bytes are no command.

    The message is short, names the path to the fault, and repeats nothing of the bytes but a field's name.
    """


class _Fields(list[tuple[str, Any]]):
    """An object as it was said, whatever was said twice."""


class _Typed(Struct):
    type: Raw | UnsetType = UNSET


_commands: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(Command)
_shorts: Final = msgspec.json.Decoder(ShortTransfer)
_typed: Final = msgspec.json.Decoder(_Typed)
_fields: Final = msgspec.json.Decoder(dict[str, Raw])
_events: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_canonical: Final[Callable[[Any], bytes]] = msgspec.json.Encoder(order="deterministic").encode

_lines: Final[Callable[[Iterable[Event]], bytes]] = msgspec.json.Encoder().encode_lines

decode_event: Final[Callable[[bytes], Event]] = _events.decode
"""Bytes to event. Unknown fields are passed over. A retired shape would be turned into its successor here."""

_CLEARED_BY_NULL: Final = frozenset({"floor", "book", "alias"})
"""The fields of an update whose null means something."""

_DEFAULTS: Final = {
    command: tuple(
        (field.name, field.default) for field in msgspec.structs.fields(command) if isinstance(field.default, str)
    )
    for command in get_args(Command)
}
"""By command, its defaults that are text: written out, they are no other content.

The canonical text leaves out only what is the default itself, not what equals it.
"""

_LEFT_OUT_BY_NULL: Final = {
    command.__struct_config__.tag: frozenset(
        field.name for field in msgspec.structs.fields(command) if not field.required
    )
    - (_CLEARED_BY_NULL if command is UpdateAccount else frozenset())
    for command in get_args(Command)
}
"""By tag, the fields whose null is the same as leaving them out."""


def decode_command(value: bytes | None, key: bytes | None) -> tuple[Command, bytes]:
    """Read a command.

    Args:
        value: the record's value, at most `MOST_BYTES`.
        key: the record's key. It names the ledger of the short form.

    Returns:
        The command and its canonical text: the same for the same content, whatever the white space, order of fields or
        spelling.

    Raises:
        MalformedError: it is no command.
    """
    if not value:
        raise MalformedError("empty - at `$`")
    try:
        try:
            command = _commands.decode(value)
        except msgspec.ValidationError:
            command = _read_again(value, key)
        length = quotes = 0
        for field, default in _DEFAULTS[type(command)]:
            said = getattr(command, field)
            if said is not default and said == default:
                force_setattr(command, field, default)
                length += len(f',"{field}":"{default}"')
                quotes += 4
        canonical = _canonical(command)
        # No way to say it is shorter than the canonical text and the defaults written out, but for a time, and that by
        # less than the shortest field. So what is as long holds no field twice, and neither does what differs in white
        # space alone.
        length += len(canonical)
        if len(value) != length and (value.count(b'"') != canonical.count(b'"') + quotes or b"\\" in value):
            parse_object(value)
    except (ValueError, RecursionError) as error:
        raise MalformedError(detail(error, value)) from None
    return command, canonical


def encode_events(events: Iterable[Event]) -> list[bytes]:
    """Make of each event the bytes that are stored and published: compact JSON, in the order of `schemas.events`.

    Many are written into one buffer, which has to grow less often than one each. There is no line end in JSON's texts.
    """
    return _lines(events).splitlines()


def fingerprint(canonical: bytes) -> bytes:
    """Return the 16 bytes that stand for all that a command says, from its canonical text."""
    return sha256(canonical).digest()[:16]


def id_key(ledger: str, command_id: str) -> bytes:
    """Return the 16 bytes that stand for one command id in one ledger.

    Two ids that met in one key would be taken for one id with two contents, and the second become a dead letter: never
    a wrong booking.
    """
    return sha256(f"{ledger}\n{command_id}".encode()).digest()[:16]


def parse_object(value: bytes) -> dict[str, Any]:
    """Read any JSON object, and refuse a field that is given twice: msgspec would keep the last without a word.

    Raises:
        ValueError: it is no such object; `RecursionError` where it is nested too deep.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise MalformedError(next(_faults(value)))
        return fields

    fields = json.loads(value.decode(), object_pairs_hook=once)
    if not isinstance(fields, dict):
        raise MalformedError("Expected `object`")
    return fields


def is_too_deep(value: bytes) -> bool:
    """Tell whether JSON is nested deeper than any message may be."""
    if value.count(b"[") + value.count(b"{") <= _DEEPEST:
        return False
    depth = 0
    for part in PARTS.finditer(value):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(part[0], 0)
        if depth > _DEEPEST:
            return True
    return False


def detail(error: Exception, value: bytes) -> str:
    """Say what is wrong with these bytes and where, in short printable ASCII."""
    if isinstance(error, RecursionError) or is_too_deep(value):
        return TOO_DEEP
    if isinstance(error, UnicodeError):
        return "not UTF-8 - at `$`"
    said = str(error)
    if type(error) is msgspec.DecodeError:
        with suppress(ValueError, RecursionError):
            said = next(_faults(value), said)
    what, where = placed.groups() if (placed := _PLACED.fullmatch(said)) else (said, "`$`")
    what = what.partition(" '")[0] if "value '" in what else what
    if isinstance(error.__cause__, WrongField):
        where = f"{where[:-1]}.{error.__cause__.field}`"
    what = what.encode("ascii", "backslashreplace").decode()
    what = "".join(character if character.isprintable() else "?" for character in what)
    return f"{what[:_LONGEST_DETAIL]} - at {where[:_LONGEST_DETAIL]}"


def _faults(value: bytes) -> Iterator[str]:
    """Say what is wrong in JSON that nobody told the place of: fields given twice, and text that is none.

    Raises:
        ValueError: it is no JSON; `RecursionError` where it is nested too deep.
    """
    places: list[tuple[str, Any]] = [("$", json.loads(value.decode(), object_pairs_hook=_Fields))]
    for path, said in places:
        if isinstance(said, _Fields):
            names: set[str] = set()
            for name, inner in said:
                place = (path + (f".{name}" if _PLAIN.fullmatch(name) else "[...]"))[:_LONGEST_DETAIL]
                if name in names:
                    yield f"Object contains a field twice - at `{place}`"
                names.add(name)
                places += [(place, name), (place, inner)]
        elif isinstance(said, list):
            places += [(f"{path}[{number}]"[:_LONGEST_DETAIL], inner) for number, inner in enumerate(said)]
        elif isinstance(said, str) and _HALF.search(said):
            yield f"Text holds half a surrogate pair - at `{path}`"


def _read_again(value: bytes, key: bytes | None) -> Command:
    """Read what is no command as it stands: the short form, or a command that says null for what it leaves out."""
    named = _typed.decode(value).type
    if named is UNSET:
        # It is shorter than what it means, so neither its length nor its quotes tell of a field given twice.
        parse_object(value)
        short = _shorts.decode(value)
        ledger = DEFAULT_LEDGER if key is None else msgspec.convert(key.decode(), LedgerName)
        movement = Movement(short.from_id, short.to_id, short.currency, short.amount)
        return Transfer(id=short.idempotency_key, ledger=ledger, movements=(movement,))
    tag = msgspec.json.decode(named)
    optional = _LEFT_OUT_BY_NULL.get(tag, frozenset()) if isinstance(tag, str) else frozenset()
    # What remains is copied as it was written: a number that went through a float could come out as null.
    said = {
        name: field for name, field in _fields.decode(value).items() if name not in optional or bytes(field) != b"null"
    }
    return _commands.decode(msgspec.json.encode(said))
