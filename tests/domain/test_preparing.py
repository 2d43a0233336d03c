"""A transfer prepared and then committed does what the transfer would have done, or the rules say why it cannot."""

import json
from copy import deepcopy
from typing import Final

import pytest
from hypothesis import given as whatever
from hypothesis import strategies as st

from domain.decide import decide
from domain.facts import Facts
from domain.ledger import apply
from domain.preparing import begin
from domain.state import Ledger
from schemas.codec import decode_command, decode_event
from schemas.commands import CommitEnvelope, FreezeAccount, Transfer, UnfreezeAccount
from schemas.events import CommandRefused, Event, TransferPosted
from schemas.reasons import Reason
from schemas.values import Creation, Expect, Movement
from tests.domain.given import (
    ALICE,
    AT,
    BOB,
    CAROL,
    CASH,
    CREDIT,
    QAZ,
    USD,
    VAULT,
    Story,
    deposit,
    given,
    hold,
    movement,
    opened,
    transfer,
    transfers,
)
from tests.domain.scenarios import Line, scenarios
from tests.domain.test_vectors import play

ONLY_OF_ENVELOPES: Final = {Reason.POSTING_NOT_NEXT, Reason.EMPTY_TRANSFER, Reason.OVERFLOW}
"""Why a transfer that may be posted may not be committed as an envelope."""

Balances = dict[tuple[str, str], int]


def prepared(story: Story, command: Transfer) -> CommitEnvelope | CommandRefused:
    return resolved(story.ledger, command, story.events)


def resolved(ledger: Ledger, command: Transfer, history: list[Event]) -> CommitEnvelope | CommandRefused:
    before = balances(ledger)
    preparation = begin(ledger, command, AT)
    if isinstance(preparation, CommandRefused):
        return preparation
    for event in history:
        if isinstance(event, TransferPosted):
            preparation.see(event)
    envelope = preparation.envelope()
    assert balances(ledger) == before, "nothing is changed"
    return envelope


def envelope_of(story: Story, command: Transfer) -> CommitEnvelope:
    envelope = prepared(story, command)
    assert isinstance(envelope, CommitEnvelope), envelope
    return envelope


def balances(ledger: Ledger) -> Balances:
    found = {(name, unit): one.balance for unit, places in ledger.places.items() for name, one in places.items()}
    return {place: balance for place, balance in found.items() if balance}


def test_the_oldest_postings_are_consumed_whole_and_the_change_goes_back() -> None:
    story = given(deposit(ALICE, 70), deposit(ALICE, 50, id="second"), deposit(ALICE, 30, id="third"))

    envelope = envelope_of(story, transfer(ALICE, BOB, 100, metadata={"order": "77"}))

    assert envelope == CommitEnvelope(
        id="t",
        metadata={"order": "77"},
        consumes=(story.posting("deposit-alice", 1), story.posting("second", 1)),
        creates=(Creation(BOB, QAZ, 100), Creation(ALICE, QAZ, 20)),
        versions={ALICE: 1, BOB: 1},
    )
    story.ask(envelope)
    assert (story.balance(ALICE), story.balance(BOB)) == (50, 100)


def test_what_was_consumed_before_is_not_consumed_again() -> None:
    story = given(deposit(ALICE, 70), deposit(ALICE, 50, id="second"))
    story.ask(transfer(ALICE, BOB, 70, id="before"))

    assert envelope_of(story, transfer(ALICE, CAROL, 50)).consumes == (story.posting("second", 1),)


def test_each_payer_pays_net_and_what_passes_through_is_pinned_but_not_moved() -> None:
    story = given(deposit(ALICE, 70), deposit(BOB, 10, USD))

    envelope = envelope_of(
        story,
        transfers(movement(ALICE, BOB, 50), movement(BOB, CAROL, 50), movement(BOB, ALICE, 10, USD)),
    )

    assert envelope.consumes == (story.posting("deposit-alice", 1), story.posting("deposit-bob", 1))
    assert envelope.creates == (Creation(CAROL, QAZ, 50), Creation(ALICE, USD, 10), Creation(ALICE, QAZ, 20))
    assert envelope.versions == {ALICE: 1, BOB: 1, CAROL: 1}


