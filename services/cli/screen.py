"""How commands show what they have to show: tables for people, JSON Lines for programs, hints on a terminal.

Law: money and ids are never cut short, on however narrow a terminal and in a pipe: a line that is too long runs on.
What came from outside cannot speak to the terminal: what is not printable is written out.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import click

_ENDLESS: Final = 1_000_000
_DUMB: Final = {"dumb", "unknown"}
"""What a terminal is called that shows nothing but text."""


class Column(NamedTuple):
    """One column of a table."""

    title: str
    right: bool = False


def amount(title: str) -> Column:
    """Return a column of numbers."""
    return Column(title, right=True)


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]], indent: str = "") -> None:
    """Print a table. None is shown as nothing."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    shown = Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in row))
    # Rich makes a table fit by cutting its cells. So it is told that there is always room, and the terminal wraps. It
    # believes that of a dumb terminal, too, only when it is told the height as well.
    console = Console(file=sys.stdout, width=_ENDLESS, height=_ENDLESS, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(shown)
    for line in captured.get().splitlines():
        click.echo(indent + line.rstrip())


def say(text: str = "") -> None:
    """Print a sentence for people, as data of the command."""
    click.echo(printable(text))


def tell(text: str) -> None:
    """Print a message: to stderr."""
    click.echo(printable(text), err=True)


def line(data: Any) -> None:
    """Print one JSON object on a line of its own."""
    import msgspec

    click.echo(data if isinstance(data, bytes) else msgspec.json.encode(data))


def lines(data: Iterable[Any]) -> int:
    """Print JSON objects, each on a line of its own, and return how many."""
    count = 0
    for one in data:
        line(one)
        count += 1
    return count


def csv(names: Sequence[str], lines: Iterable[Mapping[str, Any]]) -> int:
    """Print lines as comma-separated values under their names, and return how many. A list is parted by spaces."""
    from csv import DictWriter

    writer = DictWriter(sys.stdout, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    count = 0
    for one in lines:
        writer.writerow({name: _cell(value) for name, value in one.items()})
        count += 1
    return count


def hint(*commands: str) -> None:
    """Say what to try next, where a person is looking."""
    if sys.stdout.isatty() and commands:
        told = "\nnext: " + "\n      ".join(commands)
        click.echo(told if os.environ.get("TERM", "").lower() in _DUMB else click.style(told, dim=True))


def count_of(number: int, what: str) -> str:
    """Return how many there are of something: one thing, or several things.

    >>> count_of(1, "event"), count_of(1200, "event")
    ('1 event', '1,200 events')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def whole(parts: int, scale: int | None) -> str | None:
    """Return minimal parts as whole units; None where the scale of the unit is not known.

    >>> whole(-305, 2), whole(7, 0), whole(5, 3)
    ('-3.05', '7', '0.005')
    """
    if scale is None:
        return None
    digits = f"{abs(parts):0{scale + 1}}"
    point = len(digits) - scale
    return ("-" if parts < 0 else "") + digits[:point] + ("." + digits[point:] if scale else "")


def _cell(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def printable(text: str) -> str:
    r"""Return a text that a terminal only shows.

    >>> printable("a\x1b[31mb\u202ec")
    'a\\x1b[31mb\\u202ec'
    """
    if text.isprintable():
        return text
    shown = (one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in text)
    return "".join(shown)
