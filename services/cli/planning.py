"""Commands that tell what would come of something, on the present state, without asking for it: `prepare`, `quote`.

Law: nothing is changed anywhere, and what cannot be is told with the reason that the rules would give. What was true
when it was told may have changed when it is asked for: then the rules say so.
"""

import shlex
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn, TypeVar

import click

from services.cli import NO, options, screen
from services.cli.place import here, wait_for, within

if TYPE_CHECKING:
    from domain.exchange import Route
    from schemas.commands import Exchange, Transfer
    from services.present import Present
    from services.settings import Settings

commands = click.Group()

_Answer = TypeVar("_Answer")


class _Refused(NamedTuple):
    """What the answer would be, and why: as a reply would say it."""

    command: str | None
    ledger: str
    outcome: str
    reason: str
    details: dict[str, str]


@commands.command(
    epilog=options.example(
        "defter prepare transfer.json", "defter prepare transfer.json > envelope.json && defter send envelope.json"
    )
)
@click.argument("file", type=click.File("rb"), default="-")
@options.ledger
@options.as_json
@options.timeout
def prepare(file: BinaryIO, ledger: str | None, as_json: bool, timeout_s: float) -> None:
    """Resolve a transfer into the envelope that moves the same, and print that command. Commits nothing.

    FILE holds one transfer.v1, or the short form. The envelope has its id, consumes the next whole postings of who
    pays, creates the change, and pins the versions of all accounts. Exit 1 where the rules would say no.
    """
    settings = here(timeout_s)
    command = _transfer(file.read(), ledger or settings.ledger, as_json=as_json)
    answer = _on_present(settings, command.ledger, timeout_s, lambda present: _prepared(present, command))
    if isinstance(answer, _Refused):
        _refuse(answer, as_json=as_json)
    screen.line(answer)
    if not as_json and file is not sys.stdin.buffer:
        screen.hint(f"defter prepare {shlex.quote(file.name)} | defter send")


@commands.command(
    cls=options.WithAmount,
    epilog=options.example("defter quote alice USD 10000 EUR", "defter quote alice USD 10000 EUR --json"),
)
@click.argument("source", type=options.PARTY)
@click.argument("sell", type=options.UNIT)
@click.argument("amount", metavar="AMOUNT", type=str)
@click.argument("buy", type=options.UNIT)
@click.option("--destination", type=options.PARTY, help="Who receives what is bought; else the source.")
@click.option("--book", help="The book that all postings would go by.")
@options.ledger
@options.as_json
@options.timeout
def quote(source: str, sell: str, amount: str, buy: str, ledger: str | None, timeout_s: float, **how: Any) -> None:
    """Find the route of ads that yields most BUY for AMOUNT minimal parts of SELL. Exit 1 where there is none."""
    from schemas.commands import Exchange
    from services.cli.asking import scales_of
    from services.cli.issuing import amount as amount_of

    settings = here(timeout_s)
    ledger = ledger or settings.ledger
    parts = amount_of(amount, sell, lambda: scales_of(settings, ledger, [sell]).get(sell))
    if sell == buy:
        raise click.UsageError(f"{sell} is sold and bought: these are two units")
    parties = {"source": source, "destination": how["destination"] or source, "book": how["book"]}
    command = Exchange(id="quote", ledger=ledger, sell=sell, amount=parts, buy=buy, at_least=1, **parties)
    answer = _on_present(settings, ledger, timeout_s, lambda present: _quoted(present, command))
    if isinstance(answer, _Refused):
        _refuse(answer, as_json=how["as_json"])
    (_tell_as_json if how["as_json"] else _tell)(command, *answer)


def _transfer(text: bytes, ledger: str, *, as_json: bool) -> "Transfer":
    """Read the one command of a file, as the writer would."""
    from schemas.commands import Transfer
    from services.journal.ports import DeadLetter
    from services.kafka.ports import Record
    from services.reading import read
    from services.sending import lines_of

    text = text.strip()
    (line,) = lines_of([text], ledger)
    reading = read(Record(0, 0, line.ledger.encode(), text, ()))
    if isinstance(reading, DeadLetter):
        _refuse(_Refused(None, ledger, "dead-letter", reading.reason, {"detail": reading.detail}), as_json=as_json)
    command = reading.command
    if not isinstance(command, Transfer):
        raise click.UsageError("only a transfer.v1 can be prepared")
    if command.effective_at is not None:
        raise click.UsageError("an envelope has no effective_at: leave it out, or send the transfer as it is")
    return command


