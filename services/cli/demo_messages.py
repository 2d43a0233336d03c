"""What the demo publishes: some hundred messages as producers send them, good and bad, in groups with a name.

The same every time: the randomness is that of one seed.
"""

import json
import random
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from services.sending import Line, line_of

LEDGER: Final = "main"
PEOPLE: Final = ("alice", "bob", "carol", "dora")
SHOP: Final = "shop"
PAYMENTS: Final = 240

_SEED: Final = 7
_FUNDS: Final = 50_000


class Group(NamedTuple):
    """Messages of one sort, and what they show."""

    title: str
    lines: list[Line]


def groups() -> list[Group]:
    """Return everything that is published, in order."""
    payments = list(_payments(random.Random(_SEED)))  # noqa: S311 - a story, no secret
    return [
        Group("a ledger, a unit, accounts", list(_beginning())),
        Group("deposits from the world outside", list(_deposits())),
        Group("payments, long form and short form", payments),
        Group("the same again, some spelled otherwise", list(_again(payments))),
        Group("an old id with new content", list(_reused(payments))),
        Group("what the rules refuse", list(_refused())),
        Group("what cannot be understood", list(_broken())),
    ]


def _beginning() -> Iterator[Line]:
    yield _command("open-ledger.v1", "open")
    yield _command("define-unit.v1", "unit-rice", unit="RICE", scale=3, name="Rice, by the kilogram")
    yield _command("open-account.v1", "account-world", account="world", account_type="external")
    yield _command("open-account.v1", "account-treasury", account="treasury", account_type="treasury")
    for name in (*PEOPLE, SHOP):
        yield _command("open-account.v1", f"account-{name}", account=name)


def _deposits() -> Iterator[Line]:
    for name in PEOPLE:
        yield _transfer(f"deposit-{name}", [("world", name, "QAZ", _FUNDS)], kind="deposit")
    yield _transfer("deposit-rice", [("world", SHOP, "RICE", 900_000)], kind="deposit")


def _payments(random_: random.Random) -> Iterator[Line]:
    """Give payments between people and to the shop; some have more than one movement, some a fee."""
    for number in range(PAYMENTS):
        payer, payee = random_.sample(PEOPLE, 2)
        amount = random_.randint(1, 2_500)
        if number % 4 == 0:
            yield _short(payer, payee, amount, f"payment-{number}")
        elif number % 4 == 1:
            rice = (SHOP, payer, "RICE", amount)
            yield _transfer(f"purchase-{number}", [(payer, SHOP, "QAZ", amount), rice])
        elif number % 4 == 2:  # noqa: PLR2004 - every fourth
            yield _transfer(f"payment-{number}", [(payer, payee, "QAZ", amount)], fee=amount // 100)
        else:
            yield _transfer(f"payment-{number}", [(payer, payee, "QAZ", str(amount))])


def _again(payments: list[Line]) -> Iterator[Line]:
    """Give some payments once more: byte for byte, or the same content in other bytes."""
    yield from payments[10:40]
    for line in payments[40:50]:
        fields = json.loads(line.value)
        yield _line(json.dumps(dict(reversed(fields.items())), indent=1).encode())


def _reused(payments: list[Line]) -> Iterator[Line]:
    for line in payments[3:12:4]:
        fields = json.loads(line.value)
        fields["movements"][0]["amount"] = 1_000_000
        yield _line(json.dumps(fields).encode())


def _refused() -> Iterator[Line]:
    yield _transfer("too-much", [("bob", "alice", "QAZ", 10_000_000)])
    yield _transfer("to-nobody", [("alice", "nobody", "QAZ", 100)])
    yield _transfer("in-no-unit", [("alice", "bob", "GOLD", 100)])
    yield _transfer("to-herself", [("alice", "alice", "QAZ", 100)])
    yield _transfer("half-a-swap", [("alice", "bob", "QAZ", 100), ("bob", "alice", "RICE", 99_999_999)])
    yield _command("open-account.v1", "account-alice-2", account="alice")


def _broken() -> Iterator[Line]:
    yield _line(b"\xff\xfe\x00 this is no JSON")
    yield _line(b'{"type":"transfer.v1","id":"half","movem')
    yield _line(b'{"from_id":"alice","to_id":"bob","currency":"QAZ","amount":12.5,"idempotency_key":"a-float"}')
    yield _line(b'{"from_id":"alice","to_id":"bob","currency":"qaz","amount":1,"idempotency_key":"small-letters"}')
    yield _line(b'{"type":"open-account.v1","id":"a","id":"b","account":"twice"}')
    yield _line(b'{"type":"open-account.v1","id":"extra","account":"erin","colour":"blue"}')
    yield line_of(b'{"type":"open-account.v1","id":"elsewhere","ledger":"elsewhere","account":"erin"}', "elsewhere")
    yield line_of(_transfer("another-key", [("alice", "bob", "QAZ", 1)]).value, "another")


def _short(source: str, destination: str, amount: int, key: str) -> Line:
    fields = {"from_id": source, "to_id": destination, "currency": "QAZ", "amount": amount, "idempotency_key": key}
    return _line(json.dumps(fields).encode())


def _transfer(command_id: str, movements: list[tuple[str, str, str, int | str]], **more: Any) -> Line:
    names = ("source", "destination", "unit", "amount")
    return _command(
        "transfer.v1", command_id, movements=[dict(zip(names, each, strict=True)) for each in movements], **more
    )


def _command(tag: str, command_id: str, **fields: Any) -> Line:
    return _line(json.dumps({"type": tag, "id": command_id, **fields}).encode())


def _line(value: bytes) -> Line:
    return line_of(value, LEDGER)
