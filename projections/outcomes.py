"""The outcome of every command: accepted, or refused and why; and what kind of transfer it brought about.

Events of a ledger follow one another without a gap, and what was decided together has one time. So the commands of
many events share a row, in order, and nothing says sequence and time of each. What only refusals have, is stored for
refusals.
"""

from functools import lru_cache
from typing import Any, Final

from psycopg import Cursor

from projections.copying import copy, elements, int8, row, text, texts, time
from schemas.events import CommandRefused

MOST_COMMANDS: Final = 64

_kind: Final = lru_cache(maxsize=256)(text)


class _Run:
    """The commands of events of one time that follow one another, from `first` on, and the kinds of their transfers."""

    __slots__ = ("at", "commands", "first", "kinds", "ledger")

    def __init__(self, ledger: str, first: int, at: str) -> None:
        self.ledger = ledger
        self.first = first
        self.at = at
        self.commands: list[str | None] = []
        self.kinds: list[str | None] = []


class Outcomes:
    """The outcomes of one page.

    Args:
        schema: of the generation, such as `read_1`.
    """

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._runs: list[_Run] = []
        self._last: dict[str, _Run] = {}
        self._refusals: list[CommandRefused] = []

    def fold(self, ledger: str, sequence: int, at: str, command: str | None, kind: str | None = None) -> None:
        """Take in who brought an event about, and when. Every event must come by."""
        run = self._last.get(ledger)
        if run is None or run.at != at or len(run.commands) == MOST_COMMANDS:
            run = self._last[ledger] = _Run(ledger, sequence, at)
            self._runs.append(run)
        run.commands.append(command)
        run.kinds.append(kind)

    def refuse(self, event: CommandRefused) -> None:
        """Take in why a command was refused."""
        self._refusals.append(event)

    def write(self, cursor: Cursor[Any]) -> None:
        """Store what was taken in, and forget it."""
        copy(
            cursor,
            f"{self._schema}.outcome_runs",
            "ledger, first, at, commands, kinds",
            [
                row(
                    text(run.ledger),
                    int8(run.first),
                    time(run.at),
                    texts(elements(run.commands)),
                    texts([_kind(kind) for kind in run.kinds]),
                )
                for run in self._runs
            ],
        )
        self._last.clear()
        self._runs.clear()
        self._write_refusals(cursor)

    def _write_refusals(self, cursor: Cursor[Any]) -> None:
        if self._refusals:
            copy(
                cursor,
                f"{self._schema}.refusals",
                "ledger, sequence, command_type, reason, details",
                [
                    row(
                        text(event.ledger),
                        int8(event.sequence),
                        text(event.command_type),
                        text(event.reason),
                        texts([text(part) for pair in event.details.items() for part in pair]),
                    )
                    for event in self._refusals
                ],
            )
            self._refusals.clear()
