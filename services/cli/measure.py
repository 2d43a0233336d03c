"""`bench`: the figures of an installation, measured."""

import click

commands = click.Group()


@commands.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Measure what the servers of this installation carry, else some of its own: drain, latency, rebuild and more."""
    from services.bench import main

    raise click.exceptions.Exit(int(main(list(arguments)) or 0))
