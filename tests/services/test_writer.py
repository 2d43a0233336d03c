"""The writer, with a journal in memory and a topic that is a list: every interleaving can be played."""

import asyncio
import random

import pytest

import services.shard
import services.writer
from services.errors import Unexpected
from services.journal.ports import OtherWriter
from services.kafka.lists import ListTopic
from services.kafka.ports import Message
from services.reading import time_of
from services.shard import Shard
from services.simulate import simulate
from services.writer import AHEAD_MS
from tests.services.stage import NOW_MS, Holder, Running, Stage, let_run, opened, pay


async def test_what_is_decided_is_stored_together_with_the_place_to_go_on_from() -> None:
    stage = Stage()
    stage.publish(*opened(), pay("pay", "alice", "bob", 300))

    await stage.write()

    assert stage.told("pay")[0]["type"] == "transfer-posted.v1"
    assert stage.store.standing.next == stage.commands.bounds().end


async def test_a_record_that_is_no_command_is_kept_as_it_came_and_the_next_is_decided() -> None:
    stage = Stage()
    stage.publish(*opened(), b"hello", pay("pay", "alice", "bob", 300))

    await stage.write()

    (letter,) = stage.store.dead_letters.values()
    assert (letter.offset, letter.value, letter.reason) == (5, b"hello", "MALFORMED")
    assert stage.told("pay")


async def test_an_id_decided_in_the_batch_being_committed_is_not_decided_again() -> None:
    stage = Stage()
    held = Holder("append", nth=2)
    stage.publish(*opened())
    writing = Running(stage, held)
    await writing.until(5)
    stage.publish(pay("pay", "alice", "bob", 300))
    await held.reached.wait()
    stage.publish(pay("pay", "alice", "bob", 300), pay("other", "alice", "bob", 1))
    await let_run()

    held.go.set()
    await writing.until(8)
    await writing.stop()

    assert [event["type"] for event in stage.told("pay")] == ["transfer-posted.v1"]
    assert stage.told("other")[0]["sequence"] == 7


async def test_a_recall_that_began_before_a_commit_does_not_let_go_of_what_was_committed() -> None:
    """The third batch asks the journal before the second is in, and is answered after: that answer does not know it."""
    stage = Stage()
    append, recall = Holder("append", nth=2), Holder("recalled", nth=3)
    stage.publish(*opened())
    writing = Running(stage, append, recall)
    await writing.until(5)
    stage.publish(pay("pay", "alice", "bob", 300))
    await append.reached.wait()
    stage.publish(pay("pay", "alice", "bob", 300))
    await recall.reached.wait()
    append.go.set()
    await writing.until(6)

    recall.go.set()
    await writing.until(7)
    await writing.stop()

    assert len(stage.told("pay")) == 1


@pytest.mark.parametrize(("overlap_from", "batches"), [(1, 4), (2, 3)])
async def test_what_comes_while_a_small_batch_is_committed_is_decided_together(overlap_from: int, batches: int) -> None:
    stage = Stage()
    held = Holder("append", nth=2)
    stage.publish(*opened())
    writing = Running(stage, held, overlap_from=overlap_from)
    await writing.until(5)
    stage.publish(pay("alone", "alice", "bob", 1))
    await held.reached.wait()
    for command in ("one", "two"):
        stage.publish(pay(command, "alice", "bob", 1))
        await let_run()

    held.go.set()
    await writing.until(8)
    await writing.stop()

    assert writing.writer.tally.batches == batches


async def test_a_transfer_and_its_reversal_may_come_in_one_batch_or_in_two_that_overlap() -> None:
    stage = Stage()
    stage.publish(*opened(), pay("pay", "alice", "bob", 300), reverse("back", "pay"), reverse("again", "pay"))

    await stage.write()

    assert [stage.told(command)[0].get("reason") for command in ("back", "again")] == [None, "ALREADY_REVERSED"]


async def test_a_reversal_of_long_ago_is_fetched_from_the_journal() -> None:
    stage = Stage()
    stage.publish(*opened(), pay("pay", "alice", "bob", 300))
    await stage.write()
    stage.publish(reverse("back", "pay"))
    await stage.write()

    stage.publish(reverse("again", "pay"))
    await stage.write()

    assert [stage.told(command)[0].get("reason") for command in ("back", "again")] == [None, "ALREADY_REVERSED"]


@pytest.mark.parametrize("seed", range(20))
async def test_however_often_it_is_stopped_and_however_batches_fall_the_bytes_are_the_same(seed: int) -> None:
    chance = random.Random(seed)
    commands = [*opened(), *random_payments(chance, 60)]
    stage = Stage()

    while commands:
        some = chance.randint(1, 9)
        stage.publish(*commands[:some])
        commands = commands[some:]
        if chance.random() < 0.7:
            await stage.write()
    await stage.write()

    sent = [record.value or b"" for record in stage.commands.read(0)]
    at = b'{"at":"' + time_of(NOW_MS).encode() + b'",'
    simulated = [line async for line in simulate([at + line[1:] for line in sent], Shard(0, 1))]
    assert stage.events() == [line for line in simulated if not line.startswith(b'{"type":"dead-letter"')]


