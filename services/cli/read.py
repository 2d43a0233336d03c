"""Commands that ask what is so: `balance`, `statement`, `show`, `accounts`, `holds`, `trial-balance`.

Law: every answer says as of which sequence it is. What the answers look like: `services.cli.rows`.
"""

from collections.abc import Iterable, Mapping, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from services.cli import NO, options, screen
from services.cli.place import here
from services.cli.screen import Column, amount

if TYPE_CHECKING:
    from projections.questions import Standing
    from services.cli.asking import Shown
    from services.reads import Accounts, Holds, Reads, Statement
    from services.settings import Settings

commands = click.Group()

PAGE = 1000
LAST = 50
"""How many postings are shown where nobody says how many."""


class How(NamedTuple):
    """What is said about asking, besides the question: as of when, of which ledger, and in which form."""

    as_of: Any
    min_sequence: int
    ledger: str | None
    as_json: bool
    as_csv: bool
    timeout_s: float


def asking(command: Any) -> Any:
    """Add the options of every command that asks: the fields of `How`."""
    for option in (options.timeout, options.as_csv, options.as_json, options.ledger, options.min_sequence):
        command = option(command)
    return options.as_of(command)


@commands.command(epilog=options.example("defter balance alice", "defter balance alice --as-of 2026-11-21T09:30:00Z"))
@click.argument("account", type=options.PARTY)
@asking
def balance(account: str, **said: Any) -> None:
    """Tell what an account has, by its name or alias, in every unit."""
    from services.cli import rows
    from services.cli.asking import ask

    how = How(**said)
    ledger, found = ask(
        how.ledger, lambda reads, of: reads.balances(of, account, how.as_of), how.timeout_s, how.min_sequence
    )
    if _as_data(how, rows.BALANCE_NAMES, rows.balance_lines(ledger, found), _then(ledger, found.as_of)):
        return
    if found.balances:
        screen.table([Column("unit"), *map(amount, rows.BALANCE)], rows.balance_rows(found))
    else:
        screen.say("nothing has arrived or left yet")
    _as_of(ledger, found.as_of, found.account)
    screen.hint(f"defter statement {quote(found.account)}{_option(how.ledger)}")


@commands.command(
    epilog=options.example("defter statement alice", "defter statement alice --unit QAZ --all --csv > alice.csv")
)
@click.argument("account", type=options.PARTY)
@click.option("--unit", type=options.UNIT, help="Of this unit only.")
@click.option(
    "--count",
    type=click.IntRange(1, options.MANY),
    metavar="N",
    help="The last N postings (50); after ID, the first N.",
)
@click.option("--after", type=options.POSTING, metavar="ID", help="Those that come after this posting, such as 42.0.")
@click.option("--all", "every", is_flag=True, help="All of them, from the beginning.")
@asking
def statement(account: str, unit: str | None, count: int | None, after: Any, every: bool, **said: Any) -> None:
    """Show the postings of an account, by its name or alias, with the balance after each and how far it is consumed."""
    from services.cli import rows
    from services.cli.asking import ask

    if every and (count or after):
        raise click.UsageError(f"--all is every posting: leave {'--count' if count else '--after'} out")
    how = How(**said)
    most = count or LAST
    which = {"unit": unit, "count": most, "after": after, "every": every, "as_of": how.as_of}
    ledger, found = ask(
        how.ledger, lambda reads, of: _statement(reads, of, account, **which), how.timeout_s, how.min_sequence
    )
    cut = len(found.lines) == most and not every
    more = f"the {'first' if after else 'last'} {most} postings; --count N shows more of them, --all every one"
    if _as_data(how, rows.POSTING_NAMES, rows.posting_lines(ledger, found), _then(ledger, found.as_of)):
        if cut and count is None:
            screen.tell(more)
        return
    titles = [Column("id"), Column("at"), Column("kind"), Column("unit"), amount("amount"), amount("in whole units")]
    titles += [amount("balance"), amount("in whole units"), Column("state"), Column("command")]
    screen.table(titles, rows.posting_rows(found))
    if found.lines:
        screen.say()
        bounds = ("opening balance", "in whole units", "closing balance", "in whole units")
        screen.table([Column("unit"), *map(amount, bounds)], rows.bound_rows(found))
    if cut:
        screen.say(more)
    _as_of(ledger, found.as_of, found.account)
    of = _option(how.ledger)
    last = [f"defter show {quote(one.line.command)}{of}" for one in found.lines[-1:]]
    screen.hint(f"defter balance {quote(found.account)}{of}", *last)


