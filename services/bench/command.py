"""The command line of `defter bench`."""

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import structlog
import uvloop

from services import log
from services.bench import report
from services.bench.checking import Wrong
from services.bench.figures import FIGURES, measured
from services.bench.grounds import servers
from services.bench.options import Options
from services.bench.sampling import dearest
from services.bench.surroundings import surroundings
from services.cli.options import Seconds
from services.settings import Settings

PARTS: Final = ("writer", "publisher", "projector", "decide")

_EXAMPLE: Final = """\b
Example:
  defter bench drain hot-pair
  defter bench latency --rate 2000 --seconds 30 --json"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLE)
@click.argument("figures", metavar="[FIGURE]...", nargs=-1, type=click.Choice(list(FIGURES)))
@click.option(
    "--transfers", type=click.IntRange(1), default=500_000, metavar="N", help="Of drain and its like (500,000)."
)
@click.option("--accounts", type=click.IntRange(2), default=10_000, metavar="N", help="How many take part (10,000).")
@click.option(
    "--rate", type=click.IntRange(1), default=1000, metavar="N", help="Commands a second, for latency (1,000)."
)
@click.option("--seconds", type=Seconds(), default=20.0, help="Of latency and lone (20).")
@click.option("--repeat", type=click.IntRange(1), default=3, metavar="N", help="How often each is measured (3).")
@click.option(
    "--partitions",
    type=click.IntRange(1, 64),
    default=1,
    metavar="N",
    help="For drain and its like, and verify: so many ledgers (1).",
)
@click.option("--writers", type=click.IntRange(1), metavar="N", help="Processes that share them; else one for each.")
@click.option("--books", is_flag=True, help="For decide: accounts of several types, with flags and home books.")
@click.option(
    "--profile", "parts", multiple=True, type=click.Choice(PARTS), help="Tell where a process spends its time."
)
@click.option(
    "--profile-to", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Folder for that (.)."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a figure to stdout, and nothing else there.")
def bench(figures: tuple[str, ...], parts: tuple[str, ...], profile_to: Path, **said: Any) -> None:
    """Measure, with real Kafka and PostgreSQL and all processes running, and print what each stage costs.

    The figures are drain, hot-pair, reply, postings, latency, lone, decide, rebuild, as-of, replay, verify, start and
    disk; all of them where none is named. On the servers of DEFTER_DATABASE and DEFTER_KAFKA, else on the local
    installation of `defter dev`, else on servers of its own. What it makes there it takes away again.
    """
    said["writers"] = min(said["writers"] or said["partitions"], said["partitions"])
    files = {part: profile_to / f"bench-{part}.stacks" for part in parts}
    as_json = said.pop("as_json")
    _measure(figures or tuple(FIGURES), Options(profiles=files, **said), as_json=as_json)
    _tell_profiles(files)


def _measure(names: tuple[str, ...], options: Options, *, as_json: bool) -> None:
    _hush()
    settings = Settings.read()
    needed = any(FIGURES[name].servers for name in names)
    with servers(settings, _say) if needed else contextlib.nullcontext(settings) as lent:
        told = surroundings(lent if needed else None)
        if not as_json:
            report.heading(told)
        per_s: dict[str, int] = {}
        for name in names:
            try:
                result = uvloop.run(measured(name, options, lent, _say))
            except Wrong as wrong:
                _say(f"{name}: no figure, for what was measured came out wrong: {wrong}")
                raise click.exceptions.Exit(1) from wrong
            per_s[name] = result.get("per_s", 0)
            if name in {"hot-pair", "reply", "postings"} and "drain" in per_s:
                result["of_drain"] = round(per_s[name] / per_s["drain"], 2)
            if as_json:
                report.as_json(result, told)
            else:
                report.for_people(result)


def _tell_profiles(files: Mapping[str, Path]) -> None:
    for part, file in files.items():
        if not file.exists():
            continue
        _say(f"\n{part}, by processor time: itself, with all that it calls ({file}: stacks for a flame graph)")
        for function, own, whole in dearest(file, 25):
            _say(f"  {own:6.1%} {whole:6.1%}  {function}")


def _hush() -> None:
    """Say nothing but warnings of what the services say inside of this process."""
    log.configure("console", "bench")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def _say(text: str) -> None:
    click.echo(text, err=True)