def test_the_fee_is_paid_too() -> None:
    story = given(opened(VAULT, "treasury"), deposit(ALICE, 100))

    envelope = envelope_of(story, transfer(ALICE, BOB, 90, fee=7))

    assert envelope.creates == (Creation(BOB, QAZ, 90), Creation(VAULT, QAZ, 7), Creation(ALICE, QAZ, 3))
    assert envelope.versions == {ALICE: 1, BOB: 1, VAULT: 1}


def test_who_may_owe_pays_with_what_is_there_and_owes_the_rest() -> None:
    story = given(deposit(CREDIT, 40))

    envelope = envelope_of(story, transfer(CREDIT, BOB, 100))

    assert envelope.consumes == (story.posting("deposit-credit", 1),)
    assert envelope.creates == (Creation(BOB, QAZ, 100), Creation(CREDIT, QAZ, -60))
    assert envelope_of(story, deposit(ALICE, 5)).creates == (Creation(ALICE, QAZ, 5), Creation(CASH, QAZ, -5))


def test_who_may_owe_owes_it_all_where_nothing_could_be_consumed_whole() -> None:
    story = given(deposit(CREDIT, 40), deposit(CREDIT, 50, id="second"))
    story.ask(transfer(CREDIT, BOB, 1, id="begun"))
    begun = envelope_of(story, transfer(CREDIT, BOB, 5))
    reserved = given(deposit(CREDIT, 40), hold(movement(CREDIT, BOB, 1)))

    assert (begun.consumes, begun.creates) == ((), (Creation(BOB, QAZ, 5), Creation(CREDIT, QAZ, -5)))
    assert envelope_of(reserved, transfer(CREDIT, BOB, 5)).consumes == ()


def test_a_posting_that_is_begun_or_reserved_cannot_be_consumed_by_who_may_not_owe() -> None:
    begun = given(deposit(ALICE, 70), transfer(ALICE, BOB, 1, id="begun"))
    reserved = given(deposit(ALICE, 70), hold(movement(ALICE, BOB, 1)))

    for story in (begun, reserved):
        refusal = prepared(story, transfer(ALICE, CAROL, 5))

        assert isinstance(refusal, CommandRefused)
        assert refusal.reason is Reason.POSTING_NOT_NEXT
        assert refusal.details == {"posting": story.posting("deposit-alice", 1)}


def test_what_moves_nothing_in_the_end_cannot_be_prepared() -> None:
    story = given(deposit(ALICE, 70))

    refusal = prepared(story, transfers(movement(ALICE, BOB, 5), movement(BOB, ALICE, 5)))

    assert isinstance(refusal, CommandRefused)
    assert refusal.reason is Reason.EMPTY_TRANSFER


def test_what_the_transfer_expects_is_asked_now_and_its_versions_again_at_commit() -> None:
    story = given(opened("shop", alias="@shop"), deposit(ALICE, 70))
    pinned = transfer(ALICE, BOB, 5, expect=Expect(versions={"@shop": 1}))

    stale = prepared(story, transfer(ALICE, BOB, 5, expect=Expect(versions={"@shop": 2})))

    assert envelope_of(story, pinned).versions == {ALICE: 1, BOB: 1, "shop": 1}
    assert isinstance(stale, CommandRefused)
    assert stale.reason is Reason.VERSION_MISMATCH


def test_an_account_that_changed_since_refuses_what_was_prepared() -> None:
    story = given(deposit(ALICE, 70))
    envelope = envelope_of(story, transfer(ALICE, BOB, 5))
    story.ask(FreezeAccount(id="f", account=BOB))
    story.ask(UnfreezeAccount(id="u", account=BOB))

    assert story.refusal(envelope) == (Reason.VERSION_MISMATCH, {"account": BOB, "expected": "1", "actual": "3"})


def test_of_two_prepared_over_the_same_posting_the_first_wins() -> None:
    story = given(deposit(ALICE, 70))
    first, second = (envelope_of(story, transfer(ALICE, BOB, 5, id=name)) for name in ("first", "second"))

    story.ask(first)

    assert story.refusal(second)[0] is Reason.POSTING_ALREADY_CONSUMED


