"""`dead-letters`: those that were not decided, one looked at closely, and sent again.

Law: nothing is sent again that would come back whatever the ledgers say; then it is told why, and nothing is lost.
How it is done: `services.redriving`. How it looks: `services.cli.letters`.
"""

from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from schemas.reasons import DeadReason
from services.cli import NO, options, screen
from services.cli.place import here, insisting, wait_for, within
from services.errors import Away, Unexpected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from services.journal.redriven import Kept
    from services.redriving import DeadLetters, Done

_Answer = TypeVar("_Answer")

commands = click.Group()

_LAST = 50
"""How many letters are listed where nobody says how many."""

_FROM_A_FILE = (
    "defter dead-letters show 0/17 --raw > command.json",
    "defter dead-letters redrive 0/17 --corrected command.json",
)


class LetterPlace(click.ParamType[tuple[int, int]]):
    """Where a dead letter lay: partition and offset."""

    name = "partition/offset"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return partition and offset. Fails, with exit 2, where it has another form."""
        if isinstance(value, tuple):
            return value
        partition, _, offset = str(value).partition("/")
        if not (partition.isdecimal() and offset.isdecimal() and len(value) <= len("9/") + 18):
            self.fail(f"{value!r} is not PARTITION/OFFSET, such as 0/17", param, ctx)
        return int(partition), int(offset)


_PLACE = LetterPlace()
_reason = click.option("--reason", type=click.Choice(list(DeadReason)), help="Those of this reason only.")
_partition = click.option("--partition", type=click.IntRange(0), metavar="N", help="Those of this partition only.")


@commands.group("dead-letters", epilog=options.example("defter dead-letters list --pending", *_FROM_A_FILE))
def dead_letters() -> None:
    """List, show and send again what was not decided: messages that were no commands, or came to the wrong place."""


@dead_letters.command("list", epilog=options.example("defter dead-letters list --reason WRONG_PARTITION --pending"))
@_reason
@_partition
@click.option("--pending", is_flag=True, help="Leave out those that were sent again.")
@click.option("--count", type=click.IntRange(1, options.MANY), metavar="N", help="The last N (50).")
@click.option("--all", "every", is_flag=True, help="All of them, partition by partition.")
@options.as_json
@options.timeout
def list_letters(
    reason: str | None,
    partition: int | None,
    pending: bool,
    count: int | None,
    every: bool,
    as_json: bool,
    timeout_s: float,
) -> None:
    """List dead letters: where they lay, why they were not decided, and whether they were sent again."""
    from services.cli import letters
    from services.journal.redriven import Which

    if every and count:
        raise click.UsageError("--all is every dead letter: leave --count out")

    async def listed(found: "DeadLetters") -> "list[Kept]":
        which = Which(reason, pending)
        shards = _shards(found, partition)
        if every:
            return [one async for page in found.all(which, shards) for one in page]
        return await found.last(which, count or _LAST, shards)

    shown = _looked(listed, timeout_s)
    if as_json:
        for one in shown:
            screen.line(letters.line(one))
        return
    letters.table(shown, None if every else count or _LAST)
    letters.hints(shown)


@dead_letters.command("show", epilog=options.example("defter dead-letters show 0/17", _FROM_A_FILE[0]))
@click.argument("place", type=_PLACE, metavar="PARTITION/OFFSET")
@click.option("--raw", is_flag=True, help="Its value alone, byte for byte: to be corrected, and sent again.")
@options.as_json
@options.timeout
def show(place: tuple[int, int], raw: bool, as_json: bool, timeout_s: float) -> None:
    """Show one dead letter: key, headers and value as they came, why it was not decided, and what can be done."""
    from services.cli import letters

    if raw and as_json:
        raise click.UsageError("--raw is the value alone: leave --json out")
    one = _looked(lambda found: _one(found, place), timeout_s)
    if raw:
        click.echo(one.letter.value or b"", nl=False)
    elif as_json:
        screen.line(letters.whole_line(one))
    else:
        letters.show(one)
        letters.hints([one])


@dead_letters.command(
    "redrive",
    epilog=options.example(
        "defter dead-letters redrive 0/17", "defter dead-letters redrive --reason WRONG_PARTITION", *_FROM_A_FILE
    ),
)
@click.argument("place", type=_PLACE, metavar="[PARTITION/OFFSET]", required=False)
@_reason
@_partition
@click.option(
    "--corrected", type=click.File("rb"), metavar="FILE", help="One command, as JSON: its bytes replace the letter's."
)
@click.option("--again", is_flag=True, help="Also what was sent again before.")
@options.no_wait
@options.as_json
@options.timeout
def redrive(place: tuple[int, int] | None, reason: str | None, partition: int | None, **how: Any) -> None:
    """Send dead letters again: one, or all of a reason. Each goes to the ledger that its command names.

    What was sent again is noted, and passed over the next time. Its headers go along. Ids make it harmless to do
    this twice: one id has one outcome. Exit 1 if any answer is no, or one cannot be sent as it is.
    """
    from services.journal.redriven import Which

    if (place is None) == (reason is None) or (place is not None and partition is not None):
        raise click.UsageError("say which: one, such as 0/17, or all of a --reason, perhaps of one --partition")
    corrected: BinaryIO | None = how.pop("corrected")
    if corrected and place is None:
        raise click.UsageError("--corrected is for one dead letter: say which, such as 0/17")
    correction = corrected.read().strip(b" \t\r\n") if corrected else None

    async def chosen(found: "DeadLetters") -> "AsyncIterator[list[Kept]]":
        if place is not None:
            yield [await _one(found, place)]
            return
        async for page in found.all(Which(reason), _shards(found, partition)):
            yield page

    if not wait_for(_redriven(chosen, correction, **how)):
        raise click.exceptions.Exit(NO)


async def _redriven(
    chosen: "Callable[[DeadLetters], AsyncIterator[list[Kept]]]",
    correction: bytes | None,
    *,
    again: bool,
    no_wait: bool,
    as_json: bool,
    timeout_s: float,
) -> bool:
    """Send letters again, page by page, and show what becomes of each. Return whether no answer is no."""
    from services.cli import letters
    from services.migrations import OPERATOR
    from services.redriving import DeadLetters, redrive
    from services.sending import Sending
    from services.setup import check_installation

    settings = here(timeout_s)
    installed = await within(timeout_s, lambda: check_installation(settings), "PostgreSQL or Kafka")
    found = DeadLetters(settings, installed.partitions, OPERATOR)
    sending = Sending(settings, installed.partitions, timeout_s)
    done: list[Done] = []
    try:
        async for page in chosen(found):
            for one in await redrive(found, sending, page, correction=correction, repeat=again, wait=not no_wait):
                letters.done(one, as_json=as_json)
                done.append(one)
    except Away as away:
        remedy = "run it again: what was noted is passed over, and what was not is harmless, for one id has one outcome"
        raise Unexpected(str(away), remedy) from away
    finally:
        await found.close()
        await sending.close()
    letters.summary(done, as_json=as_json)
    return all(one.good for one in done)


def _looked(question: "Callable[[DeadLetters], Awaitable[_Answer]]", timeout_s: float) -> _Answer:
    """Ask about dead letters, wherever they are."""
    from services.redriving import DeadLetters
    from services.setup import read_installation

    settings = here(timeout_s)

    async def asked() -> _Answer:
        installed = await within(timeout_s, lambda: read_installation(settings))
        found = DeadLetters(settings, installed.partitions)
        try:
            return await insisting(timeout_s, lambda: question(found))
        finally:
            await found.close()

    return wait_for(asked())


async def _one(found: "DeadLetters", place: tuple[int, int]) -> "Kept":
    from services.cli.asking import No

    one = await found.one(*place)
    if one is None:
        raise No(f"there is no dead letter at {place[0]}/{place[1]}")
    return one


def _shards(found: "DeadLetters", partition: int | None) -> "Sequence[int]":
    if partition is None:
        return range(found.partitions)
    if partition >= found.partitions:
        raise click.UsageError(f"there is no partition {partition}: there are {found.partitions}, from 0 on")
    return [partition]
