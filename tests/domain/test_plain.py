"""The commonest transfer is asked all questions together.

That must never say anything but what the questions say one by one.
"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain import plain
from domain.state import Ledger
from domain.transfers import _one_by_one
from schemas.codec import decode_command
from schemas.commands import Transfer
from schemas.events import TransferPosted
from schemas.values import LARGEST, Movement
from tests.domain.given import come_of

AT = "2026-11-21T09:30:00.000Z"
AMOUNTS = st.sampled_from([1, 99, 100, 101, 1000, LARGEST - 1, LARGEST])
ACCOUNTS = st.sampled_from(["alice", "bob", "cold", "gone", "home", "credit", "cash", "mint", "vault", "nobody", "@al"])
PLACES = [("bob", "QAZ"), ("cold", "QAZ"), ("gone", "QAZ"), ("home", "QAZ"), ("home", "USD"), ("credit", "QAZ")]
THERE, BACK = (
    ",".join(f'{{"{to}":"{name}","{of}":"cash","unit":"{unit}","amount":1}}' for name, unit in PLACES)
    for to, of in (("destination", "source"), ("source", "destination"))
)
"""So that all but a few have been where they are paid to: who never was is not paid at once."""
OPENING = (
    '{"type":"open-ledger.v1","id":"1"}\n'
    '{"type":"define-unit.v1","id":"2","unit":"USD","scale":2}\n'
    '{"type":"define-book.v1","id":"3","book":"dollars","units":["USD"]}\n'
    '{"type":"open-account.v1","id":"4","account":"alice","alias":"@al"}\n'
    '{"type":"open-account.v1","id":"5","account":"bob"}\n'
    '{"type":"open-account.v1","id":"6","account":"cold"}\n'
    '{"type":"open-account.v1","id":"7","account":"gone"}\n'
    '{"type":"open-account.v1","id":"8","account":"home","book":"dollars"}\n'
    '{"type":"open-account.v1","id":"9","account":"credit","account_type":"credit","floor":-100}\n'
    '{"type":"open-account.v1","id":"10","account":"cash","account_type":"external"}\n'
    '{"type":"open-account.v1","id":"11","account":"mint","account_type":"issuer"}\n'
    '{"type":"open-account.v1","id":"12","account":"vault","account_type":"treasury"}\n'
    '{"type":"define-book.v1","id":"20","book":"all"}\n'
    f'{{"type":"transfer.v1","id":"21","kind":"deposit","book":"all","movements":[{THERE}]}}\n'
    f'{{"type":"transfer.v1","id":"22","kind":"withdrawal","book":"all","movements":[{BACK}]}}\n'
    '{"type":"freeze-account.v1","id":"13","account":"cold"}\n'
    '{"type":"close-account.v1","id":"14","account":"gone"}\n'
    '{"type":"transfer.v1","id":"15","kind":"deposit",'
    '"movements":[{"source":"cash","destination":"alice","unit":"QAZ","amount":1000}]}\n'
    '{"type":"transfer.v1","id":"16","kind":"deposit",'
    '"movements":[{"source":"cash","destination":"bob","unit":"USD","amount":100}]}\n'
    '{"type":"place-hold.v1","id":"17",'
    '"movements":[{"source":"alice","destination":"bob","unit":"QAZ","amount":900}]}\n'
    '{"type":"transfer.v1","id":"18","kind":"mint",'
    '"movements":[{"source":"mint","destination":"vault","unit":"QAZ","amount":9223372036854775806}]}\n'
)
DEFAULT = '{"type":"define-book.v1","id":"19","book":"default","accounts":["alice","cash"]}'


@settings(max_examples=300)
@given(
    ACCOUNTS,
    ACCOUNTS,
    st.sampled_from(["QAZ", "USD", "GOLD"]),
    AMOUNTS,
    st.sampled_from(["transfer", "deposit", "withdrawal", "mint", "burn", "disbursement", "capture", "salary"]),
    st.booleans(),
)
@example("alice", "bob", "QAZ", 100, "transfer", False)
@example("alice", "bob", "QAZ", 101, "transfer", False)
@example("credit", "bob", "QAZ", 100, "transfer", False)
@example("cash", "vault", "QAZ", 1, "deposit", False)
@example("cash", "vault", "QAZ", 100, "deposit", False)
@example("alice", "bob", "QAZ", 1, "transfer", True)
@example("alice", "alice", "QAZ", 1, "transfer", False)
@example("alice", "cold", "QAZ", 1, "transfer", False)
@example("cold", "alice", "QAZ", 1, "transfer", False)
@example("alice", "home", "QAZ", 1, "transfer", False)
@example("cash", "home", "USD", 1, "deposit", False)
@example("alice", "bob", "QAZ", 1, "transfer", True)
@example("cash", "alice", "QAZ", 1, "deposit", True)
@example("alice", "mint", "QAZ", 1, "transfer", False)
@example("alice", "bob", "QAZ", 1, "capture", False)
@example("cash", "alice", "QAZ", LARGEST, "deposit", False)
def test_what_is_asked_at_once_is_what_is_asked_one_by_one(
    source: str, destination: str, unit: str, amount: int, kind: str, default: bool
) -> None:
    assert_same(opened(default=default), transfer(source, destination, unit, kind, amount))


CHANGES = (
    '{"type":"define-book.v1","id":"c","book":"default","accounts":["alice","cash"]}',
    '{"type":"define-book.v1","id":"c","book":"default","units":["USD"]}',
    '{"type":"define-book.v1","id":"c","book":"default","flags":["VIP"]}',
    '{"type":"define-book.v1","id":"c","book":"default"}',
    '{"type":"define-book.v1","id":"c","book":"dollars","units":["QAZ","USD"]}',
    '{"type":"define-book.v1","id":"c","book":"dollars","units":["USD"]}',
    '{"type":"update-account.v1","id":"c","account":"bob","flags":["VIP"]}',
    '{"type":"update-account.v1","id":"c","account":"bob","book":"dollars"}',
    '{"type":"update-account.v1","id":"c","account":"bob","flags":[],"book":null}',
    '{"type":"update-account.v1","id":"c","account":"alice","book":"dollars"}',
    '{"type":"freeze-account.v1","id":"c","account":"bob"}',
    '{"type":"unfreeze-account.v1","id":"c","account":"bob"}',
)
KNOWN = st.sampled_from(["alice", "bob", "home", "cash", "credit"])


@given(
    st.lists(
        st.sampled_from(CHANGES)
        | st.tuples(KNOWN, KNOWN, st.sampled_from(["QAZ", "USD"]), st.sampled_from(["transfer", "deposit"])),
        max_size=30,
    )
)
@example([("cash", "bob", "QAZ", "deposit"), CHANGES[0], ("cash", "bob", "QAZ", "deposit")])
@example([("cash", "bob", "QAZ", "deposit"), ("cash", "home", "QAZ", "deposit")])
@example([("alice", "bob", "QAZ", "transfer"), CHANGES[9], ("alice", "bob", "QAZ", "transfer")])
@example([("cash", "home", "USD", "deposit"), ("cash", "home", "QAZ", "deposit")])
@example([("cash", "bob", "QAZ", "deposit"), ("cash", "bob", "QAZ", "transfer")])
@example([CHANGES[0], ("cash", "alice", "QAZ", "deposit"), ("cash", "bob", "QAZ", "deposit")])
@example([("cash", "bob", "QAZ", "deposit"), CHANGES[10], ("cash", "bob", "QAZ", "deposit")])
def test_what_is_remembered_of_books_and_kinds_is_never_out_of_date(
    steps: list[str | tuple[str, str, str, str]],
) -> None:
    ledger = opened(default=False)
    for step in steps:
        if isinstance(step, str):
            changed, _ = decode_command(step.encode(), None)
            come_of(ledger, changed, AT)
        else:
            assert_same(ledger, transfer(*step, 1))


def test_only_so_many_terms_are_remembered_and_the_answers_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_MOST_REMEMBERED", 1)
    ledger = opened(default=False)

    for _ in range(2):
        for destination in ("bob", "credit", "home"):
            assert_same(ledger, transfer("cash", destination, "QAZ", "deposit", 1))

    remembered = ledger.admitted["deposit", "QAZ"]
    assert (len(remembered.sources), len(remembered.destinations)) == (1, 1)


def test_every_transfer_of_this_opening_came_about() -> None:
    ledger = opened(default=False)

    assert {(name, unit) for unit, places in ledger.places.items() for name in places} >= {*PLACES}


def test_a_plain_payment_is_asked_at_once() -> None:
    assert plain.postings(opened(default=False), transfer("alice", "bob", "QAZ", "transfer", 100))


def assert_same(ledger: Ledger, command: Transfer) -> None:
    """Nothing is said at once, or what is said one by one."""
    postings = plain.postings(ledger, command)
    event = _one_by_one(ledger, command, AT)

    assert postings is None or (isinstance(event, TransferPosted) and event.postings == postings)


def transfer(source: str, destination: str, unit: str, kind: str, amount: int) -> Transfer:
    movement = Movement(source, destination, unit, amount)
    return Transfer(id="t", kind=kind, movements=(movement,))


def opened(*, default: bool) -> Ledger:
    ledger = Ledger("main")
    for line in (OPENING + (DEFAULT if default else "")).strip().splitlines():
        command, _ = decode_command(line.encode(), None)
        come_of(ledger, command, AT)
    return ledger
