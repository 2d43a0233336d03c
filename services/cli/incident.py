"""Commands for after an incident, or before one: `simulate`."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from services.cli import NO, options, screen
from services.cli.place import here, wait_for, within

if TYPE_CHECKING:
    from domain.state import Ledger

commands = click.Group()


@commands.command(
    epilog=options.example(
        "defter simulate commands.jsonl --balances",
        "defter simulate - --on main",
        "defter simulate what-if.jsonl --on main --at-sequence 41 --balances",
    )
)
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--on", type=options.LEDGER, metavar="LEDGER", help="On top of the present state of this ledger.")
@click.option("--at-sequence", type=click.IntRange(0), metavar="N", help="On top of its state after this event.")
@click.option("--balances", is_flag=True, help="Print what would change, too.")
@click.option("--json", "_", is_flag=True, help="As it does anyway: JSON Lines.")
@options.timeout
def simulate(
    file: BinaryIO, on: str | None, at_sequence: int | None, balances: bool, timeout_s: float, _: bool
) -> None:
    """Decide a file of commands, one JSON object a line, and print the events that would be stored. Changes nothing.

    It needs no Kafka, and without --on no database. A line may carry "at", the time to decide it at. With --at-sequence
    nothing that came later counts: an id that was used later is free, a transfer that was reversed later is not.
    """
    if at_sequence is not None and on is None:
        raise click.UsageError("--at-sequence is of a ledger: name it with --on")
    wait_for(_simulate(file, on, at_sequence, timeout_s, balances=balances))


async def _simulate(
    file: BinaryIO, on: str | None, at_sequence: int | None, timeout_s: float, *, balances: bool
) -> None:
    from services import simulate as simulation
    from services.shard import Shard

    if on is None:
        shard = Shard(0, 1)
        await _print(simulation.simulate(file, shard), shard, simulation, balances=balances)
        return
    from services.journal.postgres import PostgresJournal
    from services.kafka.topics import partition_of
    from services.migrations.run import READER
    from services.setup import read_installation

    settings = here(timeout_s)
    installed = await within(timeout_s, lambda: read_installation(settings))
    number = partition_of(on, installed.partitions)
    shard = Shard(number, installed.partitions)
    if state := await asyncio.to_thread(_stood, settings.database(number), number, on, at_sequence):
        shard.ledgers[on] = state
    journal = PostgresJournal(settings.database(number), number, READER)
    try:
        await _print(simulation.simulate(file, shard, journal.recall), shard, simulation, balances=balances)
    finally:
        await journal.close()


def _stood(dsn: str, shard: int, ledger: str, at_sequence: int | None) -> "Ledger | None":
    """Return a ledger as it stands, or stood after an event; None where there is none."""
    from contextlib import closing

    from services.journal.streams import Streams
    from services.replay import state_before

    with closing(Streams(dsn, shard)) as streams:
        last = streams.last(ledger)
        if at_sequence is not None and at_sequence > last:
            screen.tell(f"defter: {ledger} has no event {at_sequence}: its last is {last}")
            raise click.exceptions.Exit(NO)
        sequence = last if at_sequence is None else at_sequence
        return state_before(streams, ledger, sequence + 1) if sequence else None


async def _print(lines: AsyncIterator[bytes], shard: Any, simulation: Any, *, balances: bool) -> None:
    before = simulation.balances_of(shard)
    async for line in lines:
        screen.line(line)
    if balances:
        for line in simulation.changed(before, simulation.balances_of(shard)):
            screen.line(line)