def test_a_transfer_that_the_rules_refuse_is_refused_for_the_same_reason() -> None:
    story = given(deposit(ALICE, 70))

    refusal = prepared(story, transfer(ALICE, BOB, 71))

    assert isinstance(refusal, CommandRefused)
    assert (refusal.reason, refusal.details) == story.refusal(transfer(ALICE, BOB, 71))


def test_every_transfer_of_every_scenario_prepared_and_committed_does_the_same_or_says_why_not() -> None:
    committed = refused = 0
    for scenario in scenarios():
        played = play(scenario)
        ledgers: dict[str, Ledger] = {}
        history: dict[str, list[Event]] = {}
        for (_, line), told in zip(*played, strict=True):
            events = [decode_event(text) for text, fields in told if fields["type"] != "dead-letter"]
            command = asked(line) if events else None
            for event in events[:-1]:
                apply(ledgers[event.ledger], event)
            if isinstance(command, Transfer):
                did = same(ledgers[command.ledger], command, history[command.ledger], events[-1])
                committed, refused = committed + did, refused + (not did)
            for event in events[-1:]:
                apply(ledgers.setdefault(event.ledger, Ledger(event.ledger)), event)
            for event in events:
                history.setdefault(event.ledger, []).append(event)

    assert committed > 200
    assert refused > 100


def asked(line: Line) -> object:
    """Read the command of a line, without the time that it is decided at."""
    try:
        fields = json.loads(line.text)
        fields.pop("at", None)
        return decode_command(json.dumps(fields).encode(), None)[0]
    except (ValueError, AttributeError):
        return None


def same(ledger: Ledger, command: Transfer, history: list[Event], posted: Event) -> bool:
    """See that preparing says what posting said, and that committing does what posting did. False where it says no."""
    envelope = resolved(ledger, command, history)
    if isinstance(envelope, CommandRefused):
        if isinstance(posted, CommandRefused):
            assert (envelope.reason, envelope.details) == (posted.reason, posted.details)
        else:
            assert envelope.reason in ONLY_OF_ENVELOPES, (command, envelope)
        return False
    assert after(ledger, decide(ledger, envelope, AT, facts(history))) == after(ledger, posted), command
    return True


def facts(history: list[Event]) -> Facts:
    return Facts(events={event.sequence: event for event in history})


def after(ledger: Ledger, event: Event) -> Balances:
    copy = deepcopy(ledger)
    apply(copy, event)
    assert isinstance(event, TransferPosted), event
    return balances(copy)


moves = st.builds(
    movement,
    st.sampled_from([ALICE, BOB, CAROL, CREDIT]),
    st.sampled_from([ALICE, BOB, CAROL, CREDIT]),
    st.integers(1, 60),
    st.sampled_from([QAZ, USD]),
).filter(lambda one: one.source != one.destination)


@whatever(st.lists(st.tuples(st.lists(moves, min_size=1, max_size=4), st.booleans()), max_size=12))
def test_a_ledger_of_envelopes_has_the_balances_of_a_ledger_of_transfers(
    asked_for: list[tuple[list[Movement], bool]],
) -> None:
    funded = [deposit(account, 100, unit, id=f"{account}-{unit}") for account in (ALICE, BOB) for unit in (QAZ, USD)]
    plain, mixed = given(*funded), given(*funded)
    for number, (moved, as_envelope) in enumerate(asked_for):
        command = transfers(*moved, id=f"t{number}")
        said = prepared(mixed, command) if as_envelope else command
        posted = plain.ask(command)
        if isinstance(posted, TransferPosted):
            mixed.ask(command if isinstance(said, CommandRefused) else said)
        elif as_envelope:
            assert isinstance(said, CommandRefused)

    assert balances(mixed.ledger) == balances(plain.ledger)


@pytest.mark.parametrize("account", [ALICE, CREDIT])
def test_a_prepared_transfer_consumes_exactly_the_postings_that_were_next(account: str) -> None:
    story = given(*(deposit(account, amount, id=f"d{amount}") for amount in (5, 7, 11)))

    story.ask(envelope_of(story, transfer(account, BOB, 12)))
    story.ask(envelope_of(story, transfer(account, BOB, 11, id="t2")))

    assert (story.balance(account), story.balance(BOB)) == (0, 23)
