"""The processes: `run` (all of them), `writer`, `publisher`, `projector`, `ticker`. See `services.processes`."""

from collections.abc import Awaitable, Callable
from typing import Any

import click

from services.cli import options

commands = click.Group()


@commands.command(
    epilog=options.example("defter run", "DEFTER_PORT=8080 defter run   # then GET /livez, /readyz and /metrics")
)
def run() -> None:
    """Run all processes under one supervisor: for small installations."""
    from services.cli.all_parts import run_all

    run_all()


@commands.command(epilog=options.example("defter writer", "DEFTER_INSTANCE=writer-2 defter writer   # stands by"))
def writer() -> None:
    """Decide commands and add what is decided to the journal. One lives per partition; more stand by."""
    from services import processes

    _serve("writer", processes.writer)


_shards = click.option(
    "--shard", "shards", type=click.IntRange(0), multiple=True, metavar="N", help="Of this shard only; again for more."
)


@commands.command(epilog=options.example("defter publisher", "defter publisher --shard 0 --shard 1"))
@_shards
@click.option(
    "--from-position",
    type=click.IntRange(0, options.LARGEST),
    metavar="P",
    help="Publish what comes after this position, where what was published before is gone.",
)
def publisher(shards: tuple[int, ...], from_position: int | None) -> None:
    """Publish the journal: events and dead letters, bytes untouched. One lives per shard; more stand by."""
    from services import processes

    _serve("publisher", processes.publisher, shards=shards, from_position=from_position)


@commands.command(epilog=options.example("defter projector", "defter projector --shard 2 --shard 3"))
@_shards
def projector(shards: tuple[int, ...]) -> None:
    """Keep the read models. One lives per shard; more stand by."""
    from services import processes

    _serve("projector", processes.projector, shards=shards)


@commands.command(epilog=options.example("defter ticker"))
def ticker() -> None:
    """Let time pass: have holds expire where nobody sends a command. One lives; more stand by."""
    from services import processes

    _serve("ticker", processes.ticker)


def _serve(name: str, work: Callable[..., Awaitable[None]], **more: Any) -> None:
    from functools import partial

    from services.cli.serving import serve
    from services.tallies import Tallies

    tallies = Tallies()
    serve(name, partial(work, tallies=tallies, **more), tallies=tallies)
