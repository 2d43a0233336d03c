"""The options and arguments that several commands take, said once."""

import math
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

LARGEST: Final = 2**63 - 1
"""What a sequence, a position or an offset can be."""

MANY: Final = 2**31 - 1
"""What a count, an index or a number of something can be."""


class Form(click.ParamType[str]):
    """A text of one form, as messages have it.

    Args:
        name: what it is called in usage lines.
        value: the name of the form in `schemas.values`.
        expected: the same, for people.
    """

    def __init__(self, name: str, value: str, expected: str) -> None:
        self.name = name
        self._value = value
        self._expected = expected

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text. Fails, with exit 2, where it has another form."""
        import msgspec

        from schemas import values

        try:
            return str(msgspec.convert(value, getattr(values, self._value)))
        except msgspec.ValidationError:
            self.fail(f"{value!r} is not {self._expected}", param, ctx)


LEDGER = Form("ledger", "LedgerName", "a ledger's name: a small letter, then small letters, digits and '-'")
ACCOUNT = Form(
    "account", "AccountName", "an account's name: a letter or digit, then letters, digits and . _ : / + # @ -"
)
PARTY = Form("account", "Party", "an account's name, such as alice, or alias, such as @alice")
UNIT = Form("unit", "Unit", "a unit: 1 to 16 capital letters and digits, such as QAZ")
ID = Form("id", "CommandId", "an id: 1 to 128 visible ASCII characters")


class Metadata(click.ParamType[tuple[str, str]]):
    """One pair of metadata."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return key and value. Fails, with exit 2, where there is no `=`."""
        if isinstance(value, tuple):
            return value
        key, equals, said = value.partition("=")
        if not equals:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, said


class Posting(click.ParamType[tuple[int, int]]):
    """The id of a posting: sequence and index."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return sequence and index. Fails, with exit 2, where it has another form."""
        said = Form(self.name, "PostingId", "the id of a posting, such as 42.0").convert(value, param, ctx)
        sequence, index = map(int, said.split("."))
        if sequence > LARGEST or index > MANY:
            self.fail(f"{value!r} is larger than any id of a posting", param, ctx)
        return sequence, index


POSTING = Posting()


class AsOf(click.ParamType[int | str]):
    """A sequence or a time."""

    name = "sequence|time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the sequence, or the time in its one form. Fails, with exit 2, where it is neither."""
        from schemas.values import timestamp

        if re.fullmatch(r"[1-9][0-9]{0,18}", str(value), re.ASCII) and int(value) <= LARGEST:
            return int(value)
        try:
            return timestamp(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither a sequence nor a time such as 2026-11-21T09:30:00Z", param, ctx)


class WithAmount(click.Command):
    """A command with an AMOUNT: `-5` there is a wrong amount, not a wrong option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. Fails, with exit 2, where they are not of the command."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if not re.match(r"-[0-9.,]", error.option_name, re.ASCII):
                raise
            text = next(one for one in given if one.startswith(error.option_name))
            raise click.UsageError(f"{text!r} is no amount: expected digits, minimal parts", ctx) from None


class Seconds(click.FloatRange):
    """A time to wait: more than nothing or at least so long, and no more than PostgreSQL can count."""

    def __init__(self, least: int = 0) -> None:
        super().__init__(least, 1_000_000, min_open=not least)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the seconds. Fails, with exit 2, where it is none or too many."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


def example(*lines: str) -> str:
    """Return what stands below a command's help."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def ledger(command: _Command) -> _Command:
    """Add `--ledger`."""
    return click.option("--ledger", type=LEDGER, help="Which ledger; else DEFTER_LEDGER, else main.")(command)


def as_json(command: _Command) -> _Command:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="JSON Lines to stdout, and nothing else there.")(
        command
    )


def as_csv(command: _Command) -> _Command:
    """Add `--csv`."""
    return click.option("--csv", "as_csv", is_flag=True, help="A line of names, then a line for each.")(command)


def timeout(command: _Command) -> _Command:
    """Add `--timeout`."""
    return click.option(
        "--timeout",
        "timeout_s",
        type=Seconds(),
        default=10.0,
        metavar="SECONDS",
        help="How long to wait for what does not answer (10); what is at work may take longer.",
    )(command)


def no_wait(command: _Command) -> _Command:
    """Add `--no-wait`."""
    return click.option("--no-wait", is_flag=True, help="Return when Kafka has it; do not wait for the outcome.")(
        command
    )


def command_id(command: _Command) -> _Command:
    """Add `--id` and `--metadata`."""
    command = click.option(
        "--metadata",
        type=Metadata(),
        multiple=True,
        metavar="KEY=VALUE",
        callback=_once_each,
        help="Your own pair; again for more.",
    )(command)
    return click.option(
        "--id",
        "command_id",
        type=ID,
        help="The id, yours to choose: one id has one outcome, for ever. Else one is made.",
    )(command)


def _once_each(
    ctx: click.Context, param: click.Parameter, pairs: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Return the pairs. Fails, with exit 2, where a key is given twice: which of its values was meant?"""
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise click.BadParameter(f"{key!r} is given twice", ctx, param)
    return pairs


def as_of(command: _Command) -> _Command:
    """Add `--as-of`."""
    help_text = "As it was when this sequence, or this time (UTC, such as 2026-11-21T09:30:00Z), was over."
    return click.option("--as-of", type=AsOf(), help=help_text)(command)


def min_sequence(command: _Command) -> _Command:
    """Add `--min-sequence`."""
    help_text = "Wait until the answer has this sequence: read your own writes."
    return click.option("--min-sequence", type=click.IntRange(0, LARGEST), default=0, metavar="N", help=help_text)(
        command
    )


class How(NamedTuple):
    """What is said about sending a command, besides the command."""

    command_id: str | None
    metadata: tuple[tuple[str, str], ...]
    no_wait: bool
    as_json: bool
    timeout_s: float


def how(command: _Command) -> _Command:
    """Add the options of every command that sends one: the fields of `How`."""
    return command_id(no_wait(as_json(timeout(command))))
