"""Commands for after an incident, or before one: `simulate`."""

from collections.abc import AsyncIterator
from typing import Any, BinaryIO

import click

from services.cli import options, screen
from services.cli.place import here, wait_for

commands = click.Group()


@commands.command(epilog=options.example("defter simulate commands.jsonl --balances", "defter simulate - --on main"))
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--on", type=options.LEDGER, metavar="LEDGER", help="On top of the present state of this ledger.")
@click.option("--balances", is_flag=True, help="Print what would change, too.")
@click.option("--json", "_", is_flag=True, help="As it does anyway: JSON Lines.")
def simulate(file: BinaryIO, on: str | None, balances: bool, _: bool) -> None:
    """Decide a file of commands, one JSON object a line, and print the events that would be stored. Changes nothing.

    It needs no Kafka, and without --on no database. A line may carry "at", the time to decide it at.
    """
    wait_for(_simulate(file, on, balances=balances))


async def _simulate(file: BinaryIO, on: str | None, *, balances: bool) -> None:
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

    settings = here()
    installed = await read_installation(settings)
    number = partition_of(on, installed.partitions)
    journal = PostgresJournal(settings.database(number), number, READER)
    try:
        shard = Shard(number, installed.partitions)
        async for rows in journal.load():
            shard.restore(row for row in rows if row.ledger == on)
        await _print(simulation.simulate(file, shard, journal.recall), shard, simulation, balances=balances)
    finally:
        await journal.close()


async def _print(lines: AsyncIterator[bytes], shard: Any, simulation: Any, *, balances: bool) -> None:
    before = simulation.balances_of(shard)
    async for line in lines:
        screen.line(line)
    if balances:
        for line in simulation.changed(before, simulation.balances_of(shard)):
            screen.line(line)
