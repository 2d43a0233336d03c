"""What a shard remembers beyond its ledgers: batches that are not stored yet, and what a restart must find again."""

import msgspec
import pytest

from schemas.commands import Command, CommitEnvelope, OpenLedger, ReverseTransfer, Tick, Transfer
from schemas.events import CommandRefused, Event, HoldExpired, TransferPosted
from schemas.reasons import Reason
from schemas.values import Creation
from services import shard
from services.kafka.ports import Record
from services.reading import PORTION, read, time_of
from tests.domain.given import ALICE, BOB, CAROL, CAST, QAZ, deposit, envelope, hold, moved, movement, reverse, transfer
from tests.services.partition import BEGINNING_MS, Partition


@pytest.fixture
def partition() -> Partition:
    """A partition with the cast in place, and 100 on Alice."""
    partition = Partition()
    partition.send(*CAST, deposit(ALICE, 100))
    return partition


def refused(event: Event) -> Reason:
    """Give the reason of a refusal."""
    assert isinstance(event, CommandRefused), event
    return event.reason


def test_an_id_is_known_while_its_batch_is_being_stored_and_after_and_after_a_restart(partition: Partition) -> None:
    asked = transfer(ALICE, BOB, 10)

    assert len(partition.send(asked, asked)) == 1
    assert partition.send(asked) == []
    assert partition.send(asked) == []
    partition.settle()
    partition.restart()
    assert partition.send(asked) == []
    assert [letter.reason for letter in partition.dead_letters()] == []


def test_a_batch_of_several_portions_comes_out_whole_and_in_its_order(partition: Partition) -> None:
    asked: list[Command | bytes] = [transfer(ALICE, BOB, 1, id=f"t{number}") for number in range(2 * PORTION)]
    asked[PORTION + 1] = b"{"
    begins = len(partition.sent)

    events = partition.send(*asked, transfer(ALICE, BOB, 1, id="last"))

    numbers = [number for number in range(2 * PORTION) if number != PORTION + 1]
    assert [event.command for event in events] == [*(f"t{number}" for number in numbers), "last"]
    assert [letter.offset for letter in partition.dead_letters()] == [begins + PORTION + 1]


def test_an_id_with_other_content_is_a_dead_letter_wherever_the_first_is_remembered(partition: Partition) -> None:
    partition.send(transfer(ALICE, BOB, 10), transfer(ALICE, BOB, 11))
    partition.send(transfer(ALICE, BOB, 12))
    partition.send(Tick(id="t"), transfer(ALICE, BOB, 13))
    partition.settle()
    partition.restart()
    partition.send(transfer(ALICE, BOB, 14))

    assert [letter.reason for letter in partition.dead_letters()] == ["ID_REUSED"] * 4
    assert sum(isinstance(event, TransferPosted) for event in partition.events()) == 2


