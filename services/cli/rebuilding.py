"""`defter rebuild`: the read models made anew from the journal, compared, and swapped.

Law: what the answer is stands in the exit code: 1 where a dry run finds a difference, and where what is to be dropped
or gone back to is not there.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from services.cli import NO, options, screen
from services.cli.place import here, wait_for, within
from services.interpreter import collect_seldom

if TYPE_CHECKING:
    from services.settings import Log

commands = click.Group()

_LINES = (
    "defter rebuild --dry-run",
    "defter rebuild --rate 20000",
    "defter rebuild --rollback",
    "defter rebuild --list",
)


@commands.command(epilog=options.example(*_LINES))
@click.option("--dry-run", is_flag=True, help="Compare only; what was built is dropped. Exit 1 if they differ.")
@click.option("--rollback", is_flag=True, help="Let the generation be live again that was so before.")
@click.option("--list", "listing", is_flag=True, help="Tell which generations there are, and do nothing.")
@click.option("--balances", is_flag=True, help="With --dry-run: of balances alone, which is quicker.")
@click.option("--drop", type=click.IntRange(1), metavar="N", help="Drop the generation N, which is not live, for good.")
@click.option(
    "--rate", type=click.IntRange(1), metavar="N", help="Take in N events a second at most, to spare the database."
)
@options.as_json
@options.timeout
def rebuild(
    *,
    dry_run: bool,
    rollback: bool,
    listing: bool,
    balances: bool,
    drop: int | None,
    rate: int | None,
    as_json: bool,
    timeout_s: float,
) -> None:
    """Make the read models anew from the journal, beside the live ones; compare; and swap them in one step.

    Whoever reads meanwhile sees the live ones, whole. Interrupted, it goes on where it was when it is run again. What
    was live before is kept up to date until it is dropped, and --rollback is the same swap back.
    """
    said = {"--drop": drop, "--dry-run": dry_run, "--rollback": rollback, "--list": listing}
    things = [name for name, given in said.items() if given]
    if things[1:]:
        raise click.UsageError(f"{things[0]} and {things[1]} are two things: run one after the other")
    if balances and not dry_run:
        raise click.UsageError("--balances stands with --dry-run: read models with nothing else are shown to nobody")
    if rate and things and not dry_run:
        raise click.UsageError(f"{things[0]} takes in no events: leave --rate out")
    from services.cli.asking import No
    from services.reads import NotThere

    collect_seldom()
    does = _Doing(as_json, rate, timeout_s)
    try:
        if drop:
            wait_for(does.drop(drop))
        elif listing:
            wait_for(does.tell())
        elif rollback:
            wait_for(does.roll_back())
        elif not wait_for(does.rebuild(dry_run=dry_run, whole=not balances)):
            raise click.exceptions.Exit(NO)
    except NotThere as not_there:
        raise No(str(not_there)) from None


class _Doing:
    """What one run of the command does, in every database of read models of the installation."""

    def __init__(self, as_json: bool, rate: int | None, timeout_s: float) -> None:
        self._as_json = as_json
        self._rate = rate
        self._timeout_s = timeout_s
        self._settings = here()
        _hush(self._settings.log)

    async def rebuild(self, *, dry_run: bool, whole: bool) -> bool:
        """Rebuild, and return whether all is well: done, or in a dry run equal."""
        from services.rebuild import rebuild

        equal = True
        for place in await self._places():
            with _progress() as told:
                done = await rebuild(self._settings, place, dry_run=dry_run, whole=whole, rate=self._rate, told=told)
            self._show(done, dry_run=dry_run)
            equal = equal and done.equal and (done.why is None or not dry_run)
        return equal or not dry_run

    async def roll_back(self) -> None:
        """Swap back."""
        from services.swapping import roll_back

        for place in await self._places():
            now, before = await roll_back(self._settings, place)
            said = {"type": "rollback", "live": now, "instead_of": before}
            self._say(said, f"generation {now} is live again, instead of {before}, which is kept until it is dropped")

    async def drop(self, number: int) -> None:
        """Drop one generation."""
        from services.swapping import drop

        for place in await self._places():
            await drop(place, number)
            self._say({"type": "drop", "generation": number}, f"generation {number} is dropped")

    async def tell(self) -> None:
        """List the generations."""
        from services.swapping import all_kept

        rows = []
        for place in await self._places():
            for known, positions in await all_kept(place):
                state = "live" if known.live else "kept" if known.built else "half-built"
                of_one = (known.number, state, known.shape)
                rows += [(*of_one, shard, positions.get(shard, 0)) for shard in place.shards]
        if not self._as_json:
            names = [screen.amount("generation"), screen.Column("state")]
            screen.table([*names, *map(screen.amount, ("shape", "shard", "has come to"))], rows)
            return
        for number, state, shape, shard, position in rows:
            about = {"type": "generation", "generation": number, "state": state, "shape": shape}
            screen.line(about | {"shard": shard, "position": position})

    async def _places(self) -> Any:
        from services.setup import read_installation
        from services.swapping import places

        installed = await within(self._timeout_s, lambda: read_installation(self._settings))
        return places(self._settings, installed.partitions)

    def _show(self, done: Any, *, dry_run: bool) -> None:
        if self._as_json:
            for one in done.compared:
                screen.line(_line(one))
            live = None if dry_run else done.generation
            events = sum(done.positions.values())
            about = {"type": "rebuild", "generation": done.generation, "instead_of": done.instead_of, "live": live}
            screen.line(about | {"position": events, "compared": not done.why, "equal": done.equal, "why": done.why})
            return
        if done.resumed_at:
            screen.say(f"went on with generation {done.generation}, half-built, at position {done.resumed_at}")
        if done.why:
            screen.say(f"nothing was compared: {done.why}")
        else:
            _show_tables(done)
        if dry_run:
            screen.say("nothing was changed")
            return
        before = "" if done.instead_of is None else f", instead of {done.instead_of}, which is kept until it is dropped"
        screen.say(f"generation {done.generation} is live{before}")
        if done.instead_of is not None:
            screen.hint("defter rebuild --rollback", f"defter rebuild --drop {done.instead_of}")

    def _say(self, said: dict[str, Any], sentence: str) -> None:
        if self._as_json:
            screen.line(said)
        else:
            screen.say(sentence)


def _hush(form: "Log") -> None:
    """Have nothing but warnings said of what goes on inside, and that to stderr."""
    import logging

    import structlog

    from services import log

    log.configure(form, "rebuild")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def _show_tables(done: Any) -> None:
    columns = [screen.Column("table"), screen.amount("rows live"), screen.amount("rows anew"), screen.Column("digests")]
    rows = []
    for one in done.compared:
        digests = one.left.sha256[:16] + ("" if one.left == one.right else f" {one.right.sha256[:16]}")
        rows.append(
            (one.table, one.left.rows, one.right.rows, digests, "equal" if one.left == one.right else "DIFFERENT")
        )
    screen.table([*columns, screen.Column("")], rows)
    for one in done.compared:
        if one.difference:
            screen.say(f"first difference in {one.difference}")


def _line(one: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"type": "compared", "table": one.table, "equal": one.difference is None}
    said |= {"live": one.left._asdict(), "anew": one.right._asdict()}
    if one.difference:
        left, right = one.difference.left, one.difference.right
        columns = one.difference.columns
        said["difference"] = {
            "live": left and dict(zip(columns, map(_text, left), strict=True)),
            "anew": right and dict(zip(columns, map(_text, right), strict=True)),
        }
    return said


def _text(value: Any) -> Any:
    return value if value is None or isinstance(value, list) else str(value)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show on a terminal how much is done, how fast it goes, and how long it will take."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    speed = TextColumn("{task.fields[speed]}")
    with Progress(*columns, speed, TimeRemainingColumn(), console=Console(file=sys.stderr), transient=True) as shown:
        tasks: dict[str, Any] = {}

        def told(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what, total=of, speed="")
            task = next(task for task in shown.tasks if task.id == tasks[what])
            speed = f"{task.speed:,.0f} a second" if task.speed else ""
            shown.update(tasks[what], completed=done, total=of, speed=speed)

        yield told
