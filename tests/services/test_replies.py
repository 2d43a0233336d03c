"""Who asks for a reply is told what came of a command, with a journal in memory and topics that are lists."""

import asyncio

import pytest

from schemas.replies import Reply, decode_reply
from services.errors import Away
from services.kafka.dispatch import Addressed
from services.kafka.ports import Headers, Message
from services.replies import MOST_BATCHES
from tests.services.stage import Stage, opened, pay

ASKING: Headers = (("reply-to", b"replies.test"),)


async def test_who_asks_is_told_and_who_does_not_is_not() -> None:
    stage = Stage()
    stage.publish(*opened(), pay("quiet", "alice", "bob", 1))
    ask(stage, pay("rich", "alice", "bob", 300), pay("poor", "bob", "alice", 5000))

    await stage.write()

    assert [reply.topic for reply in stage.replies] == ["replies.test"] * 2
    assert [reply.key for reply in stage.replies] == [b"rich", b"poor"]
    assert [reply.value for reply in stage.replies] == [
        b'{"type":"reply.v1","command":"rich","ledger":"main","outcome":"accepted","duplicate":false,"sequence":7}',
        (
            b'{"type":"reply.v1","command":"poor","ledger":"main","outcome":"refused","duplicate":false,"sequence":8,'
            b'"reason":"INSUFFICIENT_FUNDS",'
            b'"details":{"account":"bob","unit":"QAZ","available":"301","requested":"5000"}}'
        ),
    ]


async def test_every_dead_letter_is_told_with_as_much_as_is_known_of_its_command() -> None:
    stage = Stage()
    stage.publish(*opened())
    ask(stage, b"{", b'{"type":"tick.v1","id":"odd","colour":"red"}', b" " * 65_537)
    ask(stage, pay("elsewhere", "alice", "bob", 1, ledger="never"), pay("alice", "alice", "bob", 1))
    stage.commands.append([Message(b"other", b'{"type":"open-account.v1","id":"key","account":"a"}', ASKING)])

    await stage.write()

    told = answers(stage)
    assert [(reply.command, reply.ledger, reply.reason) for reply in told] == [
        (None, None, "MALFORMED"),
        ("odd", None, "MALFORMED"),
        (None, None, "TOO_LARGE"),
        ("elsewhere", "never", "UNKNOWN_LEDGER"),
        ("alice", "main", "ID_REUSED"),
        ("key", "main", "KEY_MISMATCH"),
    ]
    assert {reply.outcome for reply in told} == {"dead-letter"}
    assert told[0].details == {"detail": stage.store.dead_letters[5].detail}


async def test_a_retry_is_told_the_old_outcome_in_the_same_batch_and_much_later() -> None:
    stage = Stage()
    stage.publish(*opened())
    ask(stage, pay("pay", "alice", "bob", 300), pay("pay", "alice", "bob", 300))
    await stage.write()
    stage.publish(pay("later", "alice", "bob", 1))
    await stage.write()
    ask(stage, pay("pay", "alice", "bob", 300), pay("world", "alice", "bob", 1), pay("later", "alice", "bob", 1))

    await stage.write()

    assert [(reply.command, reply.duplicate, reply.sequence) for reply in answers(stage)] == [
        ("pay", False, 6),
        ("pay", True, 6),
        ("pay", True, 6),
        ("world", False, None),
        ("later", True, 7),
    ]


async def test_a_tick_is_not_answered_and_does_not_count_as_the_command_of_that_id() -> None:
    stage = Stage()
    stage.publish(*opened())

    ask(stage, b'{"type":"tick.v1","id":"pay"}', pay("pay", "alice", "bob", 1), b'{"type":"tick.v1","id":"pay"}')
    await stage.write()

    assert [(reply.command, reply.duplicate) for reply in answers(stage)] == [("pay", False)]


async def test_a_reply_to_that_will_not_do_is_counted_and_ignored() -> None:
    stage = Stage()
    stage.publish(*opened())
    ask(stage, pay("one", "alice", "bob", 1), to=(("reply-to", b"nobody"),))
    ask(stage, pay("two", "alice", "bob", 1))
    writer = stage.writer()

    await stage.write(writer)

    assert [reply.key for reply in stage.replies] == [b"two"]
    assert (writer.tally.replies, writer.tally.ignored_replies) == (1, 1)
    assert stage.store.standing.replied == stage.store.standing.next


