"""The digest of a state: one canonical text, that holds all that can change a later decision."""

from pathlib import Path
from typing import Final

import pytest

from domain.digest import digest, lines
from domain.ledger import apply
from domain.state import Ledger
from schemas.commands import (
    CloseAccount,
    Command,
    DefineAccountType,
    DefineBook,
    DefineTransferKind,
    Exchange,
    FreezeAccount,
    PostAd,
    UpdateAccount,
    WithdrawAd,
)
from schemas.values import Policy
from tests.domain.given import (
    ALICE,
    BOB,
    CAROL,
    CASH,
    QAZ,
    USD,
    Story,
    capture,
    deposit,
    envelope,
    given,
    hold,
    movement,
    opened,
    reverse,
    transfer,
)

GOLDEN: Final = (Path(__file__).parent / "golden_state.jsonl").read_bytes()


def full_of_everything() -> Story:
    """Make a ledger that has some of everything."""
    story = given(
        DefineAccountType(
            id="type", account_type="shop", policies=(Policy.NO_OVERDRAFT, Policy.SYSTEM), singleton=True
        ),
        DefineTransferKind(id="kind", kind="sale", source_types=("user",), destination_types=("shop", "user")),
        DefineBook(id="book", book="till", name="the till", units=(USD, QAZ), flags=("B", "A"), accounts=(CASH, ALICE)),
        opened("desk", "shop", flags=("Z", "A"), book="till", alias="@desk"),
        deposit(ALICE, 1000),
        deposit(ALICE, 500, USD, id="usd-in"),
        hold(movement(ALICE, BOB, 30), movement(ALICE, CAROL, 20), expires_at="2026-12-01T00:00:00.000Z"),
        capture(movement(ALICE, CAROL, 20)),
        PostAd(id="ad", ad="one", account=BOB, base=USD, quote=QAZ, rate="0.5", limit=100),
        PostAd(id="ad-2", ad="two", account=BOB, base=USD, quote=QAZ, rate="0.5"),
        WithdrawAd(id="unad", ad="two"),
        transfer(ALICE, BOB, 50),
        Exchange(id="x", source=ALICE, destination=ALICE, sell=USD, amount=20, buy=QAZ, at_least=1),
        deposit(CAROL, 7, id="carols"),
        FreezeAccount(id="freeze", account="@desk"),
    )
    story.ask(envelope([], (CASH, -5), (BOB, 5)))
    story.ask(reverse(id="back", transfer="e"))
    story.ask(CloseAccount(id="close", account="@desk"))
    return story


def test_the_canonical_text_is_for_ever() -> None:
    story = full_of_everything()

    text = b"".join(lines(story.ledger))

    assert text == GOLDEN
    assert digest(story.ledger) == "9d0fe55420bb6b5335bfe919781f71508a17d5562fdd39927883dc749269128a"


def test_events_alone_give_the_same_state() -> None:
    story = full_of_everything()
    again = Ledger("main")

    for event in story.events:
        apply(again, event)

    assert list(lines(again)) == list(lines(story.ledger))
    assert again == story.ledger


@pytest.mark.parametrize(
    "command",
    [
        UpdateAccount(id="u", account=ALICE, alias="@a"),
        UpdateAccount(id="u", account="desk-2", flags=("A", "Z")),
        DefineBook(id="b", book="till", units=(USD, QAZ), flags=("B", "A"), accounts=(CASH,)),
        transfer(ALICE, BOB, 1, id="u"),
        hold(movement(ALICE, BOB, 1), id="u"),
        WithdrawAd(id="u", ad="one"),
        transfer(ALICE, BOB, 10_000, id="u"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_whatever_can_change_a_later_decision_changes_the_digest(command: Command) -> None:
    story = full_of_everything()
    story.ask(opened("desk-2", flags=("Z", "A")))
    before = digest(story.ledger)

    story.ask(command)

    assert digest(story.ledger) != before


def test_what_no_decision_looks_at_does_not_change_the_digest() -> None:
    one, other = (
        given(DefineBook(id="b", book="till", name=name, units=units))
        for name, units in ((None, (USD, QAZ)), ("the till", (QAZ, USD)))
    )

    assert digest(one.ledger) == digest(other.ledger)