async def test_two_writers_on_one_shard_book_nothing_twice_and_lose_nothing() -> None:
    stage = Stage()
    stage.publish(*opened(), pay("one", "alice", "bob", 1))
    held = Holder("append", nth=1)
    slow = Running(stage, held)
    await held.reached.wait()

    await stage.write()
    held.go.set()

    with pytest.raises(OtherWriter):
        await slow.task
    assert len(stage.events()) == 6
    assert len(stage.told("one")) == 1


async def test_a_writer_that_ends_because_something_is_wrong_leaves_no_commit_behind() -> None:
    stage = Stage()
    held = Holder("append", nth=2)
    stage.publish(*opened())
    writing = Running(stage, held)
    await writing.until(5)
    stage.publish(pay("one", "alice", "bob", 1))
    await held.reached.wait()

    stage.publish(pay("two", "alice", "bob", 1))
    stage.commands.drop_before(7)

    with pytest.raises(Unexpected, match="has no record at offset 6"):
        await writing.task
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("followers", [0, 1])
async def test_a_record_from_the_future_is_not_decided_until_it_is_due_whatever_follows(followers: int) -> None:
    stage = Stage()
    stage.publish(*opened(), pay("before", "alice", "bob", 1))
    stage.now_ms = NOW_MS + AHEAD_MS + 1
    stage.publish(pay("early", "alice", "bob", 1))
    stage.now_ms = NOW_MS  # another leader's clock
    stage.publish(*[pay("due", "alice", "bob", 1)] * followers)
    writing = Running(stage)
    await let_run()

    waited = list(stage.readiness.told)
    await writing.stop()

    assert "writer 0: the broker's clock is ahead of ours" in waited
    assert stage.told("before")
    assert not stage.told("early")

    stage.own_ms = NOW_MS + 1
    writing = Running(stage)
    await writing.until(7 + followers)
    assert stage.told("early")
    await writing.stop()


async def test_others_are_heard_while_a_batch_is_decided_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services.writer, "BREATH_S", 0.0)
    stage = Stage()
    stage.publish(*opened(), *(pay(f"pay-{number}", "alice", "bob", 1) for number in range(100)))

    assert await turns_while_deciding(stage) > 100


async def test_others_are_heard_while_many_holds_expire_before_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services.writer, "BREATH_S", 0.0)
    monkeypatch.setattr(services.shard, "AT_ONCE", 1)
    stage = Stage()
    promised = {**pay("", "alice", "bob", 1), "type": "place-hold.v1", "expires_at": time_of(NOW_MS + 1000)}
    stage.publish(*opened(), *({**promised, "id": f"hold-{number}"} for number in range(100)))
    await stage.write()
    stage.now_ms += 1000
    stage.publish(pay("one", "alice", "bob", 1000))

    assert await turns_while_deciding(stage) > 100
    assert [row.tag for row in stage.store.rows[-101:]] == ["hold-expired.v1"] * 100 + ["transfer-posted.v1"]


async def turns_while_deciding(stage: Stage) -> int:
    """Let a writer decide one batch, and tell how often others had their turn before it was decided."""
    heard, turns = 0, list[int]()

    async def turn(point: str) -> None:
        if point == "decided":
            turns.append(heard)

    async def hear() -> None:
        nonlocal heard
        while True:
            heard += 1
            await asyncio.sleep(0)

    listening = asyncio.create_task(hear())
    await stage.write(stage.writer(point=turn))
    listening.cancel()
    (before_it_was_decided,) = turns
    return before_it_was_decided


async def test_a_topic_shorter_than_what_was_decided_is_not_read() -> None:
    stage = Stage()
    stage.publish(*opened())
    await stage.write()
    stage.commands = ListTopic(lambda: NOW_MS)

    with pytest.raises(Unexpected, match="ends at offset 0, before the stored offset 5"):
        await stage.write()


async def test_a_topic_that_begins_after_what_was_decided_is_not_read() -> None:
    stage = Stage()
    stage.publish(*opened(), pay("one", "alice", "bob", 1), pay("two", "alice", "bob", 1))
    stage.commands.drop_before(3)

    with pytest.raises(Unexpected, match="begins at offset 3, after the stored offset 0"):
        await stage.write()


async def test_a_topic_that_grew_again_with_other_records_is_not_read() -> None:
    stage = Stage()
    stage.publish(*opened())
    await stage.write()
    stage.commands = ListTopic(lambda: NOW_MS)
    stage.commands.append([Message(None, b"another", ())] * 9)

    with pytest.raises(Unexpected, match="holds another record at offset 4"):
        await stage.write()


def reverse(command: str, transfer: str) -> dict[str, object]:
    return {"type": "reverse-transfer.v1", "id": command, "transfer": transfer}


def random_payments(chance: random.Random, count: int) -> list[dict[str, object] | bytes]:
    """Payments, among them ones that are too much, ids that come again, and what is no command."""
    payments: list[dict[str, object] | bytes] = []
    for number in range(count):
        source, destination = chance.sample(["alice", "bob", "world", "nobody"], 2)
        command = f"c{chance.randint(0, number)}"
        payment = pay(command, source, destination, chance.randint(1, 400))
        payments.append(b"{" if chance.random() < 0.05 else payment)
        if chance.random() < 0.2:
            payments.append(reverse(f"r{number}", command))
    return payments
