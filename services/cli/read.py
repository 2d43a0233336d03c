"""Commands that ask what is so: `balance`, `statement`, `show`, `accounts`, `trial-balance`.

Law: every answer says as of which sequence it is. What the answers look like: `services.cli.rows`.
"""

from typing import TYPE_CHECKING, Any

import click

from services.cli import NO, options, screen
from services.cli.screen import Column, amount

if TYPE_CHECKING:
    from projections.questions import Standing
    from services.reads import Accounts, Reads, Statement

commands = click.Group()

PAGE = 1000


@commands.command(epilog=options.example("defter balance alice", "defter balance alice --as-of 2026-11-21T09:30:00Z"))
@click.argument("account", type=options.PARTY)
@options.as_of
@options.min_sequence
@options.ledger
@options.as_json
@options.timeout
def balance(
    *, account: str, as_of: Any, min_sequence: int, ledger: str | None, as_json: bool, timeout_s: float
) -> None:
    """Tell what an account has, by its name or alias, in every unit."""
    from services.cli import rows
    from services.cli.asking import ask

    ledger, found = ask(ledger, lambda reads, of: reads.balances(of, account, as_of), timeout_s, min_sequence)
    if as_json:
        for line in rows.balance_lines(ledger, found):
            screen.line(line)
        return
    if found.balances:
        screen.table([Column("unit"), *map(amount, rows.BALANCE)], rows.balance_rows(found))
    else:
        screen.say("nothing has arrived or left yet")
    _as_of(ledger, found.as_of, found.account)
    screen.hint(f"defter statement {found.account}{_option(ledger)}")


@commands.command(
    epilog=options.example("defter statement alice", "defter statement alice --unit QAZ --all --json > alice.jsonl")
)
@click.argument("account", type=options.PARTY)
@click.option("--unit", type=options.UNIT, help="Of this unit only.")
@click.option("--count", type=click.IntRange(1), default=50, metavar="N", help="The last N postings (50).")
@click.option("--after", type=options.POSTING, metavar="ID", help="Those that come after this posting, such as 42.0.")
@click.option("--all", "every", is_flag=True, help="All of them, from the beginning.")
@options.as_of
@options.min_sequence
@options.ledger
@options.as_json
@options.timeout
def statement(
    account: str, min_sequence: int, ledger: str | None, as_json: bool, timeout_s: float, **which: Any
) -> None:
    """Show the postings of an account, by its name or alias, with the balance after each and how far it is consumed."""
    from services.cli import rows
    from services.cli.asking import ask

    ledger, found = ask(ledger, lambda reads, of: _statement(reads, of, account, **which), timeout_s, min_sequence)
    if as_json:
        for line in rows.posting_lines(ledger, found):
            screen.line(line)
        return
    titles = [Column("id"), Column("at"), Column("kind"), Column("unit"), amount("amount"), amount("in whole units")]
    titles += [amount("balance"), amount("in whole units"), Column("state"), Column("command")]
    screen.table(titles, rows.posting_rows(found))
    _as_of(ledger, found.as_of, found.account)
    screen.hint(f"defter balance {found.account}{_option(ledger)}", f"defter show COMMAND{_option(ledger)}")


@commands.command(epilog=options.example("defter show order-77"))
@click.argument("command_id", metavar="ID", type=options.ID)
@options.ledger
@options.as_json
@options.timeout
def show(command_id: str, ledger: str | None, as_json: bool, timeout_s: float) -> None:
    """Show what became of a command, by its id: the event that says so, as it is stored."""
    from services.cli.asking import outcome_of

    found = outcome_of(ledger, command_id, timeout_s)
    if as_json:
        import msgspec

        said = {"command": found.command, "ledger": found.ledger, "sequence": found.sequence, "at": found.at}
        said["outcome"] = "refused" if found.reason else "accepted"
        reason = {"reason": found.reason, "details": found.details} if found.reason else {}
        screen.line(msgspec.json.encode(said | reason | {"event": msgspec.Raw(found.event)}))
        return
    from schemas.codec import decode_event
    from services.cli.issuing import show_event
    from services.cli.telling import because

    outcome = "refused" if found.reason else "accepted"
    why = because(found.reason, found.details)
    screen.say(f"{outcome}: {command_id}, event {found.sequence} of {found.ledger}, at {found.at}{why}")
    show_event(found.ledger, decode_event(found.event))
    screen.hint(f"defter watch --beginning{_option(found.ledger)}")


@commands.command(epilog=options.example("defter accounts", "defter accounts --ledger shop --json"))
@options.min_sequence
@options.ledger
@options.as_json
@options.timeout
def accounts(*, min_sequence: int, ledger: str | None, as_json: bool, timeout_s: float) -> None:
    """List the accounts of a ledger, by name, as they stand."""
    from services.cli import rows
    from services.cli.asking import ask

    ledger, found = ask(ledger, _every_account, timeout_s, min_sequence)
    if as_json:
        for line in rows.account_lines(ledger, found):
            screen.line(line)
        return
    titles = [Column("account"), Column("type"), Column("policy"), amount("floor"), Column("state"), amount("version")]
    screen.table([*titles, Column("alias"), Column("book"), Column("flags")], rows.account_rows(found))
    _as_of(ledger, found.as_of)
    screen.hint(f"defter balance {found.accounts[0].account if found.accounts else 'alice'}{_option(ledger)}")


@commands.command("trial-balance", epilog=options.example("defter trial-balance"))
@options.min_sequence
@options.ledger
@options.as_json
@options.timeout
def trial_balance(*, min_sequence: int, ledger: str | None, as_json: bool, timeout_s: float) -> None:
    """Add up all accounts: what left and what arrived are equal, per unit. Exit 1 if they ever are not."""
    from services.cli import rows
    from services.cli.asking import ask

    ledger, found = ask(ledger, lambda reads, of: reads.trial_balance(of), timeout_s, min_sequence)
    if as_json:
        for line in rows.sum_lines(ledger, found):
            screen.line(line)
    else:
        screen.table([Column("unit"), *map(amount, rows.SUMS)], rows.sum_rows(found))
        _as_of(ledger, found.as_of)
        screen.hint(f"defter accounts{_option(ledger)}")
    if any(one.debits != one.credits for one in found.units):
        screen.tell("defter: debits and credits differ. Stop, and find out why.")
        raise click.exceptions.Exit(NO)


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


async def _every_account(reads: "Reads", ledger: str) -> "Accounts":
    found = await reads.accounts(ledger, most=PAGE)
    page = found
    while len(page.accounts) == PAGE:
        page = await reads.accounts(ledger, page.accounts[-1].account, PAGE)
        found.accounts.extend(page.accounts)
    return found


def _as_of(ledger: str, standing: "Standing", account: str | None = None) -> None:
    screen.say(f"{account + ' in ' if account else ''}{ledger}, as of sequence {standing.sequence}, {standing.at}")


def _option(ledger: str) -> str:
    """Return what has to be said of the ledger in a hint."""
    return "" if ledger == "main" else f" --ledger {ledger}"
