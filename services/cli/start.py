"""Where one begins: `demo`, `dev`, `setup`, `doctor`."""

import click

from services.cli import NOT_THERE, options, screen
from services.cli.place import here, insisting, kafka_within, wait_for

commands = click.Group()

_MOST_PARTITIONS = 10_000


@commands.command(epilog=options.example("defter demo"))
def demo() -> None:
    """See it work: real PostgreSQL and Kafka, some hundred commands, balances that sum to zero.

    It takes some seconds and leaves nothing behind.
    """
    from services.cli.demo import tell_story

    tell_story()


@commands.command(epilog=options.example("defter dev", "defter dev --reset   # delete it, with everything in it"))
@click.option("--reset", is_flag=True, help="Delete the local installation, with everything in it, and end.")
def dev(reset: bool) -> None:
    """Run a whole local installation: PostgreSQL, Kafka and all processes. Ctrl-C stops it, and its data stays.

    While it runs, all other commands use it, in whatever terminal, unless DEFTER_DATABASE and DEFTER_KAFKA are set.
    """
    from services.cli import local

    if reset:
        local.delete()
    else:
        local.run()


@commands.command("setup", epilog=options.example("defter setup", "defter setup --partitions 4"))
@click.option("--partitions", type=click.IntRange(1, _MOST_PARTITIONS), metavar="N", help="How many, for ever (1).")
@click.option("--accept-topics", is_flag=True, help="Take the topics as they are now, though others were known before.")
@options.as_json
@options.timeout
def set_up(partitions: int | None, accept_topics: bool, as_json: bool, timeout_s: float) -> None:
    """Make tables, roles and topics, those that are missing. Safe to repeat, and to run twice at once."""
    from services.settings import Settings
    from services.setup import setup

    settings = here(timeout_s)
    wait_for(kafka_within(timeout_s, settings))
    done = wait_for(insisting(timeout_s, lambda: setup(settings, partitions, accept_topics=accept_topics)))
    if as_json:
        screen.line({"migrations": done.migrations, "topics": done.topics, "installation": done.installed})
        return
    for made in (*done.migrations, *(f"topic {name}" for name in done.topics)):
        screen.say(f"made {made}")
    installed = done.installed
    screen.say(f"ready: topics {installed.prefix}…, {screen.count_of(installed.partitions, 'partition')}")
    # The local installation runs already: it is `defter dev` that keeps it.
    screen.hint(*([] if Settings.read().local else ["defter run"]), "defter open-ledger main")


@commands.command(epilog=options.example("defter doctor"))
@options.as_json
@options.timeout
def doctor(as_json: bool, timeout_s: float) -> None:
    """Look at everything that must be right, and say what is not and what to do about it."""
    from services.doctor import Finding, examine

    def show(finding: Finding) -> None:
        if as_json:
            screen.line(finding)
            return
        screen.say(f"{'ok   ' if finding.good else 'WRONG'} {finding.what}")
        if finding.remedy:
            screen.say(f"      remedy: {finding.remedy}")

    if not wait_for(examine(here(), timeout_s, show)):
        raise click.exceptions.Exit(NOT_THERE)
    if not as_json:
        screen.hint("defter status")
