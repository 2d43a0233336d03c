"""Commands that look at what goes on: `watch`, `status`."""

import contextlib
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from services.cli import options, screen
from services.cli.place import here, wait_for, within

if TYPE_CHECKING:
    from services.settings import Settings

commands = click.Group()


@commands.command(epilog=options.example("defter watch", "defter watch --beginning --count 10 --json"))
@click.option("--beginning", is_flag=True, help="From the first event on; else from now on.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after so many events.")
@click.option("--all", "every", is_flag=True, help="Of every ledger.")
@options.ledger
@options.as_json
@options.timeout
def watch(ledger: str | None, every: bool, timeout_s: float, **how: Any) -> None:
    """Follow the events of a ledger as they are published, until Ctrl-C. With --json: their bytes, untouched."""
    if ledger and every:
        raise click.UsageError("--all is every ledger: leave --ledger out")
    settings = here()
    of = None if every else ledger or settings.ledger
    if sys.stdout.isatty():
        screen.tell(f"events of {of or 'every ledger'}, as they are published; Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt):
        wait_for(_watch(settings, of, timeout_s, **how))


@commands.command(epilog=options.example("defter status", "defter status --json"))
@options.as_json
@options.timeout
def status(as_json: bool, timeout_s: float) -> None:
    """Tell how far every shard has come and who is at work. It looks twice, one second apart."""
    from services.setup import read_installation
    from services.status import APART_S, status

    settings = here(timeout_s)

    async def looked() -> Any:
        installed = await within(timeout_s, lambda: read_installation(settings))
        look = partial(status, settings, installed.partitions)
        return await within(timeout_s + APART_S, look, "PostgreSQL or Kafka")

    shards, processes = wait_for(looked())
    if as_json:
        for one in (*shards, *processes):
            screen.line(one)
        return
    _show_shards(shards)
    screen.say()
    _show_processes(processes)
    missing = [one.process for one in processes if not one.live]
    screen.hint(*(["defter run"] if missing else ["defter watch", "defter trial-balance"]))


async def _watch(
    settings: "Settings", ledger: str | None, timeout_s: float, *, beginning: bool, count: int | None, as_json: bool
) -> None:
    from contextlib import aclosing

    from schemas.codec import decode_event
    from services.cli.telling import sentence
    from services.errors import Unexpected
    from services.kafka.topics import Topics, describe
    from services.watching import follow

    name = Topics(settings.prefix).events
    topic = (await within(timeout_s, lambda: describe(settings.brokers(), [name]), "Kafka")).topics.get(name)
    if topic is None:
        raise Unexpected(f"Kafka has no topic {name}", "run `defter setup`, or set DEFTER_PREFIX right")
    seen = 0
    async with aclosing(follow(settings.brokers(), name, topic.partitions, beginning=beginning)) as events:
        async for of, data in events:
            if ledger in {None, of}:
                if as_json:
                    screen.line(data)
                else:
                    screen.say(sentence(decode_event(data), {}))
                seen += 1
                if seen == count:
                    return


def _show_shards(shards: Any) -> None:
    columns = [screen.amount("shard"), screen.Column("what"), screen.amount("has come to"), screen.amount("of")]
    columns += [screen.amount("lag"), screen.amount("oldest, s"), screen.amount("a second")]
    rows = []
    for it in shards:
        here = (it.shard, "commands decided", it.next, it.commands, it.lag, it.lag_s, it.commands_per_s)
        out = (it.published, it.position, it.publisher_lag, it.publisher_lag_s, it.published_per_s)
        read = (it.projected, it.position, it.projector_lag, it.projector_lag_s, it.projected_per_s)
        rows += [here, (it.shard, "events published", *out), (it.shard, "events projected", *read)]
    screen.table(columns, rows)
    for it in shards:
        if it.dead_letters:
            said = ", ".join(f"{count} {reason}" for reason, count in it.dead_letters.items())
            again = f"; {it.dead_letters_redriven} of them sent again" if it.dead_letters_redriven else ""
            waiting = f"; {it.dead_letters_unpublished} not published yet" if it.dead_letters_unpublished else ""
            screen.say(f"shard {it.shard}: dead letters: {said}{again}{waiting}")
        if it.replies_lag:
            screen.say(f"shard {it.shard}: replies to the last {it.replies_lag} commands may not be sent yet")


def _show_processes(processes: Any) -> None:
    columns = [screen.amount("shard"), screen.Column("process"), screen.Column("state"), screen.Column("host")]
    rows = [
        (
            one.shard,
            one.process,
            ("live" if one.live else "NONE") + (f", {one.standing_by} standing by" if one.standing_by else ""),
            one.host,
            one.since_s,
        )
        for one in processes
    ]
    screen.table([*columns, screen.amount("for seconds")], rows)
