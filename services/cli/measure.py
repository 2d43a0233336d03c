"""`bench`: the figures of an installation, measured."""

import click

commands = click.Group()


@commands.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Measure what it carries, on servers of its own: drain, hot-pair, latency, lone, decide, rebuild."""
    from services.bench import main

    raise click.exceptions.Exit(int(main(list(arguments)) or 0))
