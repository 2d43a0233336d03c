"""The values that messages are made of: their forms and their limits.

Law: what decodes is right. A pattern matches a whole value to its very end; lengths count code points; a number lies in
its range. `SPEC.md` 2 is the list.

Numbers that may come as strings are typed as plain `int` for the reader of this code: `Whole` numbers are made so when
a message is decoded.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from msgspec import Meta, Struct, UnsetType
from msgspec.structs import force_setattr

LARGEST: Final = 2**63 - 1
SMALLEST: Final = -(2**63)
MOST_MOVEMENTS: Final = 1000
DEFAULT_LEDGER: Final = "main"
DEFAULT_BOOK: Final = "default"

_ACCOUNT = r"[A-Za-z0-9][A-Za-z0-9._:/+#@-]{0,127}"
_ALIAS = r"@[a-z0-9][a-z0-9._-]{0,62}"
_PARTY = rf"^(?:{_ACCOUNT}|{_ALIAS})\Z"
_UNIT = r"^[A-Z0-9]{1,16}\Z"
# No name holds a newline, so two of them part three names.
_NAMES = re.compile(rf"(?:{_ACCOUNT}|{_ALIAS})\n(?:{_ACCOUNT}|{_ALIAS})\n[A-Z0-9]{{1,16}}\Z")
_NAME = r"[a-z][a-z0-9_-]{0,62}"
# Hours end at 23: newer Pythons would take 24:00 for the next day.
_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,3})?Z"
_TEXT = r"^[^\x00]*\Z"
_MOST_VISIBLE: Final = 128
_VISIBLE = rf"^[!-~]{{1,{_MOST_VISIBLE}}}\Z"

LedgerName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9-]{0,62}\Z",
        description="one self-contained set of accounts with one total order of events",
    ),
]
AccountName = Annotated[str, Meta(pattern=rf"^{_ACCOUNT}\Z", description="a place that owns postings")]
Alias = Annotated[str, Meta(pattern=rf"^{_ALIAS}\Z", description="another name for an account")]
Party = Annotated[str, Meta(pattern=_PARTY, description="an existing account, by its name or its alias")]
Unit = Annotated[str, Meta(pattern=_UNIT, description="what is counted; its own conservation boundary")]
BookName = Annotated[str, Meta(pattern=rf"^{_NAME}\Z", description="a policy scope")]
KindName = Annotated[str, Meta(pattern=rf"^{_NAME}\Z", description="a kind of transfer")]
AccountType = Annotated[str, Meta(pattern=rf"^{_NAME}\Z", description="a type of account")]
_COMMAND_ID = "chosen by the caller, unique within its ledger; the idempotency key"
CommandId = Annotated[str, Meta(pattern=_VISIBLE, description=_COMMAND_ID)]
# Whose field it is looks at it with `check_id`.
UncheckedId = Annotated[str, Meta(extra_json_schema={"pattern": _VISIBLE}, description=_COMMAND_ID)]
AdId = Annotated[str, Meta(pattern=_VISIBLE, description="an offer to exchange")]
PostingId = Annotated[
    str, Meta(pattern=r"^[1-9][0-9]{0,18}\.(?:0|[1-9][0-9]{0,9})\Z", description="sequence and index of a posting")
]
Flag = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{0,31}\Z", description="marks an account for books")]
Flags = Annotated[tuple[Flag, ...], Meta(max_length=32)]
DisplayName = Annotated[str, Meta(min_length=1, max_length=128, pattern=_TEXT, description="text for people")]
Metadata = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=64, pattern=_TEXT)],
        Annotated[str, Meta(max_length=1024, pattern=_TEXT)],
    ],
    Meta(max_length=32, description="the caller's own pairs, kept with the event"),
]
Rate = Annotated[
    str,
    Meta(
        pattern=r"^(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?\Z",
        description="whole units of quote for one whole unit of base",
    ),
]
Scale = Annotated[int, Meta(ge=0, le=18, description="decimal places of a whole unit")]
Version = Annotated[int, Meta(ge=0, le=LARGEST, description="counts the changes; 0 is what does not exist yet")]
Sequence = Annotated[int, Meta(ge=1, le=LARGEST, description="place of an event in its ledger: 1, 2, 3 and no gaps")]
Timestamp = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z",
        description="UTC, three digits of fraction",
    ),
]
WireNumber = Annotated[
    str, Meta(pattern=r"^(?:0|-?[1-9][0-9]{0,18})\Z", description="an integer as text, so that no reader rounds it")
]

if TYPE_CHECKING:
    Amount = int
    Fee = int
    Signed = int
    Moment = str
else:
    Amount = Annotated[int, Meta(ge=1, le=LARGEST)] | Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,18}\Z")]
    Fee = Annotated[int, Meta(ge=0, le=LARGEST)] | Annotated[str, Meta(pattern=r"^(?:0|[1-9][0-9]{0,18})\Z")]
    Signed = (
        Annotated[int, Meta(ge=SMALLEST, le=LARGEST)] | Annotated[str, Meta(pattern=r"^(?:0|-?[1-9][0-9]{0,18})\Z")]
    )
    Moment = Annotated[str, Meta(pattern=rf"^{_MOMENT}\Z")]


class WrongField(ValueError):
    """What a struct says of one field is wrong. A decoder gives the path to the struct; the field is the rest of it."""

    def __init__(self, what: str, field: str) -> None:
        super().__init__(what)
        self.field = field


class Policy(StrEnum):
    """How far below zero an account may go."""

    NO_OVERDRAFT = "no_overdraft"
    CAPPED_OVERDRAFT = "capped_overdraft"
    UNCAPPED_OVERDRAFT = "uncapped_overdraft"
    SYSTEM = "system"
    EXTERNAL = "external"


class Movement(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One amount leaving one account for another. It has a single amount, so its two sides cannot differ.

    Its three names are looked at together: the decoder would look at each by itself, and take three times as long.
    """

    source: Annotated[str, Meta(extra_json_schema={"pattern": _PARTY})]
    destination: Annotated[str, Meta(extra_json_schema={"pattern": _PARTY})]
    unit: Annotated[str, Meta(extra_json_schema={"pattern": _UNIT})]
    amount: Amount

    def __post_init__(self) -> None:
        if not _NAMES.match(f"{self.source}\n{self.destination}\n{self.unit}"):
            self._say_which()
        if type(self.amount) is not int:
            whole(self, "amount")

    def _say_which(self) -> None:
        for field, form in (("source", _PARTY), ("destination", _PARTY), ("unit", _UNIT)):
            if not re.match(form, getattr(self, field)):
                raise WrongField(f"Expected `str` matching regex {form!r}", field)