async def test_nothing_is_told_before_it_is_durable() -> None:
    stage = Stage()
    told_after = []

    async def point(place: str) -> None:
        if place == "committing":
            told_after.append(len(stage.replies))
        for _ in range(20):
            await asyncio.sleep(0)

    ask(stage, *opened())
    await stage.write(stage.writer(point=point))

    assert told_after == [0]
    assert len(stage.replies) == 5


async def test_what_is_acknowledged_is_noted_when_no_more_commands_come() -> None:
    stage = Stage()
    ask(stage, *opened())
    stop = asyncio.Event()
    writing = asyncio.create_task(stage.writer().run(stop))

    while stage.store.standing.replied < 5 and not writing.done():
        await asyncio.sleep(0.001)

    assert stage.store.commits == 2
    stop.set()
    await writing


async def test_commands_that_ask_for_nothing_are_noted_as_answered_with_their_own_commit() -> None:
    stage = Stage()
    stage.publish(*opened())

    await stage.write()

    assert (stage.store.commits, stage.store.standing.replied) == (1, 5)


async def test_what_was_not_acknowledged_is_answered_again_and_never_decided_again() -> None:
    stage = Stage()
    stage.publish(*opened())
    await stage.write()
    ask(stage, pay("pay", "alice", "bob", 300), b"{", pay("poor", "bob", "alice", 5000))
    await killed_before_answering(stage)
    assert stage.replies == []
    events = stage.events()

    await stage.write()

    assert [(reply.command, reply.outcome, reply.duplicate, reply.sequence) for reply in answers(stage)] == [
        ("pay", "accepted", False, 6),
        (None, "dead-letter", False, None),
        ("poor", "refused", False, 7),
    ]
    assert stage.events() == events
    assert stage.store.standing.replied == 8


async def test_answered_again_a_retry_is_still_known_as_one() -> None:
    stage = Stage()
    stage.publish(*opened(), pay("pay", "alice", "bob", 300))
    await stage.write()
    stage.now_ms += 1
    ask(stage, pay("pay", "alice", "bob", 300), pay("new", "alice", "bob", 1), pay("new", "alice", "bob", 1))
    await killed_before_answering(stage)

    await stage.write()

    assert [(reply.command, reply.duplicate) for reply in answers(stage)] == [
        ("pay", True),
        ("new", False),
        ("new", True),
    ]


async def test_when_replies_do_not_get_through_commands_are_decided_all_the_same_and_none_is_forgotten() -> None:
    stage = Stage()
    stage.publish(*opened())
    await stage.write()
    away = True
    send = stage.send

    async def unreachable(replies: list[Addressed]) -> int:
        if away:
            raise Away("the broker is gone")
        return await send(replies)

    stage.send = unreachable  # type: ignore[method-assign]
    count = 3 * MOST_BATCHES
    stop = asyncio.Event()
    writing = asyncio.create_task(stage.writer().run(stop))
    for number in range(count):
        ask(stage, pay(f"pay-{number}", "alice", "bob", 1))
        while stage.store.standing.next < 6 + number and not writing.done():
            await asyncio.sleep(0)
    replied = stage.store.standing.replied
    away = False
    while stage.store.standing.replied < 5 + count and not writing.done():
        await asyncio.sleep(0.001)
    stop.set()
    await writing

    assert replied == 5
    assert [reply.command for reply in answers(stage)] == [f"pay-{number}" for number in range(count)]


def ask(stage: Stage, *commands: dict[str, object] | bytes, to: Headers = ASKING) -> None:
    """Put commands on the topic that ask for a reply."""
    quiet = Stage()
    quiet.publish(*commands)
    stage.commands.append([Message(None, record.value, to) for record in quiet.commands.read(0)])


def answers(stage: Stage) -> list[Reply]:
    return [decode_reply(reply.value) for reply in stage.replies]


async def killed_before_answering(stage: Stage) -> None:
    """Let a writer decide all, and die at the moment at which it is stored."""

    async def point(place: str) -> None:
        if place == "committed":
            raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await stage.write(stage.writer(point=point))