def _on_present(
    settings: "Settings", ledger: str, timeout_s: float, question: Callable[["Present"], Awaitable[_Answer | _Refused]]
) -> _Answer | _Refused:
    """Ask something of a ledger as it stands."""
    from services.present import present
    from services.reading import time_of
    from services.setup import read_installation

    async def asked() -> _Answer | _Refused:
        installed = await within(timeout_s, lambda: read_installation(settings))
        async with present(settings, installed, ledger, time_of(time.time_ns() // 1_000_000)) as found:
            if found is None:
                detail = {"detail": f"{ledger} was never opened"}
                return _Refused(None, ledger, "dead-letter", "UNKNOWN_LEDGER", detail)
            return await question(found)

    return wait_for(asked())


async def _prepared(present: "Present", command: "Transfer") -> bytes | _Refused:
    import msgspec

    from domain.preparing import begin
    from schemas.codec import MOST_BYTES, MalformedError, decode_command
    from schemas.events import CommandRefused

    if await present.has_outcome(command.id):
        detail = {"detail": f"{command.id} has its outcome already"}
        return _Refused(command.id, command.ledger, "dead-letter", "ID_REUSED", detail)
    answer: Any = begin(present.ledger, command, present.at)
    if not isinstance(answer, CommandRefused):
        for transfer in present.transfers():
            answer.see(transfer)
        answer = answer.envelope()
    if isinstance(answer, CommandRefused):
        return _Refused(command.id, command.ledger, "refused", answer.reason, answer.details)
    try:
        _, canonical = decode_command(msgspec.json.encode(answer), None)
    except MalformedError as error:
        return _Refused(command.id, command.ledger, "dead-letter", "MALFORMED", {"detail": str(error)})
    if len(canonical) > MOST_BYTES:
        detail = {"detail": f"{len(canonical)} bytes, at most {MOST_BYTES} - at `$`"}
        return _Refused(command.id, command.ledger, "dead-letter", "TOO_LARGE", detail)
    return canonical


async def _quoted(present: "Present", command: "Exchange") -> "tuple[Present, Route] | _Refused":
    from domain.exchange import quote as best
    from domain.refusals import Objection

    route = best(present.ledger, command)
    if isinstance(route, Objection):
        return _Refused(None, command.ledger, "refused", route.reason, route.details)
    return present, route


def _refuse(refused: _Refused, *, as_json: bool) -> NoReturn:
    """Say no, and why. Without `--json` nothing goes to stdout: whoever reads an envelope there gets none."""
    from services.cli.telling import because

    if as_json:
        screen.line({name: said for name, said in refused._asdict().items() if said is not None})
    else:
        screen.tell(f"defter: {refused.outcome}{because(refused.reason, refused.details)}")
    raise click.exceptions.Exit(NO)


def _tell(command: "Exchange", present: "Present", route: "Route") -> None:
    import msgspec

    from services.sending import new_id

    def amount(parts: int, unit: str) -> tuple[object, ...]:
        return parts, unit, screen.whole(parts, present.ledger.units[unit])

    titles = [screen.Column("ad"), screen.Column("account"), screen.Column("rate")]
    for way in ("takes", "gives"):
        titles += [screen.amount(way), screen.Column("unit"), screen.amount("in whole units")]
    hops = zip(route.ads, route.legs[::2], route.legs[1::2], strict=True)
    rows = [
        (ad.id, ad.account, ad.rate, *amount(taken.amount, taken.unit), *amount(given.amount, given.unit))
        for ad, taken, given in hops
    ]
    screen.table(titles, rows)
    yields, unit, in_whole = amount(route.yields, command.buy)
    screen.say(
        f"yields {yields} {unit} ({in_whole}) in {command.ledger}, as of sequence {present.stored}, {present.at}"
    )
    sale = msgspec.json.encode(msgspec.structs.replace(command, id=new_id(), at_least=route.yields)).decode()
    screen.hint(f"echo {shlex.quote(sale)} | defter send")


def _tell_as_json(command: "Exchange", present: "Present", route: "Route") -> None:
    hops = zip(route.ads, route.legs[::2], route.legs[1::2], strict=True)
    said: dict[str, Any] = {"type": "quote", "ledger": command.ledger}
    said |= {"source": command.source, "destination": command.destination, "sell": command.sell}
    said |= {"amount": str(command.amount), "buy": command.buy, "yields": str(route.yields)}
    said["hops"] = [
        {"ad": ad.id, "account": ad.account, "rate": ad.rate, "base": ad.base, "takes": str(taken.amount)}
        | {"quote": ad.quote, "gives": str(given.amount)}
        for ad, taken, given in hops
    ]
    screen.line(said | {"as_of": present.stored, "as_of_time": present.at})
