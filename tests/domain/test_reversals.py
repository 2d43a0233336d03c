"""Reversals, told."""

from schemas.commands import UpdateAccount
from schemas.events import TransferPosted
from schemas.reasons import Reason
from tests.domain.given import (
    ALICE,
    BOB,
    CAROL,
    CASH,
    QAZ,
    VAULT,
    capture,
    deposit,
    envelope,
    given,
    hold,
    moved,
    movement,
    opened,
    reverse,
    transfer,
    transfers,
)


def test_what_was_moved_is_moved_back_once() -> None:
    story = given(deposit(ALICE, 100), transfer(ALICE, BOB, 60))

    event = story.ask(reverse())

    assert isinstance(event, TransferPosted)
    assert (event.kind, event.reverses) == ("reversal", story.event("t").sequence)
    assert moved(event) == [(BOB, ALICE, 60, QAZ)]
    assert story.refusal(reverse(id="again")) == (Reason.ALREADY_REVERSED, {"transfer": "t", "remaining": "0"})


def test_the_fee_comes_back_too() -> None:
    story = given(deposit(ALICE, 100), opened(VAULT, "treasury"), transfer(ALICE, BOB, 60, fee=5))

    event = story.decide(reverse())

    assert moved(event) == [(BOB, ALICE, 60, QAZ), (VAULT, ALICE, 5, QAZ)]


def test_parts_add_up_to_no_more_than_was_moved() -> None:
    story = given(deposit(ALICE, 100), transfers(movement(ALICE, BOB, 30), movement(ALICE, BOB, 20)))
    story.ask(reverse(movement(ALICE, BOB, 35)))

    reason, details = story.refusal(reverse(movement(ALICE, BOB, 10), movement(ALICE, BOB, 6), id="more"))

    assert reason is Reason.AMOUNT_EXCEEDS_REMAINING
    assert (details["remaining"], details["requested"]) == ("15", "16")
    assert moved(story.decide(reverse(id="rest"))) == [(BOB, ALICE, 15, QAZ)]


def test_what_was_never_moved_is_named_by_account_even_where_an_alias_was_said() -> None:
    story = given(
        deposit(ALICE, 100),
        UpdateAccount(id="u", account=ALICE, alias="@a"),
        UpdateAccount(id="v", account=BOB, alias="@b"),
        transfer(ALICE, BOB, 60),
        hold(movement(ALICE, BOB, 5)),
    )
    elsewhere = movement("@b", "@nobody", 1)

    for command in (reverse(elsewhere), capture(elsewhere)):
        assert story.refusal(command) == (
            Reason.MOVEMENT_NOT_FOUND,
            {"source": BOB, "destination": "@nobody", "unit": QAZ},
        )


def test_a_payee_who_has_spent_it_cannot_give_it_back() -> None:
    story = given(deposit(ALICE, 100), transfer(ALICE, BOB, 60), transfer(BOB, CAROL, 60, id="t2"))

    assert story.refusal(reverse())[1]["account"] == BOB


def test_a_reversal_can_be_reversed_and_restores_nothing() -> None:
    story = given(deposit(ALICE, 100), transfer(ALICE, BOB, 60))
    story.ask(reverse())

    event = story.ask(reverse(id="forth", transfer="b"))

    assert moved(event) == [(ALICE, BOB, 60, QAZ)]
    assert story.refusal(reverse(id="again"))[0] is Reason.ALREADY_REVERSED


def test_an_envelope_is_reversed_whole_posting_by_posting() -> None:
    story = given(deposit(ALICE, 100))
    story.ask(envelope([story.posting("deposit-alice", 1)], (BOB, 40), (CAROL, 60)))

    event = story.ask(reverse(transfer="e"))

    assert isinstance(event, TransferPosted)
    assert [(posting.account, posting.amount) for posting in event.postings] == [
        (ALICE, "100"),
        (BOB, "-40"),
        (CAROL, "-60"),
    ]
    assert story.refusal(reverse(movement(BOB, ALICE, 1), id="x", transfer="e"))[0] is Reason.MOVEMENT_NOT_FOUND
    assert story.refusal(reverse(id="y", transfer="e"))[0] is Reason.ALREADY_REVERSED


def test_no_kind_stands_in_the_way_back() -> None:
    story = given(deposit(ALICE, 100))

    event = story.decide(reverse(transfer="deposit-alice"))

    assert moved(event) == [(ALICE, CASH, 100, QAZ)]
