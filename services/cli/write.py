"""Commands that ask for something: `open-ledger`, `open`, `transfer`, `send`.

Each sends what any producer could send, and waits for what becomes of it. What is sent by the first three is put
together here and sent by `services.cli.issuing`; files of any commands go through `services.cli.feeding`.
"""

from typing import Any, BinaryIO

import click

from schemas.values import Policy
from services.cli import options
from services.cli.options import How
from services.cli.place import here

commands = click.Group()


@commands.command("open-ledger", epilog=options.example("defter open-ledger main"))
@click.argument("name", type=options.LEDGER)
@options.how
def open_ledger(name: str, **how: Any) -> None:
    """Start a ledger, with everything built in."""
    from services.cli.issuing import issue

    issue([{"type": "open-ledger.v1", "ledger": name}], How(**how))


@commands.command("open", epilog=options.example("defter open bank --type external", "defter open alice bob"))
@click.argument("accounts", metavar="ACCOUNT...", type=options.ACCOUNT, nargs=-1, required=True)
@click.option("--type", "account_type", metavar="TYPE", help="user (the default), external, treasury, issuer, …")
@click.option(
    "--policy",
    type=click.Choice([str(policy) for policy in Policy]),
    help="How far below zero it may go; else the first that its type allows.",
)
@click.option("--floor", type=int, help="With capped_overdraft: the least that may be available, 0 or below.")
@click.option("--flag", "flags", multiple=True, help="A mark that books look for; again for more.")
@click.option("--book", help="The book that its postings go by.")
@click.option("--alias", help="Another name, such as @alice.")
@options.ledger
@options.how
def open_account(accounts: tuple[str, ...], **given: Any) -> None:
    """Open accounts."""
    from services.cli.issuing import issue

    how, fields = _parted(given)
    settings = here(how.timeout_s)
    fields["ledger"] = fields["ledger"] or settings.ledger
    issue([{"type": "open-account.v1", "account": account, **fields} for account in accounts], how, settings)


@commands.command(
    cls=options.WithAmount,
    epilog=options.example(
        "defter transfer bank alice QAZ 10000 --kind deposit", "defter transfer alice bob QAZ 250 --id order-77"
    ),
)
@click.argument("source", type=options.PARTY)
@click.argument("destination", type=options.PARTY)
@click.argument("unit", type=options.UNIT)
@click.argument("amount", metavar="AMOUNT", type=str)
@click.option("--kind", help="transfer (the default), deposit, withdrawal, mint, …")
@click.option("--fee", help="Charged to the source on top, minimal parts, to the ledger's treasury.")
@click.option("--book", help="The book that all postings go by.")
@options.ledger
@options.how
def transfer(source: str, destination: str, unit: str, amount: str, fee: str | None, **given: Any) -> None:
    """Move AMOUNT minimal parts of UNIT from SOURCE to DESTINATION. Of QAZ, 100 parts make one."""
    from services.cli.issuing import issue

    how, fields = _parted(given)
    movement = {"source": source, "destination": destination, "unit": unit}
    movement["amount"] = str(_amount(amount, unit, fields["ledger"]))
    if fee not in {None, "0"}:
        fields["fee"] = str(_amount(str(fee), unit, fields["ledger"]))
    settings = here(how.timeout_s)
    fields["ledger"] = fields["ledger"] or settings.ledger
    issue([{"type": "transfer.v1", "movements": [movement], **fields}], how, settings)


@commands.command(
    epilog=options.example(
        "defter send commands.jsonl",
        """echo '{"type":"define-unit.v1","id":"u-1","unit":"RICE","scale":3}' | defter send""",
    )
)
@click.argument("file", type=click.File("rb"), default="-")
@options.ledger
@options.no_wait
@options.as_json
@options.timeout
def send(file: BinaryIO, ledger: str | None, no_wait: bool, as_json: bool, timeout_s: float) -> None:
    """Send commands of any kind, one JSON object a line, from FILE or from stdin. Bytes are left untouched.

    Each is keyed by the ledger that it names, else by --ledger: so goes the short form, which names none. Any other
    line without a ledger is for main. At the end there is a summary; the exit code is 1 if
    any answer is no. Run it again and it resumes: what has its outcome keeps it.
    """
    from services.cli.feeding import feed

    settings = here(timeout_s)
    feed(settings, file, ledger or settings.ledger, no_wait=no_wait, as_json=as_json, timeout_s=timeout_s)


def _parted(given: dict[str, Any]) -> tuple[How, dict[str, Any]]:
    """Part what is said about sending from what is sent."""
    how = How(**{name: given.pop(name) for name in How._fields})
    return how, given


def _amount(text: str, unit: str, ledger: str | None) -> int:
    """Return an amount; the scale of the unit is looked up only where it is to be told."""
    from services.cli.asking import scales_of
    from services.cli.issuing import amount as amount_of

    def scale() -> int | None:
        settings = here()
        return scales_of(settings, ledger or settings.ledger, [unit]).get(unit)

    return amount_of(text, unit, scale)
