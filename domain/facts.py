"""Documents of the past that a command refers to by id, fetched before it is decided.

A ledger's state is what it is now; that a transfer once moved 60, or that posting `42.1` existed, is in its events
alone. `wanted` says which of them a command needs; whoever calls `decide` fetches them, those of the same and of the
unfinished batch included.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from schemas.commands import Command, CommitEnvelope, ReverseTransfer
from schemas.events import Event
from schemas.values import LARGEST


class Wanted(NamedTuple):
    """What to fetch.

    Args:
        transfer: the command whose event is needed, with every reversal of it.
        sequences: the places of further events.
    """

    transfer: str | None = None
    sequences: frozenset[int] = frozenset()


class Facts(NamedTuple):
    """What was found.

    Args:
        transfer: the event that the command to be reversed made; None where there is none.
        reversals: every reversal of it so far, in order.
        events: those asked for by sequence; what does not exist is absent.
    """

    transfer: Event | None = None
    reversals: tuple[Event, ...] = ()
    events: Mapping[int, Event] = {}


NO_FACTS: Final = Facts()
"""What most commands need to know of the past."""

NOTHING_WANTED: Final = Wanted()


REFERRING: Final = frozenset({ReverseTransfer, CommitEnvelope})
"""The commands that refer to something of the past; few do."""


def wanted(command: Command) -> Wanted:
    """Tell which documents the command refers to."""
    if type(command) is ReverseTransfer:
        return Wanted(transfer=command.transfer)
    if type(command) is CommitEnvelope:
        named = (int(posting.partition(".")[0]) for posting in command.consumes)
        return Wanted(sequences=frozenset(sequence for sequence in named if sequence <= LARGEST))
    return NOTHING_WANTED
