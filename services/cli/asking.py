"""Questions of commands to the read models, and to the journal: connected, waited for, and let go again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from functools import partial
from typing import NamedTuple, TypeVar

import click

from domain.beginning import UNITS
from services import outcomes
from services.cli import NO
from services.cli.place import here, insisting, wait_for, within
from services.differences import sequence_of
from services.errors import Away, Unexpected
from services.journal.postgres import PostgresJournal
from services.journal.streams import Streams
from services.kafka.topics import partition_of
from services.migrations.run import READER
from services.reads import Behind, NotThere, Reads
from services.settings import Settings
from services.setup import read_installation

_Answer = TypeVar("_Answer")

_SCALES_S = 3.0
_LOOK_EVERY_S = 0.1


class No(click.ClickException):
    """The answer is no: what is asked about does not exist."""

    exit_code = NO

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's own signature
        """Say so."""
        click.echo(f"defter: {self.message}", err=True)


def ask(
    ledger: str | None,
    question: Callable[[Reads, str], Awaitable[_Answer]],
    timeout_s: float,
    min_sequence: int = 0,
) -> tuple[str, _Answer]:
    """Ask the read models of a ledger.

    Args:
        ledger: which; else the one that is set.
        question: is given the read models and the ledger.
        timeout_s: how long to wait for what does not answer, and for `min_sequence`.
        min_sequence: what the answer must have.

    Returns:
        The ledger and the answer.

    Raises:
        No: what is asked about does not exist.
        Unexpected: the read models have not come to `min_sequence` in time.
    """
    settings = here(timeout_s)
    ledger = ledger or settings.ledger
    try:
        return ledger, wait_for(_asked(settings, ledger, question, timeout_s, min_sequence))
    except NotThere as not_there:
        raise No(str(not_there)) from None
    except Behind as behind:
        raise Unexpected(str(behind), "see `defter status`: is a projector running?") from None


async def _asked(
    settings: Settings,
    ledger: str,
    question: Callable[[Reads, str], Awaitable[_Answer]],
    timeout_s: float,
    min_sequence: int = 0,
) -> _Answer:
    installed = await within(timeout_s, lambda: read_installation(settings))
    dsn = settings.read_database(partition_of(ledger, installed.partitions))
    models = Reads(dsn, min_sequence=min_sequence, wait_s=timeout_s)
    try:
        return await insisting(timeout_s, lambda: question(models, ledger))
    finally:
        await models.close()


class Shown(NamedTuple):
    """What became of a command, as of a sequence; where that is a transfer, what of it was moved back by then."""

    outcome: outcomes.Outcome
    transfer: outcomes.Transfer | None
    as_of: int


def outcome_of(
    settings: Settings,
    ledger: str | None,
    command: str,
    timeout_s: float,
    *,
    as_of: outcomes.AsOf = None,
    min_sequence: int = 0,
) -> Shown:
    """Look up what became of a command, in the journal.

    Raises:
        No: it has no outcome, or had none as of then.
        Unexpected: the journal has not come to `min_sequence` in time.
    """
    ledger = ledger or settings.ledger
    try:
        return wait_for(_outcome_of(settings, ledger, command, timeout_s, as_of=as_of, min_sequence=min_sequence))
    except NotThere as not_there:
        raise No(str(not_there)) from None


async def _outcome_of(
    settings: Settings, ledger: str, command: str, timeout_s: float, *, as_of: outcomes.AsOf, min_sequence: int
) -> Shown:
    installed = await within(timeout_s, lambda: read_installation(settings))
    shard = partition_of(ledger, installed.partitions)
    journal = PostgresJournal(settings.database(shard), shard, READER)
    try:
        await _come(journal, ledger, min_sequence, timeout_s)
        point = partial(asyncio.to_thread, _sequence_of, settings.database(shard), shard, ledger, as_of)
        sequence = await within(timeout_s, point)
        found = await within(timeout_s, lambda: outcomes.outcome(journal, ledger, command, sequence))
        if found is None:
            raise No(
                f"no command {command} has an outcome in ledger {ledger}" + ("" if as_of is None else " as of then")
            )
        transfers = await within(timeout_s, lambda: outcomes.transfers(journal, ledger, [command], sequence))
        return Shown(found, transfers[0] if transfers else None, sequence)
    finally:
        await journal.close()


def _sequence_of(dsn: str, shard: int, ledger: str, as_of: outcomes.AsOf) -> int:
    with closing(Streams(dsn, shard)) as streams:
        return sequence_of(streams, ledger, as_of)


async def _come(journal: PostgresJournal, ledger: str, sequence: int, timeout_s: float) -> None:
    """Wait until the journal has come to a sequence of a ledger."""
    until = time.monotonic() + timeout_s
    while not await within(timeout_s, lambda: outcomes.has(journal, ledger, sequence)):
        if time.monotonic() > until:
            raise Unexpected(f"ledger {ledger} has not come to sequence {sequence} yet", "see `defter status`")
        await journal.changed(_LOOK_EVERY_S)


def scales_of(settings: Settings, ledger: str, units: Iterable[str]) -> dict[str, int]:
    """Find out the scales of units, as far as that is possible at the moment; those built in are known anyway."""
    if all(unit in UNITS for unit in units):
        return dict(UNITS)
    try:
        return wait_for(
            _asked(settings.hurried(_SCALES_S), ledger, lambda models, name: models.scales(name), _SCALES_S)
        )
    except (Away, Unexpected, NotThere):
        return dict(UNITS)
