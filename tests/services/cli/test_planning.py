"""What would come of a transfer or an exchange, told without asking for it: `prepare`, `quote`."""

import json
import shlex
from itertools import count
from typing import Any

import pytest

from tests.services.cli.program import Program

LONG_AGO = "2026-01-01T00:00:00Z"
LEDGERS = (f"planned-{number}" for number in count(1))


class Ledger:
    """A ledger of one test's own, in the installation of all."""

    def __init__(self, defter: Program, name: str) -> None:
        self.defter = defter
        self.name = name
        self._ids = (f"c{number}" for number in count(1))

    def send(self, *commands: dict[str, Any]) -> None:
        """Have commands accepted."""
        lines = [{"id": next(self._ids), "ledger": self.name, **command} for command in commands]
        self.defter.ok("send", stdin="\n".join(map(json.dumps, lines)).encode())

    def pay(self, source: str, destination: str, amount: int, unit: str = "QAZ", **said: Any) -> dict[str, Any]:
        """Say a transfer of one movement."""
        movement = {"source": source, "destination": destination, "unit": unit, "amount": amount}
        return {"type": "transfer.v1", "ledger": self.name, "movements": [movement], **said}

    def prepare(self, command: dict[str, Any] | bytes, code: int = 0) -> dict[str, Any]:
        """Prepare a command, and give what is printed."""
        stdin = command if isinstance(command, bytes) else json.dumps(command).encode()
        (told,) = self.defter.json("prepare", stdin=stdin, code=code)
        return told

    def quote(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Ask for a quote, and give what is printed."""
        (told,) = self.defter.json("quote", *arguments, "--ledger", self.name, code=code)
        return told


@pytest.fixture
def ledger(defter: Program) -> Ledger:
    """A ledger where alice has 70 and 50 QAZ, in two postings."""
    made = Ledger(defter, next(LEDGERS))
    made.send(
        {"type": "open-ledger.v1"},
        {"type": "open-account.v1", "account": "bank", "account_type": "external"},
        {"type": "open-account.v1", "account": "alice", "alias": "@alice"},
        {"type": "open-account.v1", "account": "bob"},
        made.pay("bank", "alice", 70, kind="deposit"),
        made.pay("bank", "alice", 50, kind="deposit"),
    )
    return made


def test_a_transfer_is_resolved_and_committed_as_it_was_told(ledger: Ledger) -> None:
    envelope = ledger.prepare(ledger.pay("@alice", "bob", 100, id="order-77", metadata={"order": "77"}))

    assert envelope == {
        "type": "commit-envelope.v1",
        "id": "order-77",
        "ledger": ledger.name,
        "metadata": {"order": "77"},
        "consumes": ["5.1", "6.1"],
        "creates": [
            {"account": "bob", "unit": "QAZ", "amount": 100},
            {"account": "alice", "unit": "QAZ", "amount": 20},
        ],
        "versions": {"alice": 1, "bob": 1},
    }
    ledger.send(envelope)
    shown = ledger.defter.json("show", "order-77", "--ledger", ledger.name)
    assert [(one["sequence"], one["outcome"]) for one in shown] == [(7, "accepted")]


def test_nothing_is_committed_by_preparing(ledger: Ledger) -> None:
    ledger.prepare(ledger.pay("alice", "bob", 100, id="only-prepared"))

    assert ledger.defter.run("show", "only-prepared", "--ledger", ledger.name).code == 1


def test_what_the_rules_refuse_is_told_with_their_reason(ledger: Ledger) -> None:
    command = ledger.pay("alice", "bob", 121, id="much")

    assert ledger.prepare(command, code=1) == {
        "command": "much",
        "ledger": ledger.name,
        "outcome": "refused",
        "reason": "INSUFFICIENT_FUNDS",
        "details": {"account": "alice", "unit": "QAZ", "available": "120", "requested": "121"},
    }
    done = ledger.defter.run("prepare", stdin=json.dumps(command).encode())
    assert (done.code, done.stdout) == (1, "")
    assert "refused: INSUFFICIENT_FUNDS (account alice, unit QAZ, available 120, requested 121)" in done.stderr


def test_what_only_an_envelope_is_refused_for_is_told_too(ledger: Ledger) -> None:
    ledger.send(ledger.pay("alice", "bob", 1))

    told = ledger.prepare(ledger.pay("alice", "bob", 5, id="begun"), code=1)

    assert (told["reason"], told["details"]) == ("POSTING_NOT_NEXT", {"posting": "5.1"})


def test_an_id_that_has_its_outcome_cannot_be_prepared_again(ledger: Ledger) -> None:
    ledger.send(ledger.pay("alice", "bob", 1, id="used"))

    told = ledger.prepare(ledger.pay("alice", "bob", 1, id="used"), code=1)

    assert (told["outcome"], told["reason"]) == ("dead-letter", "ID_REUSED")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "MALFORMED"),
        (b'{"type":"transfer.v1","id":"x"}', "MALFORMED"),
        (b'{"from_id":"a","to_id":"b","currency":"QAZ","amount":0,"idempotency_key":"x"}', "MALFORMED"),
        (b'{"from_id":"a","to_id":"b","currency":"QAZ","amount":1,"idempotency_key":"x"}', "UNKNOWN_LEDGER"),
        (b"{" + b" " * 65536 + b"}x", "TOO_LARGE"),
    ],
)
def test_what_would_be_a_dead_letter_is_told_as_such(defter: Program, line: bytes, reason: str) -> None:
    (told,) = defter.json("prepare", "--ledger", "nobody-opened-it", stdin=line, code=1)

    assert (told["outcome"], told["reason"]) == ("dead-letter", reason)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"type": "tick.v1"}, "only a transfer.v1 can be prepared"),
        ({"effective_at": LONG_AGO}, "an envelope has no effective_at"),
    ],
)
def test_what_no_envelope_can_say_is_wrong_use(ledger: Ledger, said: dict[str, str], told: str) -> None:
    command = {"type": "tick.v1", "id": "t"} if "type" in said else ledger.pay("alice", "bob", 1, id="x") | said

    done = ledger.defter.run("prepare", "-", stdin=json.dumps(command).encode())

    assert (done.code, done.stdout) == (2, "")
    assert told in done.stderr


def test_more_postings_than_an_envelope_holds_are_told(ledger: Ledger) -> None:
    one = {"source": "bank", "destination": "bob", "unit": "QAZ", "amount": 1}
    for _ in range(2):
        ledger.send({"type": "transfer.v1", "kind": "deposit", "movements": [one] * 600})

    told = ledger.prepare(ledger.pay("bob", "alice", 1100, id="dust"), code=1)

    assert (told["reason"], "$.consumes" in told["details"]["detail"]) == ("MALFORMED", True)


def test_a_hold_that_is_due_is_no_longer_in_the_way(ledger: Ledger) -> None:
    movement = {"source": "alice", "destination": "bob", "unit": "QAZ", "amount": 120}
    ledger.send({"type": "place-hold.v1", "movements": [movement], "expires_at": LONG_AGO})

    assert ledger.prepare(ledger.pay("alice", "bob", 120, id="after"))["consumes"] == ["5.1", "6.1"]


def market(ledger: Ledger) -> None:
    """Open a market where USD for GBP by way of EUR yields more than USD for GBP at once."""
    ledger.send(
        *({"type": "define-unit.v1", "unit": unit, "scale": 2} for unit in ("USD", "EUR", "GBP")),
        {"type": "open-account.v1", "account": "pool", "account_type": "system"},
        ledger.pay("bank", "alice", 10000, "USD", kind="deposit"),
        *(
            {"type": "post-ad.v1", "ad": ad, "account": "pool", "base": base, "quote": quote, "rate": rate}
            for ad, base, quote, rate in (
                ("direct", "USD", "GBP", "0.70"),
                ("to-eur", "USD", "EUR", "0.92"),
                ("to-gbp", "EUR", "GBP", "0.87"),
            )
        ),
    )


def test_the_best_route_is_told_hop_by_hop_and_is_the_one_that_is_taken(ledger: Ledger) -> None:
    market(ledger)

    told = ledger.quote("@alice", "USD", "5001", "GBP")

    assert (told["amount"], told["yields"]) == ("5001", "4002")
    assert [(hop["ad"], hop["takes"], hop["gives"]) for hop in told["hops"]] == [
        ("to-eur", "5001", "4600"),
        ("to-gbp", "4600", "4002"),
    ]
    ledger.send(
        {"type": "exchange.v1", "id": "sold", "source": "alice", "destination": "alice", "sell": "USD"}
        | {"amount": 5001, "buy": "GBP", "at_least": int(told["yields"])}
    )
    (shown,) = ledger.defter.json("show", "sold", "--ledger", ledger.name)
    assert shown["event"]["ads"] == [hop["ad"] for hop in told["hops"]]
    assert shown["event"]["postings"][-1]["amount"] == told["yields"]


def test_a_route_is_shown_in_whole_units_beside_minimal_parts(ledger: Ledger) -> None:
    market(ledger)

    shown = ledger.defter.ok("quote", "alice", "USD", "10000", "GBP", "--ledger", ledger.name).splitlines()

    assert " ".join(shown[0].split()) == "ad account rate takes unit in whole units gives unit in whole units"
    assert shown[1].split() == ["to-eur", "pool", "0.92", "10000", "USD", "100.00", "9200", "EUR", "92.00"]
    assert shown[-1].startswith(f"yields 8004 GBP (80.04) in {ledger.name}, as of sequence ")


def test_what_was_quoted_is_sold_by_what_the_hint_says(ledger: Ledger) -> None:
    market(ledger)

    shown = ledger.defter.on_a_terminal(
        "quote", "alice", "USD", "10000", "GBP", "--ledger", ledger.name, columns=1000
    ).splitlines()
    _, echo, sale, *to = shlex.split(shown[-1])
    sold, *_ = ledger.defter.json("send", stdin=sale.encode())

    assert [echo, *to] == ["echo", "|", "defter", "send"]
    assert sold["outcome"] == "accepted"
    assert json.loads(sale)["at_least"] == 8004


def test_where_there_is_no_route_the_answer_is_no(ledger: Ledger) -> None:
    market(ledger)

    told = ledger.quote("alice", "GBP", "1", "USD", code=1)
    none = ledger.defter.run("quote", "bob", "USD", "1", "GBP", "--ledger", ledger.name)

    assert told["reason"] == "INSUFFICIENT_FUNDS"
    assert (none.code, none.stdout) == (1, "")
    ledger.send(ledger.pay("bank", "bob", 100, "GBP", kind="deposit"))
    assert ledger.quote("bob", "GBP", "1", "USD", code=1)["reason"] == "NO_ROUTE"
    assert ledger.quote("nobody", "GBP", "1", "USD", code=1)["details"] == {"account": "nobody"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["USD", "1", "USD"], "two units"), (["USD", "1.5", "QAZ"], "'1.5' is no amount"), (["usd", "1", "QAZ"], "unit")],
)
def test_wrong_use_of_quote_is_named(ledger: Ledger, arguments: list[str], said: str) -> None:
    done = ledger.defter.run("quote", "alice", *arguments, "--ledger", ledger.name)

    assert done.code == 2
    assert said in done.stderr
