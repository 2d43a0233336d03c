"""`replay`: a window of the past, played again."""

import gc
import sys
from typing import TYPE_CHECKING, Any

import click

from services.cli import NO, options, screen
from services.cli.place import here, wait_for, within

if TYPE_CHECKING:
    from services.journal.streams import Streams
    from services.replay import Window
    from services.settings import Settings

commands = click.Group()


class Time(click.ParamType[str]):
    """A time, as commands say it."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the time in its one form. Fails, with exit 2, where it is none."""
        from schemas.values import timestamp

        try:
            return timestamp(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-11-21T09:30:00Z", param, ctx)


@commands.command(
    epilog=options.example(
        "defter replay --from 2026-11-21T09:00:00Z --to 2026-11-21T10:00:00Z",
        "defter replay --ledger shop --from-sequence 40 --to-sequence 50",
        "defter replay --all > everything.jsonl",
    )
)
@click.option("--from", "from_time", type=Time(), metavar="TIME", help="From this time on (UTC), inclusive.")
@click.option("--to", "to_time", type=Time(), metavar="TIME", help="Up to this time, exclusive.")
@click.option("--from-sequence", type=click.IntRange(1), metavar="N", help="From this sequence on, inclusive.")
@click.option("--to-sequence", type=click.IntRange(1), metavar="N", help="Up to this sequence, exclusive.")
@click.option("--all", "every", is_flag=True, help="Every ledger that has events in the window, by name.")
@options.ledger
@click.option("--json", "_", is_flag=True, help="As it does anyway: JSON Lines.")
@options.timeout
def replay(ledger: str | None, every: bool, timeout_s: float, _: bool, **said: Any) -> None:
    """Play a window of a ledger's past again: each event, and the totals before and after it. Changes nothing.

    Before and after the window stands the digest of the ledger's whole state there. The same journal gives the same
    bytes, on every machine and whenever it is asked. Exit 1 where there is no such ledger.
    """
    from services.replay import Window

    if (said["from_time"] or said["to_time"]) and (said["from_sequence"] or said["to_sequence"]):
        raise click.UsageError("a window is either of times or of sequences")
    if ledger and every:
        raise click.UsageError("--all is every ledger: leave --ledger out")
    for begin, end in ((said["from_time"], said["to_time"]), (said["from_sequence"], said["to_sequence"])):
        if begin and end and begin > end:
            raise click.UsageError("the window ends before it begins")
    window = Window(said["from_time"] or said["from_sequence"], said["to_time"] or said["to_sequence"])
    settings = here(timeout_s)
    _replay(settings, None if every else ledger or settings.ledger, window, timeout_s)


def _replay(settings: "Settings", only: str | None, window: "Window", timeout_s: float) -> None:
    import asyncio
    from contextlib import ExitStack, closing

    from services.journal.streams import Streams
    from services.setup import read_installation

    async def opened(shard: int) -> "Streams":
        return await within(timeout_s, lambda: asyncio.to_thread(Streams, settings.database(shard), shard))

    installed = wait_for(within(timeout_s, lambda: read_installation(settings)))
    with ExitStack() as stack:
        shards = [stack.enter_context(closing(wait_for(opened(shard)))) for shard in range(installed.partitions)]
        found = sorted((name, streams) for streams in shards for name in streams.ledgers() if only in {None, name})
        if only is not None and not found:
            screen.tell(f"defter: {only} was never opened")
            raise click.exceptions.Exit(NO)
        # Nothing here makes cycles, and looking for them among millions of accounts takes longer than all else.
        gc.disable()
        stack.callback(gc.enable)
        for name, streams in found:
            _print(streams, name, window, pass_over=only is None)


def _print(streams: "Streams", ledger: str, window: "Window", *, pass_over: bool) -> None:
    from services import replay

    inside = replay.bounds(streams, ledger, window)
    if pass_over and inside.last < inside.first:
        return
    sys.stdout.flush()
    for lines in replay.replay(streams, ledger, inside):
        sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()