@commands.command(epilog=options.example("defter show order-77", "defter show order-77 --as-of 1200"))
@click.argument("command_id", metavar="ID", type=options.ID)
@options.as_of
@options.min_sequence
@options.ledger
@options.as_json
@options.timeout
def show(command_id: str, as_of: Any, min_sequence: int, ledger: str | None, as_json: bool, timeout_s: float) -> None:
    """Show what became of a command, by its id: the event that says so, and what of a transfer was moved back since."""
    from services.cli.asking import outcome_of

    settings = here(timeout_s)
    shown = outcome_of(settings, ledger, command_id, timeout_s, as_of=as_of, min_sequence=min_sequence)
    if as_json:
        _show_as_json(shown)
    else:
        _show(shown, settings)


def _show_as_json(shown: "Shown") -> None:
    import msgspec

    from services.cli.rows import movement_lines

    found, transfer = shown.outcome, shown.transfer
    said: dict[str, Any] = {"command": found.command, "ledger": found.ledger, "sequence": found.sequence}
    said |= {"at": found.at, "outcome": "refused" if found.reason else "accepted"}
    said |= {"reason": found.reason, "details": found.details} if found.reason else {}
    said |= {"movements": movement_lines(transfer), "reversals": transfer.reversals} if transfer else {}
    screen.line(msgspec.json.encode(said | {"as_of": shown.as_of, "event": msgspec.Raw(found.event)}))


def _show(shown: "Shown", settings: "Settings") -> None:
    from schemas.codec import decode_event
    from services.cli.issuing import show_event
    from services.cli.telling import because, beside_postings

    found, transfer = shown.outcome, shown.transfer
    outcome, why = "refused" if found.reason else "accepted", because(found.reason, found.details)
    screen.say(f"{outcome}: {found.command}, event {found.sequence} of {found.ledger}, at {found.at}{why}")
    event = decode_event(found.event)
    show_event(found.ledger, event, settings)
    for line in beside_postings(event):
        screen.say(f"  {line}")
    if transfer and transfer.reversals:
        screen.say(f"moved back by {'events' if transfer.reversals[1:] else 'event'} {_listed(transfer.reversals)}")
        for one, back in zip(transfer.movements, transfer.reversed, strict=True):
            screen.say(f"  {back} of {one.amount} {one.unit} from {one.source} to {one.destination}")
    screen.say(f"{found.ledger}, as of sequence {shown.as_of}")
    screen.hint(f"defter watch --beginning{_option(None if found.ledger == settings.ledger else found.ledger)}")


@commands.command(epilog=options.example("defter accounts", "defter accounts --ledger shop --csv > accounts.csv"))
@asking
def accounts(**said: Any) -> None:
    """List the accounts of a ledger, by name, as they stand."""
    from services.cli import rows
    from services.cli.asking import ask

    how = How(**said)
    ledger, found = ask(
        how.ledger, lambda reads, of: _every_account(reads, of, how.as_of), how.timeout_s, how.min_sequence
    )
    if _as_data(how, rows.ACCOUNT_NAMES, rows.account_lines(ledger, found), _then(ledger, found.as_of)):
        return
    titles = [Column("account"), Column("type"), Column("policy"), amount("floor"), Column("state"), amount("version")]
    screen.table([*titles, Column("alias"), Column("book"), Column("flags")], rows.account_rows(found))
    _as_of(ledger, found.as_of)
    then = f"balance {quote(found.accounts[0].account)}" if found.accounts else "open ACCOUNT"
    screen.hint(f"defter {then}{_option(how.ledger)}")


