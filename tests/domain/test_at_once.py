"""The commonest transfer is asked all questions together.

That must never say anything but what the questions say one by one.
"""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.state import Ledger
from domain.transfers import _at_once, _one_by_one
from schemas.codec import decode_command
from schemas.commands import Transfer
from schemas.events import TransferPosted
from schemas.values import LARGEST
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
    ledger = opened(default=default)
    movement = f'{{"source":"{source}","destination":"{destination}","unit":"{unit}","amount":{amount}}}'
    command = said(f'"kind":"{kind}","movements":[{movement}]')

    postings = _at_once(ledger, command)
    event = _one_by_one(ledger, command, AT)

    assert postings is None or (isinstance(event, TransferPosted) and event.postings == postings)


def test_every_transfer_of_this_opening_came_about() -> None:
    ledger = opened(default=False)

    assert {(name, unit) for unit, places in ledger.places.items() for name in places} >= {*PLACES}


def test_a_plain_payment_is_asked_at_once() -> None:
    command = said('"movements":[{"source":"alice","destination":"bob","unit":"QAZ","amount":100}]')

    assert _at_once(opened(default=False), command)


def said(fields: str) -> Transfer:
    command, _ = decode_command(f'{{"type":"transfer.v1","id":"t",{fields}}}'.encode(), None)
    assert isinstance(command, Transfer)
    return command


def opened(*, default: bool) -> Ledger:
    ledger = Ledger("main")
    for line in (OPENING + (DEFAULT if default else "")).strip().splitlines():
        command, _ = decode_command(line.encode(), None)
        come_of(ledger, command, AT)
    return ledger
