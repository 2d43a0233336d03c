"""Sends a file of commands, or what comes on stdin, and tells what became of it all.

Law: what has come is sent at once, in its order, and decided before more is sent: so the command's memory does not grow
with the file, and a break anywhere leaves nothing in doubt that sending again does not settle.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import BinaryIO, Final

import click

from services.cli import NO, screen
from services.cli.issuing import show
from services.cli.place import wait_for, within
from services.errors import Away, Unexpected
from services.sending import ACCEPTED, DEAD_LETTER, NONE, REFUSED, Outcome, Sending, lines_of
from services.settings import Settings
from services.setup import check_installation

MOST_LINES: Final = 4000
MOST_SHOWN: Final = 20
"""Of the answers that are no. `--json` shows every answer."""

_READ_BYTES: Final = 1 << 20


class Tally:
    """What became of the lines so far."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.lines = 0
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Take in one outcome."""
        self.outcomes[outcome.outcome] += 1
        if outcome.reason:
            self.reasons[outcome.reason] += 1

    def again(self, *, no_wait: bool) -> str:
        """Say how to go on after a break."""
        done = "sent" if no_wait else "settled"
        return f"run it again: it resumes, for one id has one outcome ({self.lines:,} lines were {done})"

    @property
    def noes(self) -> int:
        """How many answers are no."""
        return self.outcomes[REFUSED] + self.outcomes[DEAD_LETTER]


def feed(settings: Settings, file: BinaryIO, ledger: str, *, no_wait: bool, as_json: bool, timeout_s: float) -> None:
    """Send all lines of a file. Exits 1 where an answer is no.

    Args:
        settings: which installation.
        file: where the lines come from; what has come is sent at once.
        ledger: the key of lines that name none.
        no_wait: do not wait for outcomes.
        as_json: print every outcome.
        timeout_s: how long anything may take without getting on.
    """
    tally = Tally()
    try:
        wait_for(_feed(settings, file, ledger, tally, no_wait=no_wait, as_json=as_json, timeout_s=timeout_s))
    except Away as away:
        raise Unexpected(str(away), tally.again(no_wait=no_wait)) from away
    except KeyboardInterrupt:
        screen.tell(f"interrupted: {tally.again(no_wait=no_wait)}")
        raise
    _summary(tally, no_wait=no_wait, as_json=as_json)
    if tally.noes:
        raise click.exceptions.Exit(NO)


async def _feed(
    settings: Settings, file: BinaryIO, ledger: str, tally: Tally, *, no_wait: bool, as_json: bool, timeout_s: float
) -> None:
    installed = await within(timeout_s, lambda: check_installation(settings), "PostgreSQL or Kafka")
    sending = Sending(settings, installed.partitions, timeout_s)
    number = 0
    try:
        async for texts in _chunks(file):
            numbered = [(number + count, text) for count, text in enumerate(texts, 1) if text.strip(b" \t\r")]
            number += len(texts)
            lines = list(lines_of([text for _, text in numbered], ledger))
            places = await sending.send(lines)
            outcomes = [] if no_wait else await sending.outcomes(lines, places)
            tally.lines += len(lines)
            for (at, _), outcome in zip(numbered, outcomes, strict=not no_wait):
                _take(tally, outcome, at, as_json=as_json)
            _progress(tally)
    finally:
        _progress(None)
        await sending.close()


def _take(tally: Tally, outcome: Outcome, number: int, *, as_json: bool) -> None:
    tally.add(outcome)
    if as_json or (not outcome.good and tally.noes <= MOST_SHOWN):
        show(outcome, as_json=as_json, number=number)


def _summary(tally: Tally, *, no_wait: bool, as_json: bool) -> None:
    if as_json:
        found = {"sent": tally.lines} | ({} if no_wait else dict(tally.outcomes))
        screen.line({"type": "summary", **found, "reasons": dict(tally.reasons)})
        return
    if tally.noes > MOST_SHOWN:
        screen.say(f"… and {tally.noes - MOST_SHOWN:,} more that are no: --json shows every one")
    told = [
        f"{tally.outcomes[name]:,} {name}" for name in (ACCEPTED, REFUSED, DEAD_LETTER, NONE) if tally.outcomes[name]
    ]
    screen.say(f"{tally.lines:,} sent" + (f": {', '.join(told)}" if told else ""))
    for reason, count in tally.reasons.most_common():
        screen.say(f"  {count:,} {reason}")
    screen.hint("defter trial-balance", "defter status")


def _progress(tally: Tally | None) -> None:
    """Say how far it is, over and over on one line, on a terminal."""
    if sys.stderr.isatty() and sys.stdout.isatty():
        click.echo("\r\x1b[K" if tally is None else f"\r{tally.lines:,} sent, {tally.noes:,} no", err=True, nl=False)


async def _chunks(file: BinaryIO) -> AsyncIterator[list[bytes]]:
    """Give the lines that have come, without their ends, as they come."""
    read = getattr(file, "read1", file.read)
    rest = b""
    while True:
        await _come(file)
        data = await asyncio.to_thread(read, _READ_BYTES)
        *lines, rest = (rest + data).split(b"\n")
        if not data and rest:
            lines, rest = [rest], b""
        for first in range(0, len(lines), MOST_LINES):
            yield lines[first : first + MOST_LINES]
        if not data:
            return


async def _come(file: BinaryIO) -> None:
    """Wait until something has come, or the end: a thread that reads cannot be interrupted, and Ctrl-C would wait too.

    A file on a disk is always there, and cannot be waited for.
    """
    loop, come = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(file.fileno(), come.set)
    except OSError:
        return
    try:
        await come.wait()
    finally:
        loop.remove_reader(file.fileno())
