"""Answers of the read models as rows of tables, with whole units beside minimal parts, and as JSON.

Law: in JSON amounts are text, so that no reader rounds them, and every line says as of which sequence it is.
"""

from collections.abc import Iterator
from typing import Any, Final

from services.cli.screen import whole
from services.outcomes import Transfer
from services.reads import Accounts, Balances, Holds, Statement, TrialBalance

Row = tuple[object, ...]
Line = dict[str, Any]

BALANCE: Final = ("balance", "in whole units", "held", "available", "in whole units", "debits", "credits")
SUMS: Final = ("debits", "in whole units", "credits", "in whole units", "sum of balances")

BALANCE_NAMES: Final = (
    *("ledger", "account", "unit", "balance", "available", "held", "debits", "credits"),
    *("scale", "as_of", "as_of_time"),
)
POSTING_NAMES: Final = (
    *("ledger", "account", "id", "sequence", "at", "command", "kind", "unit", "amount", "debits", "credits", "balance"),
    *("state", "open", "scale", "as_of", "as_of_time"),
)
ACCOUNT_NAMES: Final = (
    *("ledger", "account", "account_type", "policy", "floor", "state", "version", "sequence", "alias", "book", "flags"),
    *("as_of", "as_of_time"),
)
HOLD_NAMES: Final = (
    *("ledger", "hold", "sequence", "kind", "book", "expires_at", "state", "changed", "source", "destination", "unit"),
    *("amount", "remaining", "scale", "as_of", "as_of_time"),
)
SUM_NAMES: Final = ("ledger", "unit", "debits", "credits", "balance", "scale", "as_of", "as_of_time")
"""What each line says, in the order of the columns of a CSV."""

_TOTALS: Final = ("balance", "available", "held", "debits", "credits")
_ACCOUNT: Final = ("account", "account_type", "policy", "state", "version", "sequence", "alias", "book", "flags")


def balance_rows(found: Balances) -> Iterator[Row]:
    """Give unit and `BALANCE` of an account."""
    for one in found.balances:
        scale = found.scales.get(one.unit)
        yield (
            one.unit,
            one.balance,
            whole(one.balance, scale),
            one.held,
            one.available,
            whole(one.available, scale),
            one.debits,
            one.credits,
        )


def balance_lines(ledger: str, found: Balances) -> Iterator[Line]:
    """Give an object for each unit."""
    for one in found.balances:
        about = {"type": "balance", "ledger": ledger, "account": found.account, "unit": one.unit}
        totals = {name: str(getattr(one, name)) for name in _TOTALS}
        yield about | totals | _standing(found, one.unit)


def posting_rows(found: Statement) -> Iterator[Row]:
    """Give id, time, kind, unit, amount, balance after it, state and command of each posting."""
    for shown in found.lines:
        one, scale = shown.line, found.scales.get(shown.line.unit)
        after = one.credits - one.debits
        yield (
            f"{one.sequence}.{one.index}",
            one.at,
            one.kind,
            one.unit,
            one.amount,
            whole(one.amount, scale),
            after,
            whole(after, scale),
            shown.clearing.state.value,
            one.command,
        )


def posting_lines(ledger: str, found: Statement) -> Iterator[Line]:
    """Give an object for each posting."""
    for shown in found.lines:
        one = shown.line
        yield {
            "type": "posting",
            "ledger": ledger,
            "account": found.account,
            "id": f"{one.sequence}.{one.index}",
            "sequence": one.sequence,
            "at": one.at,
            "command": one.command,
            "kind": one.kind,
            "unit": one.unit,
            "amount": str(one.amount),
            "debits": str(one.debits),
            "credits": str(one.credits),
            "balance": str(one.balance),
            "state": shown.clearing.state.value,
            "open": str(shown.clearing.open),
        } | _standing(found, one.unit)


def account_rows(found: Accounts) -> Iterator[Row]:
    """Give account, type, policy, floor, state, version, alias, book and flags."""
    for one in found.accounts:
        flags = " ".join(one.flags)
        head = (one.account, one.account_type, one.policy, one.floor, one.state)
        yield (*head, one.version, one.alias, one.book, flags)


def account_lines(ledger: str, found: Accounts) -> Iterator[Line]:
    """Give an object for each account."""
    for one in found.accounts:
        floor = None if one.floor is None else str(one.floor)
        said = {name: getattr(one, name) for name in _ACCOUNT}
        yield {"type": "account", "ledger": ledger, **said, "floor": floor} | _then(found)


def hold_rows(found: Holds) -> Iterator[Row]:
    """Give hold, state, source, destination, unit, what remains and what was held of each movement, and expiry."""
    for one in found.holds:
        for (source, destination, unit, amount), left in zip(one.movements, one.remaining, strict=True):
            scale = found.scales.get(unit)
            yield (one.hold, one.state, source, destination, unit, left, whole(left, scale), amount, one.expires_at)


def hold_lines(ledger: str, found: Holds) -> Iterator[Line]:
    """Give an object for each movement of each hold."""
    for one in found.holds:
        about = {"type": "hold", "ledger": ledger, "hold": one.hold, "sequence": one.sequence, "kind": one.kind}
        about |= {"book": one.book, "expires_at": one.expires_at, "state": one.state, "changed": one.changed}
        for (source, destination, unit, amount), left in zip(one.movements, one.remaining, strict=True):
            moved = {"source": source, "destination": destination, "unit": unit}
            amounts = {"amount": str(amount), "remaining": str(left)}
            yield about | moved | amounts | _standing(found, unit)


def movement_lines(transfer: Transfer) -> list[Line]:
    """Give an object for each movement of a transfer, with how much of it was moved back."""
    return [
        {**one._asdict(), "amount": str(one.amount), "reversed": str(back)}
        for one, back in zip(transfer.movements, transfer.reversed, strict=True)
    ]


def bound_rows(found: Statement) -> Iterator[Row]:
    """Give unit, opening balance and closing balance of a statement, with whole units."""
    for unit, opening, closing in found.bounds():
        scale = found.scales.get(unit)
        yield (unit, opening, whole(opening, scale), closing, whole(closing, scale))


def sum_rows(found: TrialBalance) -> Iterator[Row]:
    """Give unit and `SUMS`."""
    for one in found.units:
        scale = found.scales.get(one.unit)
        sums = (one.debits, whole(one.debits, scale), one.credits, whole(one.credits, scale))
        yield (one.unit, *sums, one.credits - one.debits)


def sum_lines(ledger: str, found: TrialBalance) -> Iterator[Line]:
    """Give an object for each unit."""
    for one in found.units:
        sums = {"debits": str(one.debits), "credits": str(one.credits), "balance": str(one.credits - one.debits)}
        yield {"type": "trial-balance", "ledger": ledger, "unit": one.unit} | sums | _standing(found, one.unit)


def _standing(found: Balances | Statement | Holds | TrialBalance, unit: str) -> Line:
    return {"scale": found.scales.get(unit)} | _then(found)


def _then(found: Accounts | Balances | Statement | Holds | TrialBalance) -> Line:
    return {"as_of": found.as_of.sequence, "as_of_time": found.as_of.at}
