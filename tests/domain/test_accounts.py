"""Accounts, registries and books, told."""

from schemas.commands import (
    CloseAccount,
    DefineAccountType,
    DefineBook,
    DefineTransferKind,
    FreezeAccount,
    OpenAccount,
    UnfreezeAccount,
    UpdateAccount,
)
from schemas.events import AccountChanged, AccountClosed, AccountOpened, AccountUpdated
from schemas.reasons import Reason
from schemas.values import Policy
from tests.domain.given import ALICE, BOB, CAROL, CASH, CREDIT, MINT, USD, deposit, given, moved, opened, transfer


def test_an_account_opens_at_version_1_with_the_first_policy_of_its_type() -> None:
    event = given().decide(OpenAccount(id="o", account="till", account_type="system", flags=("B", "A"), alias="@till"))

    assert isinstance(event, AccountOpened)
    assert (event.policy, event.flags, event.alias, event.state, event.version) == (
        Policy.SYSTEM,
        ("B", "A"),
        "@till",
        None,
        1,
    )


def test_each_change_is_a_version_that_says_all_of_the_account() -> None:
    story = given(opened("dora", flags=("A",), alias="@dora"))

    events = [
        story.ask(UpdateAccount(id="u", account="@dora", flags=("B",))),
        story.ask(FreezeAccount(id="f", account="dora", expected_version=2)),
        story.ask(UpdateAccount(id="u2", account="dora", alias=None)),
        story.ask(UnfreezeAccount(id="g", account="dora")),
        story.ask(CloseAccount(id="c", account="dora")),
    ]

    told = [(each.version, each.flags, each.alias, each.state) for each in events if isinstance(each, AccountChanged)]
    assert told == [
        (2, ("B",), "@dora", None),
        (3, ("B",), "@dora", "frozen"),
        (4, ("B",), None, "frozen"),
        (5, ("B",), None, None),
        (6, ("B",), None, "closed"),
    ]


def test_a_transfer_is_no_version() -> None:
    story = given(deposit(ALICE, 100), transfer(ALICE, BOB, 1))

    assert story.refusal(FreezeAccount(id="f", account=ALICE, expected_version=2))[1]["actual"] == "1"


def test_a_policy_that_has_no_floor_clears_it() -> None:
    story = given()

    event = story.ask(UpdateAccount(id="u", account=CREDIT, policy=Policy.UNCAPPED_OVERDRAFT))

    assert isinstance(event, AccountUpdated)
    assert event.floor is None
    assert story.refusal(UpdateAccount(id="v", account=CREDIT, policy=Policy.CAPPED_OVERDRAFT)) == (
        Reason.INVALID_FLOOR,
        {"policy": "capped_overdraft"},
    )


def test_a_floor_must_fit_what_is_there() -> None:
    story = given(transfer(CREDIT, BOB, 80, USD))

    assert story.refusal(UpdateAccount(id="u", account=CREDIT, floor=-79))[1]["unit"] == USD
    assert isinstance(story.decide(UpdateAccount(id="u", account=CREDIT, floor=-80)), AccountUpdated)


def test_closing_wants_nothing_left_and_is_for_good() -> None:
    story = given(deposit(ALICE, 100))

    assert story.refusal(CloseAccount(id="c", account=ALICE))[0] is Reason.ACCOUNT_NOT_EMPTY
    story.ask(transfer(ALICE, BOB, 100))
    assert isinstance(story.ask(CloseAccount(id="c", account=ALICE)), AccountClosed)
    assert story.refusal(transfer(BOB, ALICE, 1, id="t2"))[0] is Reason.ACCOUNT_CLOSED
    assert story.refusal(opened(ALICE))[0] is Reason.ACCOUNT_EXISTS


def test_there_is_one_open_issuer() -> None:
    story = given()

    assert story.refusal(opened("mint-2", "issuer")) == (
        Reason.SINGLETON_EXISTS,
        {"account_type": "issuer", "account": MINT},
    )
    story.ask(CloseAccount(id="c", account=MINT))
    assert isinstance(story.decide(opened("mint-2", "issuer")), AccountOpened)


def test_a_type_and_a_kind_of_ones_own_rule_who_may_pay_whom() -> None:
    story = given(
        deposit(ALICE, 100),
        DefineAccountType(id="t", account_type="shop", policies=(Policy.NO_OVERDRAFT,)),
        DefineTransferKind(id="k", kind="sale", source_types=("user",), destination_types=("shop",)),
        opened("grocer", "shop"),
    )

    assert moved(story.decide(transfer(ALICE, "grocer", 5, kind="sale")))
    assert story.refusal(transfer(ALICE, BOB, 5, kind="sale"))[1] == {"account": BOB, "account_type": "user"}


def test_each_account_is_judged_by_its_own_book_unless_one_is_named() -> None:
    story = given(
        deposit(ALICE, 100),
        DefineBook(id="b1", book="members", accounts=(ALICE,)),
        DefineBook(id="b2", book="default", accounts=(BOB, CASH)),
        UpdateAccount(id="u", account=ALICE, book="members"),
    )

    assert moved(story.decide(transfer(ALICE, BOB, 1)))
    assert story.refusal(transfer(ALICE, CAROL, 1))[1] == {"book": "default", "account": CAROL}
    assert story.refusal(transfer(ALICE, BOB, 1, book="members"))[1] == {"book": "members", "account": BOB}
