"""Every message of the published language, and the folder that it belongs in."""

from enum import StrEnum
from typing import Final, NamedTuple, get_args

from msgspec import Struct

from schemas.commands import Command, ShortTransfer
from schemas.events import Event
from schemas.postings import AccountPosted
from schemas.replies import Reply


class Kind(StrEnum):
    """What a message is; its value names the folder."""

    COMMAND = "commands"
    EVENT = "events"
    REPLY = "replies"
    POSTING = "postings"

    @property
    def one(self) -> str:
        """What any of them is called; nothing where there is only one."""
        return {Kind.COMMAND: "command", Kind.EVENT: "event"}.get(self, "")

    @property
    def about(self) -> str:
        """What any of them is."""
        return {
            Kind.COMMAND: "A request, which may be refused.",
            Kind.EVENT: "A fact, which is never refused, changed or deleted. Readers pass over what they do not know.",
        }.get(self, "")


class Message(NamedTuple):
    """One message.

    Args:
        name: its tag, such as `transfer.v1`; the short form of a transfer has none.
        kind: what it is.
        struct: how it is read.
    """

    name: str
    kind: Kind
    struct: type[Struct]

    @property
    def path(self) -> str:
        """Where its schema is."""
        return f"{self.kind}/{self.name}.json"


SHORT: Final = "short-transfer"
"""What the short form is called here; in the message itself nothing names it."""


def _message(kind: Kind, struct: type[Struct]) -> Message:
    return Message(str(struct.__struct_config__.tag), kind, struct)


MESSAGES: Final = (
    *(_message(Kind.COMMAND, struct) for struct in get_args(Command)),
    Message(SHORT, Kind.COMMAND, ShortTransfer),
    *(_message(Kind.EVENT, struct) for struct in get_args(Event)),
    _message(Kind.REPLY, Reply),
    _message(Kind.POSTING, AccountPosted),
)