@pytest.mark.parametrize("command", [transfer(ALICE, BOB, 100), transfer(ALICE, "nobody", 1), Tick(id="t")])
def test_many_holds_that_are_due_expire_some_at_a_time_and_it_comes_to_the_same(
    partition: Partition, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = BEGINNING_MS + 1000
    places = [hold(movement(ALICE, BOB, 1), id=f"h{number}", expires_at=time_of(soon)) for number in range(5)]
    partition.send(*places)
    partition.settle()
    at_once = partition.send(command, at_ms=soon)
    partition.restart()

    monkeypatch.setattr(shard, "AT_ONCE", 2)
    assert partition.send(command, at_ms=soon) == at_once

    assert [event.hold for event in at_once if isinstance(event, HoldExpired)] == ["h0", "h1", "h2", "h3", "h4"]
    assert len(at_once) == 5 + (type(command) is not Tick)


def test_one_step_expires_no_more_than_so_many_holds(partition: Partition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "AT_ONCE", 2)
    soon = BEGINNING_MS + 1000
    partition.send(*(hold(movement(ALICE, BOB, 1), id=f"h{n}", expires_at=time_of(soon)) for n in range(5)))
    reading = read(Record(0, soon, None, msgspec.json.encode(transfer(ALICE, BOB, 100)), ()))
    draft = partition.shard.begin()

    steps = [partition.shard.step(reading, shard.NOTHING_RECALLED, draft) for _ in range(3)]

    assert steps == [False, False, True]
    assert (len(draft.entries), len(draft.outcomes)) == (6, 1)


def test_a_hold_that_is_due_when_it_is_placed_expires_next_though_the_next_stamp_is_earlier(
    partition: Partition,
) -> None:
    partition.send(hold(movement(ALICE, BOB, 100), expires_at=time_of(BEGINNING_MS - 10)))

    expired, posted = partition.send(transfer(ALICE, BOB, 100), at_ms=BEGINNING_MS - 20)

    assert isinstance(expired, HoldExpired)
    assert isinstance(posted, TransferPosted)
    assert expired.at == posted.at == time_of(BEGINNING_MS)


def test_a_transfer_and_its_reversals_meet_in_one_batch_and_in_later_ones(partition: Partition) -> None:
    in_parts = [reverse(movement(ALICE, BOB, 10), id=f"part-{number}") for number in range(4)]

    first = partition.send(transfer(ALICE, BOB, 60), in_parts[0])
    second = partition.send(in_parts[1])
    partition.settle()
    partition.restart()
    third = partition.send(in_parts[2], in_parts[3])
    rest = partition.send(reverse(id="rest"), reverse(id="more"))

    assert [moved(event) for event in (first[1], *second, *third)] == [[(BOB, ALICE, 10, QAZ)]] * 4
    assert moved(rest[0]) == [(BOB, ALICE, 20, QAZ)]
    assert refused(rest[1]) is Reason.ALREADY_REVERSED


def test_an_envelope_consumes_a_posting_of_its_own_batch_and_of_one_long_stored(partition: Partition) -> None:
    deposited = partition.events()[-1].sequence
    passed_on = envelope([f"{deposited}.1"], (BOB, 100))

    [posted] = partition.send(passed_on)
    again = envelope([f"{posted.sequence}.1"], (CAROL, 100), id="e2")
    after = envelope([f"{posted.sequence + 1}.1"], (ALICE, 100), id="e3")
    events = partition.send(again, after)

    assert [type(event) for event in events] == [TransferPosted, TransferPosted]


@pytest.mark.parametrize("restarts", [False, True])
def test_the_reversal_of_an_envelopes_reversal_is_whole_too(partition: Partition, restarts: bool) -> None:
    deposited = partition.events()[-1].sequence
    partition.send(envelope([f"{deposited}.1"], (BOB, 40), (CAROL, 60)))
    if restarts:
        partition.settle()
        partition.restart()
    partition.send(reverse(id="back", transfer="e"))
    if restarts:
        partition.settle()
        partition.restart()

    in_part, whole, twice = partition.send(
        reverse(movement(BOB, ALICE, 1), id="part", transfer="back"),
        reverse(id="forth", transfer="back"),
        reverse(id="forth-again", transfer="back"),
    )

    assert refused(in_part) is Reason.MOVEMENT_NOT_FOUND
    assert isinstance(whole, TransferPosted)
    assert [(posting.account, posting.amount) for posting in whole.postings] == [
        (ALICE, "-100"),
        (BOB, "40"),
        (CAROL, "60"),
    ]
    assert refused(twice) is Reason.ALREADY_REVERSED


def test_a_restart_in_the_middle_of_a_commit_decides_the_lost_batch_alike(partition: Partition) -> None:
    partition.settle()
    lost = partition.send(transfer(ALICE, BOB, 10), transfer(ALICE, BOB, 200, id="too-much"))
    partition.restart()

    again = partition.send(transfer(ALICE, BOB, 10), transfer(ALICE, BOB, 200, id="too-much"))

    assert again == lost


def test_a_ledger_lives_in_one_partition_only() -> None:
    partitions = [Partition(number, 2) for number in range(2)]
    opening = OpenLedger(id="l", ledger="shop-7")

    opened = [partition.send(opening) for partition in partitions]
    reasons = [letter.reason for partition in partitions for letter in partition.dead_letters()]

    assert sorted(len(events) for events in opened) == [0, 1]
    assert reasons == ["WRONG_PARTITION"]


def test_a_posting_that_no_number_can_name_is_just_not_found(partition: Partition) -> None:
    far = CommitEnvelope(id="far", consumes=("9999999999999999999.0",), creates=(Creation(BOB, QAZ, 1),))

    [event] = partition.send(far)

    assert refused(event) is Reason.POSTING_NOT_FOUND


def test_what_is_refused_and_what_is_unknown_cannot_be_reversed(partition: Partition) -> None:
    events = partition.send(
        transfer(ALICE, BOB, 101),
        reverse(id="b1"),
        ReverseTransfer(id="b2", transfer="open-alice"),
        ReverseTransfer(id="b3", transfer="b3"),
    )

    assert [refused(event) for event in events[1:]] == [Reason.TRANSFER_NOT_FOUND] * 3


def test_the_same_id_in_two_ledgers_is_two_ids(partition: Partition) -> None:
    first = partition.send(OpenLedger(id="same", ledger="one"), OpenLedger(id="same", ledger="two"))
    second = partition.send(Transfer(id="same", ledger="one", movements=(movement(ALICE, BOB, 1),)))

    assert [event.ledger for event in first] == ["one", "two"]
    assert second == []
    assert [letter.reason for letter in partition.dead_letters()] == ["ID_REUSED"]
