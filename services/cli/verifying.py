"""`verify`: whether the journal, and what was made of it, is as it must be."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from services.cli import NO, options, screen
from services.cli.place import here, kafka_within, wait_for, within

if TYPE_CHECKING:
    from services.settings import Settings
    from services.setup import Installed
    from services.verify.run import Verified

commands = click.Group()

_MOST_SHOWN = 20


@commands.command(
    epilog=options.example("defter verify", "defter verify --jobs 4 --published", "defter verify --redecide --json")
)
@click.option("--published", is_flag=True, help="Compare the events topic with the journal, too.")
@click.option("--redecide", is_flag=True, help="Read the commands topic, decide everything again, and compare.")
@click.option("--no-read-models", is_flag=True, help="Leave the read models out.")
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="How many processes work at once; else one a core.")
@options.as_json
@options.timeout
def verify(jobs: int | None, as_json: bool, timeout_s: float, **what: bool) -> None:
    """Fold the journal from nothing, and hold it against every law and against the read models. Changes nothing.

    Exit 1 where something is not as it must be: the first fault is told by ledger and sequence, with the check that
    found it, and after it the first of every other ledger. May be run at any time, beside everything else.
    """
    from services.setup import read_installation

    settings = here(timeout_s)
    installed = wait_for(within(timeout_s, lambda: read_installation(settings)))
    if what["published"] or what["redecide"]:
        wait_for(kafka_within(timeout_s, settings))
    begun = time.monotonic()
    verified = _verified(settings, installed, jobs, **what)
    seconds = time.monotonic() - begun
    _tell_as_json(verified, seconds) if as_json else _tell(verified, seconds, **what)
    if verified.faults:
        raise click.exceptions.Exit(NO)


def _verified(
    settings: "Settings",
    installed: "Installed",
    jobs: int | None,
    *,
    published: bool,
    redecide: bool,
    no_read_models: bool,
) -> "Verified":
    from services.verify import run, topics

    found = run.verify(settings, installed.partitions, jobs=jobs, read_models=not no_read_models, progress=_progress())
    if published or redecide:
        compared = wait_for(topics.verify(settings, installed, events=published, commands=redecide))
        found.faults.extend(compared.faults)
        found.faults.sort(key=lambda fault: fault.place)
        for shard, again in enumerate(compared.redecided):
            if again.older:
                told = ", ".join(map(str, again.older[:_MOST_SHOWN]))
                screen.tell(f"shard {shard}: older rules decided these commands otherwise, which is no fault: {told}")
    return found


def _progress() -> Callable[[int, int], None] | None:
    """Tell how far it is, on a terminal, now and then on the same line."""
    if not sys.stderr.isatty():
        return None
    begun = last = time.monotonic()

    def tell(events: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < 1:
            return
        last = now
        rate = events / (now - begun)
        left = f", {(total - events) / rate:.0f} s left" if rate else ""
        click.echo(f"\r\x1b[K{events:,} of {total:,} events, {rate:,.0f}/s{left} ", nl=events >= total, err=True)

    return tell


def _tell(verified: "Verified", seconds: float, *, redecide: bool, **_: bool) -> None:
    for fault in verified.faults[:_MOST_SHOWN]:
        screen.say(str(fault))
    if len(verified.faults) > _MOST_SHOWN:
        screen.say(f"… and in {len(verified.faults) - _MOST_SHOWN} more ledgers (--json tells all)")
    events, ledgers = screen.count_of(verified.events, "event"), screen.count_of(verified.ledgers, "ledger")
    looked_at = f"{events} of {ledgers} in {seconds:.1f} s"
    if verified.faults:
        screen.tell(f"defter: NOT as it must be ({looked_at}); what to do: docs/incidents.md")
        screen.hint(*dict.fromkeys(fault.remedy for fault in verified.faults if fault.remedy))
    else:
        screen.say(f"all is as it must be: {looked_at}")
        if not redecide:
            screen.tell("(what the commands said is not compared without --redecide)")
            screen.hint("defter verify --published --redecide")


def _tell_as_json(verified: "Verified", seconds: float) -> None:
    for fault in verified.faults:
        screen.line(fault.told())
    counted: dict[str, Any] = {"shards": verified.shards, "ledgers": verified.ledgers, "events": verified.events}
    screen.line({"type": "verified", "equal": not verified.faults, **counted, "seconds": round(seconds, 3)})
