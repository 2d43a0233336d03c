"""`snapshot`: the writer's state put away, so that it starts in seconds."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

import click

from services.cli import options, screen
from services.cli.place import here, wait_for, within

if TYPE_CHECKING:
    from services.snapshots import Made

commands = click.Group()


@commands.command(epilog=options.example("defter snapshot", "defter snapshot --every 3600"))
@click.option("--every", type=options.Seconds(1), metavar="SECONDS", help="Again and again, until Ctrl-C.")
@options.as_json
@options.timeout
def snapshot(every: float | None, as_json: bool, timeout_s: float) -> None:
    """Put the state of every shard away, so that its writer starts in seconds, however long the journal is.

    It reads the journal beside the writer, and asks nothing of it. The two newest of each shard are kept. A writer
    passes over one that is not sound; deleting all of them changes nothing but the time it takes to start.
    """
    with contextlib.suppress(KeyboardInterrupt):
        wait_for(_snapshot(every, timeout_s, as_json=as_json))


async def _snapshot(every: float | None, timeout_s: float, *, as_json: bool) -> None:
    from services.setup import read_installation
    from services.snapshots import make
    from services.writer import RULES

    settings = here()
    installed = await within(timeout_s, lambda: read_installation(settings))
    while True:
        for shard in range(installed.partitions):
            dsn = settings.database(shard)
            made = await asyncio.to_thread(make, dsn, shard, installed.partitions, RULES)
            _tell(shard, made, as_json=as_json)
        if every is None:
            if not as_json:
                screen.hint("defter status")
            return
        await asyncio.sleep(every)


def _tell(shard: int, made: "Made | None", *, as_json: bool) -> None:
    if as_json:
        screen.line({"type": "snapshot", "shard": shard, "made": made is not None} | (made._asdict() if made else {}))
    elif made:
        held = f"{made.accounts:,} accounts of {made.ledgers:,} ledgers, {made.bytes:,} bytes"
        screen.say(f"shard {shard}: put away at position {made.position}: {held}")
    else:
        screen.say(f"shard {shard}: nothing has happened since the last one")
