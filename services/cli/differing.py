"""`diff`: what changed between two points in time, or is said otherwise by two generations of read models."""

from contextlib import closing
from typing import TYPE_CHECKING

import click

from services.cli import NO, options, screen
from services.cli.place import here, wait_for, within

if TYPE_CHECKING:
    from services.differences import Between, Difference
    from services.settings import Settings

commands = click.Group()

_GENERATION = click.IntRange(0, options.MANY)


@commands.command(
    epilog=options.example(
        "defter diff 41 57",
        "defter diff 2026-11-21T09:00:00Z 2026-11-21T10:00:00Z --ledger shop",
        "defter diff --generations 1 2",
    )
)
@click.argument("left", metavar="[FROM]", type=options.AsOf(), required=False)
@click.argument("right", metavar="[TO]", type=options.AsOf(), required=False)
@click.option(
    "--generations", type=(_GENERATION, _GENERATION), metavar="N M", help="Compare two generations of read models."
)
@options.ledger
@options.as_json
@options.timeout
def diff(
    left: int | str | None,
    right: int | str | None,
    generations: tuple[int, int] | None,
    ledger: str | None,
    as_json: bool,
    timeout_s: float,
) -> None:
    """Tell which balances changed from one point of a ledger to another: a sequence or a time (UTC); else to now.

    It asks the journal, not the read models. Exit 1 where anything differs, as diff(1) does.
    """
    if (left is None) == (generations is None):
        raise click.UsageError("say from where, or --generations: one of the two")
    from services.cli.asking import No
    from services.reads import NotThere

    settings = here(timeout_s)
    try:
        if generations is not None:
            differs = _generations(settings, generations, timeout_s, as_json=as_json)
        else:
            assert left is not None
            differs = _between(settings, ledger or settings.ledger, left, right, timeout_s, as_json=as_json)
    except NotThere as not_there:
        raise No(str(not_there)) from None
    if differs:
        raise click.exceptions.Exit(NO)


def _between(
    settings: "Settings", ledger: str, left: int | str, right: int | str | None, timeout_s: float, *, as_json: bool
) -> bool:
    from services.differences import between
    from services.journal.streams import Streams
    from services.kafka.topics import partition_of
    from services.setup import read_installation

    installed = wait_for(within(timeout_s, lambda: read_installation(settings)))
    shard = partition_of(ledger, installed.partitions)
    with closing(Streams(settings.database(shard), shard)) as streams:
        found = between(streams, ledger, left, right)
    (_tell_as_json if as_json else _tell)(ledger, found)
    return bool(found.differences)


def _tell(ledger: str, found: "Between") -> None:
    def row(one: "Difference") -> tuple[object, ...]:
        moved = one.after.balance - one.before.balance
        whole = screen.whole(moved, found.scales.get(one.unit))
        return (one.account, one.unit, one.before.balance, one.after.balance, moved, whole, one.after.held)

    titles = [screen.Column("account"), screen.Column("unit")]
    titles += [screen.amount(title) for title in ("from", "to", "change", "in whole units", "held")]
    if found.differences:
        screen.table(titles, map(row, found.differences))
    count = len(found.differences) or "no"
    screen.say(f"{count} balances of {ledger} changed from sequence {found.left} to {found.right}")
    if found.differences:
        window = f"--from-sequence {found.left + 1} --to-sequence {found.right + 1}"
        screen.hint(f"defter replay --ledger {ledger} {window}")


def _tell_as_json(ledger: str, found: "Between") -> None:
    from services.simulate import balance_line

    for one in found.differences:
        totals = [side.figures for side in (one.before, one.after)]
        screen.line(balance_line((ledger, one.account, one.unit), *totals))
    about = {"type": "diff", "ledger": ledger, "from_sequence": found.left, "to_sequence": found.right}
    screen.line(about | {"balances": len(found.differences)})


def _generations(settings: "Settings", numbers: tuple[int, int], timeout_s: float, *, as_json: bool) -> bool:
    from services.differences import generations
    from services.setup import read_installation

    installed = wait_for(within(timeout_s, lambda: read_installation(settings)))
    differs = False
    for dsn in dict.fromkeys(settings.read_database(shard) for shard in range(installed.partitions)):
        for table in generations(dsn, *numbers):
            equal = table.left == table.right
            differs = differs or not equal
            said = str(table.difference or "")
            if as_json:
                rows = {"rows": [table.left.rows, table.right.rows], "equal": equal}
                screen.line({"type": "table", "table": table.table} | rows | ({"difference": said} if said else {}))
            else:
                counts = " and ".join(map(str, dict.fromkeys((table.left.rows, table.right.rows))))
                screen.say(f"{said or f'{table.table}: equal'} ({counts} rows)")
    return differs
