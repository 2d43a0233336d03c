"""Envelopes and the states of postings, told."""

from hypothesis import given as whatever
from hypothesis import strategies as st

from domain.clearing import Clearing, PostingState, clearing
from domain.state import Totals
from schemas.events import TransferPosted
from schemas.reasons import Reason
from tests.domain.given import ALICE, BOB, CAROL, CREDIT, deposit, envelope, given, hold, movement, transfer


def test_of_two_envelopes_over_one_posting_the_first_wins() -> None:
    story = given(deposit(ALICE, 100))
    posting = story.posting("deposit-alice", 1)

    story.ask(envelope([posting], (BOB, 60), (ALICE, 40)))

    assert story.balance(BOB) == 60
    assert story.refusal(envelope([posting], (CAROL, 100), id="late")) == (
        Reason.POSTING_ALREADY_CONSUMED,
        {"posting": posting},
    )


def test_only_the_next_posting_in_line_can_be_consumed_and_only_whole() -> None:
    story = given(deposit(ALICE, 10), deposit(ALICE, 20, id="second"))
    first, second = story.posting("deposit-alice", 1), story.posting("second", 1)

    assert story.refusal(envelope([second], (BOB, 20)))[0] is Reason.POSTING_NOT_NEXT
    assert isinstance(story.decide(envelope([second, first], (BOB, 30))), TransferPosted)
    story.ask(transfer(ALICE, BOB, 1))
    assert story.refusal(envelope([first], (BOB, 10)))[0] is Reason.POSTING_NOT_NEXT


def test_what_is_held_stands_before_what_is_consumed() -> None:
    story = given(deposit(ALICE, 10), hold(movement(ALICE, BOB, 1)))

    reason, _ = story.refusal(envelope([story.posting("deposit-alice", 1)], (BOB, 10)))

    assert reason is Reason.POSTING_NOT_NEXT


def test_an_envelope_creates_as_much_as_it_consumes() -> None:
    story = given(deposit(ALICE, 10))

    reason, details = story.refusal(envelope([story.posting("deposit-alice", 1)], (BOB, 11)))

    assert (reason, details["consumed"], details["created"]) == (Reason.CONSERVATION_VIOLATION, "10", "11")


def test_who_may_not_owe_gets_no_negative_posting() -> None:
    story = given(deposit(ALICE, 10))

    assert story.refusal(envelope([], (ALICE, -1), (BOB, 1)))[0] is Reason.NEGATIVE_POSTING
    assert isinstance(story.decide(envelope([], (CREDIT, -1), (BOB, 1))), TransferPosted)


def test_a_posting_is_consumed_reserved_and_open_part_by_part() -> None:
    totals = Totals(debits=30, credits=100, held=50)

    assert clearing(100, debits=0, credits_=100, totals=totals) == Clearing(consumed=30, reserved=50, open=20)
    assert clearing(20, 0, 20, totals).state is PostingState.INACTIVE
    assert clearing(60, 0, 80, totals).state is PostingState.PENDING
    assert clearing(61, 0, 81, totals).state is PostingState.ACTIVE


def test_what_an_account_owes_is_consumed_by_what_comes_in() -> None:
    totals = Totals(debits=80, credits=40)

    assert clearing(-30, 30, 0, totals) == Clearing(consumed=30, reserved=0, open=0)
    assert clearing(-50, 80, 0, totals) == Clearing(consumed=10, reserved=0, open=40)


@whatever(
    amounts=st.lists(st.integers(-50, 50).filter(bool), max_size=12),
    held=st.integers(0, 100),
)
def test_states_add_up_to_the_balance_and_to_what_is_available(amounts: list[int], held: int) -> None:
    totals = Totals(held=held)
    running = []
    for amount in amounts:
        totals.debits -= min(amount, 0)
        totals.credits += max(amount, 0)
        running.append((amount, totals.debits, totals.credits))

    parts = [(amount, clearing(amount, debits, credits_, totals)) for amount, debits, credits_ in running]

    signed = [(1 if amount > 0 else -1, part) for amount, part in parts]
    assert sum(sign * (part.reserved + part.open) for sign, part in signed) == totals.balance
    assert totals.available < 0 or sum(sign * part.open for sign, part in signed) == totals.available
    assert all(sum(part) == abs(amount) and min(part) >= 0 for amount, part in parts)