class BalancePin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What a balance must be before a transfer, holds not deducted."""

    account: Party
    unit: Unit
    at_least: Signed | None = None
    at_most: Signed | None = None

    def __post_init__(self) -> None:
        whole(self, "at_least", "at_most")


class Expect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What must be so before anything moves."""

    versions: dict[Party, Version] | None = None
    balances: tuple[BalancePin, ...] | None = None

    def __post_init__(self) -> None:
        # An empty list expects as much as none, and is to be no other content.
        for field in ("versions", "balances"):
            if not getattr(self, field):
                force_setattr(self, field, None)


class Creation(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One signed amount that an envelope creates."""

    account: Party
    unit: Unit
    amount: Signed

    def __post_init__(self) -> None:
        whole(self, "amount")
        if self.amount == 0:
            raise WrongField("Expected a number other than 0", "amount")


Said = TypeVar("Said")


def said_or(said: Said | UnsetType, before: Said) -> Said:
    """Give what an update says, be it null, or what was before where it says nothing."""
    return before if isinstance(said, UnsetType) else said


def told(form: Any) -> Any:
    """Give a form of text that stands in the schema and is not looked at when read: it was, when it was said."""
    (meta,) = form.__metadata__
    return Annotated[str, Meta(description=meta.description, extra_json_schema={"pattern": meta.pattern})]


def check_id(text: str) -> None:
    """See to it that a text is a `CommandId`, in a third of the time that the decoder takes.

    Raises:
        WrongField: it is none.
    """
    if not (0 < len(text) <= _MOST_VISIBLE and text.isascii() and text.isprintable() and " " not in text):
        raise WrongField(f"Expected `str` matching regex {_VISIBLE!r}", "id")


def whole(struct: Struct, *fields: str) -> None:
    """Make an `int` of each field that came as a string of digits.

    Raises:
        WrongField: it is out of range.
    """
    for field in fields:
        value = getattr(struct, field)
        if type(value) is str:
            number = int(value)
            if not SMALLEST <= number <= LARGEST:
                raise WrongField("Out of range", field)
            force_setattr(struct, field, number)


def moment(struct: Struct, field: str) -> None:
    """Bring a time to its one form, of 24 characters.

    Raises:
        WrongField: there is no such date or time of day.
    """
    value: str | None = getattr(struct, field)
    if value is not None:
        try:
            force_setattr(struct, field, timestamp(value))
        except ValueError:
            raise WrongField("No such time", field) from None


def timestamp(text: str) -> str:
    """Return the time with exactly three digits of fraction.

    >>> timestamp("2026-11-21T09:30:00.5Z")
    '2026-11-21T09:30:00.500Z'

    Raises:
        ValueError: there is no such date or time of day, or the form is another.
    """
    if not re.fullmatch(_MOMENT, text):
        raise ValueError("not a time of the form YYYY-MM-DDTHH:MM:SS.mmmZ")
    seconds, _, fraction = text[:-1].partition(".")
    datetime.fromisoformat(seconds)
    return f"{seconds}.{fraction:0<3}Z"
