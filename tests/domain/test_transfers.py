"""Transfers, told. The scenarios have the breadth; here is what one should know first."""

from schemas.commands import DefineBook
from schemas.events import Posting, TransferPosted
from schemas.reasons import Reason
from schemas.values import LARGEST, BalancePin, Expect
from tests.domain.given import (
    ALICE,
    AT,
    BOB,
    CAROL,
    CASH,
    CREDIT,
    MINT,
    QAZ,
    USD,
    VAULT,
    deposit,
    given,
    moved,
    movement,
    opened,
    transfer,
    transfers,
)


def test_a_transfer_says_all_that_happened() -> None:
    story = given(deposit(ALICE, 100))

    event = story.decide(transfer(ALICE, BOB, 60, metadata={"b": "2", "a": "1"}))

    assert event == TransferPosted(
        ledger="main",
        sequence=story.ledger.sequence + 1,
        at=AT,
        command="t",
        metadata={"a": "1", "b": "2"},
        kind="transfer",
        postings=(Posting(ALICE, QAZ, "-60", "60", "100"), Posting(BOB, QAZ, "60", "0", "60")),
    )


def test_the_last_cent_can_be_spent_but_not_one_more() -> None:
    story = given(deposit(ALICE, 100))

    assert moved(story.decide(transfer(ALICE, BOB, 100))) == [(ALICE, BOB, 100, QAZ)]
    assert story.refusal(transfer(ALICE, BOB, 101)) == (
        Reason.INSUFFICIENT_FUNDS,
        {"account": ALICE, "unit": QAZ, "available": "100", "requested": "101"},
    )


def test_a_decision_changes_nothing() -> None:
    story = given(deposit(ALICE, 100))

    story.decide(transfer(ALICE, BOB, 60))

    assert story.balance(ALICE) == 100


def test_value_may_pass_through_an_account_in_any_order() -> None:
    story = given(deposit(ALICE, 100))

    story.ask(transfers(movement(BOB, CAROL, 50), movement(ALICE, BOB, 50)))

    assert (story.balance(ALICE), story.balance(BOB), story.balance(CAROL)) == (50, 0, 50)


def test_an_account_may_owe_as_much_as_its_floor_says_in_each_unit_by_itself() -> None:
    story = given()

    story.ask(transfer(CREDIT, BOB, 100))
    story.ask(transfer(CREDIT, BOB, 100, USD, id="t2"))

    reason, details = story.refusal(transfer(CREDIT, BOB, 1))
    assert reason is Reason.OVERDRAFT_EXCEEDED
    assert details["projected"] == "-101"


def test_those_who_may_not_owe_are_named_before_those_who_may() -> None:
    story = given()

    reason, details = story.refusal(transfers(movement(CREDIT, BOB, 101), movement(ALICE, BOB, 1)))

    assert (reason, details["account"]) == (Reason.INSUFFICIENT_FUNDS, ALICE)


def test_a_fee_comes_last_and_from_whoever_pays_first() -> None:
    story = given(deposit(ALICE, 100), deposit(BOB, 100), opened(VAULT, "treasury"))

    event = story.decide(transfers(movement(ALICE, BOB, 10), movement(BOB, ALICE, 20), fee=3))

    assert moved(event)[-1] == (ALICE, VAULT, 3, QAZ)
    assert isinstance(event, TransferPosted)
    assert event.fee == "3"


def test_a_transfer_can_be_tied_to_what_its_caller_saw() -> None:
    story = given(deposit(ALICE, 100))
    pin = BalancePin(account=ALICE, unit=QAZ, at_least=100, at_most=100)
    tied = transfer(ALICE, BOB, 1, expect=Expect(versions={BOB: 1}, balances=(pin,)))

    assert moved(story.decide(tied))
    story.ask(transfer(ALICE, BOB, 1, id="another"))
    assert story.refusal(tied)[0] is Reason.EXPECTATION_FAILED


def test_nothing_wraps_at_the_end_of_the_number_range() -> None:
    story = given(transfer(MINT, ALICE, LARGEST, id="m", kind="mint"))

    assert story.refusal(deposit(ALICE, 1)) == (Reason.OVERFLOW, {"account": ALICE, "unit": QAZ})
    assert moved(story.decide(transfer(ALICE, BOB, LARGEST))) == [(ALICE, BOB, LARGEST, QAZ)]


def test_a_transfer_of_a_thousand_movements_is_one_event() -> None:
    story = given(deposit(ALICE, 1000))

    event = story.decide(transfers(*[movement(ALICE, BOB, 1)] * 1000))

    assert isinstance(event, TransferPosted)
    assert len(event.postings) == 2000
    assert event.postings[-2:] == (Posting(ALICE, QAZ, "-1", "1000", "1000"), Posting(BOB, QAZ, "1", "0", "1000"))


def test_a_named_book_is_noted_with_the_version_that_judged() -> None:
    story = given(deposit(ALICE, 100), DefineBook(id="b1", book="shop"), DefineBook(id="b2", book="shop"))

    event = story.decide(transfer(ALICE, BOB, 1, book="shop"))

    assert isinstance(event, TransferPosted)
    assert (event.book, event.book_version) == ("shop", 2)


def test_the_world_outside_may_owe_without_end() -> None:
    story = given(deposit(ALICE, LARGEST))

    assert story.balance(CASH) == -LARGEST
    assert story.refusal(deposit(BOB, 1))[0] is Reason.OVERFLOW
