"""Holds, told."""

from schemas.commands import CloseAccount, FreezeAccount, Tick
from schemas.events import HeldMovement, HoldExpired, HoldPlaced, HoldReleased, TransferPosted
from schemas.reasons import Reason
from tests.domain.given import (
    ALICE,
    AT,
    BOB,
    CAROL,
    LATER,
    QAZ,
    capture,
    deposit,
    given,
    hold,
    moved,
    movement,
    release,
    transfer,
)


def test_a_hold_takes_from_what_is_available_and_not_from_the_balance() -> None:
    story = given(deposit(ALICE, 100), hold(movement(ALICE, BOB, 60)))

    assert (story.balance(ALICE), story.available(ALICE)) == (100, 40)
    assert story.refusal(transfer(ALICE, BOB, 41))[0] is Reason.INSUFFICIENT_FUNDS


def test_a_hold_reserves_gross() -> None:
    story = given(deposit(ALICE, 100))

    reason, details = story.refusal(hold(movement(BOB, ALICE, 50), movement(ALICE, BOB, 50)))

    assert (reason, details["account"], details["requested"]) == (Reason.INSUFFICIENT_FUNDS, BOB, "50")


def test_a_hold_is_captured_in_parts_and_ends_with_the_last() -> None:
    story = given(deposit(ALICE, 100), hold(movement(ALICE, BOB, 60)))

    part = story.ask(capture(movement(ALICE, BOB, 20)))
    rest = story.ask(capture(id="c2"))

    assert (moved(part), moved(rest)) == ([(ALICE, BOB, 20, QAZ)], [(ALICE, BOB, 40, QAZ)])
    assert story.refusal(capture(id="c3")) == (Reason.HOLD_NOT_OPEN, {"hold": "h"})
    assert story.available(ALICE) == 40


def test_a_final_capture_releases_the_rest_and_says_that_it_was_final() -> None:
    story = given(deposit(ALICE, 100), hold(movement(ALICE, BOB, 60)))

    event = story.ask(capture(movement(ALICE, BOB, 20), final=True))

    assert isinstance(event, TransferPosted)
    assert (event.kind, event.hold, event.final) == ("capture", "h", True)
    assert story.available(ALICE) == 80


def test_a_release_gives_back_what_remains_whoever_is_frozen() -> None:
    story = given(deposit(ALICE, 100), hold(movement(ALICE, BOB, 60)), capture(movement(ALICE, BOB, 20)))
    story.ask(FreezeAccount(id="f", account=ALICE))

    event = story.ask(release())

    assert isinstance(event, HoldReleased)
    assert event.movements == (HeldMovement(ALICE, BOB, QAZ, "40"),)
    assert story.available(ALICE) == 80


def test_a_hold_expires_before_whatever_is_decided_next_even_if_that_is_refused() -> None:
    story = given(deposit(ALICE, 100), hold(movement(ALICE, BOB, 60), expires_at=LATER))

    story.ask(transfer(ALICE, CAROL, 1000), LATER)

    expired, refused = story.events[-2:]
    assert isinstance(expired, HoldExpired)
    assert (expired.at, expired.command, expired.movements) == (LATER, None, (HeldMovement(ALICE, BOB, QAZ, "60"),))
    assert refused.sequence == expired.sequence + 1
    assert story.available(ALICE) == 100


def test_a_hold_stands_until_its_very_moment() -> None:
    story = given(deposit(ALICE, 100), hold(movement(ALICE, BOB, 60), expires_at=LATER))
    moment_before = LATER.replace("30:00.000", "29:59.999")

    story.ask(Tick(id="tick"), moment_before)

    assert story.available(ALICE) == 40


def test_a_tick_that_finds_nothing_due_leaves_no_trace() -> None:
    story = given(deposit(ALICE, 100), hold(movement(ALICE, BOB, 60), expires_at=LATER))
    before = story.ledger.sequence, story.ledger.at

    story.ask(Tick(id="tick"), AT)

    assert (story.ledger.sequence, story.ledger.at) == before


def test_neither_side_of_an_open_hold_can_be_closed() -> None:
    story = given(deposit(ALICE, 100), hold(movement(ALICE, BOB, 60)))

    assert story.refusal(CloseAccount(id="x", account=BOB)) == (
        Reason.ACCOUNT_NOT_EMPTY,
        {"account": BOB, "hold": "h"},
    )


class OfAnother(str):
    """The id of a hold that has nothing to do with it."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        raise AssertionError(f"{self} was put in order")


def test_the_least_of_its_own_holds_keeps_an_account_open_and_all_others_are_not_put_in_order() -> None:
    theirs = [hold(movement(ALICE, CAROL, 1), id=name) for name in ("d", "a", "f")]
    own = [hold(movement(ALICE, BOB, 1), id=name) for name in ("e", "b", "c")]
    story = given(deposit(ALICE, 100), *theirs, *own)
    for each in theirs:
        story.ledger.holds[each.id].id = OfAnother(each.id)

    assert story.refusal(CloseAccount(id="x", account=BOB)) == (
        Reason.ACCOUNT_NOT_EMPTY,
        {"account": BOB, "hold": "b"},
    )


def test_a_hold_says_what_it_holds() -> None:
    event = given(deposit(ALICE, 100)).decide(hold(movement(ALICE, BOB, 60), expires_at=LATER))

    assert isinstance(event, HoldPlaced)
    assert (event.movements, event.kind, event.expires_at) == (
        (HeldMovement(ALICE, BOB, QAZ, "60"),),
        "transfer",
        LATER,
    )