@commands.command(epilog=options.example("defter holds", "defter holds alice --ended --json"))
@click.argument("account", type=options.PARTY, required=False)
@click.option("--ended", is_flag=True, help="Those, too, that were captured, released, or expired.")
@asking
def holds(account: str | None, ended: bool, **said: Any) -> None:
    """List what is promised and not yet moved, of one account or all, by the hold's id."""
    from services.cli import rows
    from services.cli.asking import ask

    how = How(**said)
    ledger, found = ask(
        how.ledger, lambda reads, of: _every_hold(reads, of, account, ended, how.as_of), how.timeout_s, how.min_sequence
    )
    if _as_data(how, rows.HOLD_NAMES, rows.hold_lines(ledger, found), _then(ledger, found.as_of)):
        return
    titles = [Column("hold"), Column("state"), Column("source"), Column("destination"), Column("unit")]
    titles += [amount("remaining"), amount("in whole units"), amount("of"), Column("expires at")]
    screen.table(titles, rows.hold_rows(found))
    _as_of(ledger, found.as_of)
    screen.hint(*(f"defter show {quote(one.hold)}{_option(how.ledger)}" for one in found.holds[-1:]))


@commands.command("trial-balance", epilog=options.example("defter trial-balance", "defter trial-balance --as-of 1200"))
@asking
def trial_balance(**said: Any) -> None:
    """Add up all accounts: what left and what arrived are equal, per unit. Exit 1 if they ever are not."""
    from services.cli import rows
    from services.cli.asking import ask

    how = How(**said)
    ledger, found = ask(
        how.ledger, lambda reads, of: reads.trial_balance(of, how.as_of), how.timeout_s, how.min_sequence
    )
    if not _as_data(how, rows.SUM_NAMES, rows.sum_lines(ledger, found), _then(ledger, found.as_of)):
        screen.table([Column("unit"), *map(amount, rows.SUMS)], rows.sum_rows(found))
        _as_of(ledger, found.as_of)
        screen.hint(f"defter accounts{_option(how.ledger)}")
    if any(one.debits != one.credits for one in found.units):
        screen.tell("defter: debits and credits differ. Stop, and find out why.")
        raise click.exceptions.Exit(NO)


def _as_data(how: How, names: Sequence[str], lines: Iterable[Mapping[str, Any]], then: str) -> bool:
    """Print lines as JSON or CSV, and return whether one of them was asked for. Of none, stderr says as of when."""
    if how.as_json and how.as_csv:
        raise click.UsageError("--json and --csv are two forms of the same: say one")
    if not (how.as_json or how.as_csv):
        return False
    shown = screen.csv(names, lines) if how.as_csv else screen.lines(lines)
    if not shown:
        screen.tell(f"nothing: {then}")
    return True


async def _statement(reads: "Reads", ledger: str, account: str, **which: Any) -> "Statement":
    unit, as_of, after = which["unit"], which["as_of"], which["after"]
    if not which["every"]:
        return await reads.statement(ledger, account, unit, most=which["count"], after=after, as_of=as_of)
    found = await reads.statement(ledger, account, unit, most=PAGE, after=(0, -1), as_of=as_of)
    page = found
    while len(page.lines) == PAGE:
        last = page.lines[-1].line
        place = (last.sequence, last.index)
        page = await reads.statement(ledger, account, unit, most=PAGE, after=place, as_of=found.as_of.sequence)
        found.lines.extend(page.lines)
    return found


async def _every_account(reads: "Reads", ledger: str, as_of: Any) -> "Accounts":
    found = page = await reads.accounts(ledger, most=PAGE, as_of=as_of)
    while len(page.accounts) == PAGE:
        page = await reads.accounts(ledger, page.accounts[-1].account, PAGE, found.as_of.sequence)
        found.accounts.extend(page.accounts)
    return found


async def _every_hold(reads: "Reads", ledger: str, account: str | None, ended: bool, as_of: Any) -> "Holds":
    found = page = await reads.holds(ledger, account, ended=ended, most=PAGE, as_of=as_of)
    while len(page.holds) == PAGE:
        last, then = page.holds[-1].hold, found.as_of.sequence
        page = await reads.holds(ledger, account, ended=ended, after=last, most=PAGE, as_of=then)
        found.holds.extend(page.holds)
    return found


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _as_of(ledger: str, standing: "Standing", account: str | None = None) -> None:
    screen.say(f"{account + ' in ' if account else ''}{_then(ledger, standing)}")


def _then(ledger: str, standing: "Standing") -> str:
    return f"{ledger}, as of sequence {standing.sequence}, {standing.at or 'before anything happened'}"


def _option(said: str | None) -> str:
    """Return what has to be said of the ledger in a hint: what was said, for where nothing was the same goes."""
    return "" if said is None else f" --ledger {said}"
