"""The publisher, from a journal in memory to topics that are lists."""

import asyncio
import json
from collections.abc import Sequence

import msgspec
import pytest

from services.errors import Away, Unexpected
from services.journal.memory import MemoryJournal
from services.journal.ports import PART, Row
from services.kafka.lists import ListOutbox, ListTopic
from services.kafka.ports import Message
from services.publisher import Publisher, cloud_headers, plain_headers
from tests.services.stage import NOW_MS, Stage, opened, pay


async def test_what_is_published_is_what_is_stored_byte_for_byte_and_says_its_place() -> None:
    stage, outputs = await played(b"{")

    await outputs.publish()

    assert [record.value for record in outputs.events.read(0)] == stage.events()
    assert outputs.events.read(0)[5].headers == [("ledger", b"main"), ("sequence", b"6"), ("position", b"6")]


async def test_a_dead_letter_is_published_as_it_came_with_five_headers_first() -> None:
    stage, outputs = await played()
    stage.commands.append([Message(b"main", b"hello", (("reason", b"theirs"), ("x", None)))])
    await stage.write()

    await outputs.publish()

    (letter,) = outputs.letters.read(0)
    names = [name for name, _ in letter.headers]
    assert (letter.key, letter.value) == (b"main", b"hello")
    assert names == ["reason", "detail", "topic", "partition", "offset", "reason", "x"]
    assert dict(reversed(letter.headers))["offset"] == b"6"
    assert dict(reversed(letter.headers))["reason"] == b"MALFORMED"


async def test_it_goes_on_from_the_tail_of_its_own_output() -> None:
    stage, outputs = await played()
    await outputs.publish()
    stage.publish(pay("more", "alice", "bob", 1), b"{")
    await stage.write()

    await outputs.publish()
    await outputs.publish()

    assert [record.value for record in outputs.events.read(0)] == stage.events()
    assert len(outputs.letters.read(0)) == 1


async def test_after_a_failed_send_the_tail_is_read_again_and_nothing_is_left_out() -> None:
    stage, outputs = await played()
    outputs.fails_after = 3

    await outputs.publish()

    assert [record.value for record in outputs.events.read(0)] == stage.events()


async def test_a_journal_that_does_not_have_what_was_published_stops_the_publisher() -> None:
    _, outputs = await played()
    await outputs.publish()
    restored, _ = await played()
    restored.store.rows.pop()
    outputs.stage = restored

    with pytest.raises(Unexpected, match="is not in the journal"):
        await outputs.publish()


@pytest.mark.parametrize("name", ["events", "dead-letters"])
async def test_an_output_whose_records_went_while_it_published_is_not_begun_anew_in_silence(name: str) -> None:
    _, outputs = await played(b"{")
    outputs.empties_when_sent = name

    with pytest.raises(Unexpected, match=f"partition 0 of {name} was written to and is empty now"):
        await outputs.publish()


@pytest.mark.parametrize(("before", "now"), [(0, 32), (32, 0)])
async def test_what_was_published_last_is_found_again_wherever_a_restored_journal_has_it(before: int, now: int) -> None:
    lost, outputs = await played()
    skip(lost, before)
    await outputs.publish()
    restored, _ = await played()
    skip(restored, now)
    restored.publish(pay("more", "alice", "bob", 1))
    await restored.write()
    outputs.stage = restored

    await outputs.publish()

    assert [record.value for record in outputs.events.read(0)] == restored.events()
    assert dict(outputs.events.read(0)[-1].headers)["position"] == b"%d" % (now + 7)


async def test_a_journal_with_other_bytes_at_that_place_stops_the_publisher() -> None:
    _, outputs = await played()
    await outputs.publish()
    other, _ = await played()
    other.store.rows[-1] = other.store.rows[-1]._replace(data=b"{}")
    outputs.stage = other

    with pytest.raises(Unexpected, match="restored"):
        await outputs.publish()


async def test_nothing_is_waited_for_while_there_may_be_more() -> None:
    payments = (pay(f"pay-{number}", "alice", "bob", 1) for number in range(2 * PART))
    stage, outputs = await played(*map(msgspec.json.encode, payments))
    outputs.journal = HeavyPages(stage.store)

    await outputs.publish()

    assert [record.value for record in outputs.events.read(0)] == stage.events()


async def test_postings_are_published_one_by_one_before_the_events_that_they_are_of() -> None:
    stage, outputs = await played(msgspec.json.encode(pay("fee", "alice", "bob", 1)))
    outputs.postings = []

    await outputs.publish()

    told = [msgspec.json.decode(message.value or b"") for message in outputs.postings]
    assert [message.key for message in outputs.postings] == [b"main/world", b"main/alice"] + [
        b"main/alice",
        b"main/bob",
    ] * 2
    assert told[2] == {
        "type": "posting.v1",
        "ledger": "main",
        "id": "6.0",
        "sequence": 6,
        "at": json.loads(stage.events()[5])["at"],
        "transfer": "pay",
        "kind": "transfer",
        "account": "alice",
        "unit": "QAZ",
        "amount": "-300",
        "debits": "300",
        "credits": "1000",
    }
    assert outputs.events_when_posted == 0


async def test_a_crash_between_postings_and_their_events_repeats_postings_and_leaves_none_out() -> None:
    _, outputs = await played()
    outputs.postings = []
    outputs.fails_after = 0

    await outputs.publish()

    ids = [msgspec.json.decode(message.value or b"")["id"] for message in outputs.postings]
    assert ids == ["5.0", "5.1", "6.0", "6.1"] * 2
    assert len(outputs.events.read(0)) == 6


async def test_events_may_be_cloudevents_with_the_same_bytes() -> None:
    stage, outputs = await played()
    outputs.headers = cloud_headers

    await outputs.publish()
    await outputs.publish()

    last = outputs.events.read(0)[-1]
    at = json.loads(stage.events()[-1])["at"].encode()
    assert last.value == stage.events()[-1]
    assert last.headers == [
        ("ledger", b"main"),
        ("sequence", b"6"),
        ("position", b"6"),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"6"),
        ("ce_source", b"defter:main"),
        ("ce_type", b"transfer-posted.v1"),
        ("ce_time", at),
        ("content-type", b"application/json"),
    ]


def skip(stage: Stage, positions: int) -> None:
    """Have the journal skip so many positions before its first event, as PostgreSQL may after a crash."""
    stage.store.rows = [row._replace(position=row.position + positions) for row in stage.store.rows]


class FailingOutbox(ListOutbox):
    """Sends only some of what it is given, once, and then does not answer."""

    def __init__(self, outputs: "Outputs") -> None:
        super().__init__(outputs.events)
        self.outputs = outputs

    async def send(self, messages: object) -> None:
        """Send, or fail in the middle."""
        assert isinstance(messages, list)
        if self.outputs.fails_after is None:
            return await super().send(messages)
        some, self.outputs.fails_after = self.outputs.fails_after, None
        await super().send(messages[:some])
        raise Away("the broker is gone")


class HeavyPages(MemoryJournal):
    """Its events are so heavy that no page has more than it must have."""

    async def read(self, after: int, most: int) -> list[Row]:
        """Read events, and remember what came."""
        self.last = await super().read(after, min(most, PART))
        return self.last

    async def changed(self, wait_s: float) -> None:
        """Wait, where that is right."""
        assert len(self.last) < PART, "there may be more"
        await super().changed(wait_s)


class Outputs:
    """The two topics that a publisher writes."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.journal: MemoryJournal | None = None
        self.events = ListTopic(lambda: NOW_MS, name="events")
        self.letters = ListTopic(lambda: NOW_MS, name="dead-letters")
        self.fails_after: int | None = None
        self.headers = plain_headers
        self.postings: list[Message] | None = None
        self.events_when_posted = -1
        self.empties_when_sent: str | None = None

    async def publish(self) -> None:
        """Let a publisher send all that is there, then stop it."""
        publisher = Publisher(
            self.journal or MemoryJournal(self.stage.store),
            FailingOutbox(self),
            ListOutbox(self.letters),
            "commands",
            self.stage.readiness,
            scatter=None if self.postings is None else self.post,
            headers=self.headers,
            point=self.at,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(publisher.run(stop))
        last = self.stage.store.rows[-1].position
        letters = len(self.stage.store.dead_letters)
        while not running.done() and not (publisher.progress.position >= last and self.letters.bounds().end >= letters):
            await asyncio.sleep(0)
        stop.set()
        await running

    async def post(self, messages: Sequence[Message]) -> None:
        """Take in postings."""
        assert self.postings is not None
        self.postings += messages
        self.events_when_posted = self.events.bounds().end

    async def at(self, point: str) -> None:
        """Lose all records of a topic, and then the broker, where that is wanted; once."""
        name, self.empties_when_sent = self.empties_when_sent, None
        if name is not None and point == "sent":
            topic = self.events if name == "events" else self.letters
            topic.drop_before(topic.bounds().end)
            raise Away("the broker is gone")


async def played(*more: bytes) -> tuple[Stage, Outputs]:
    """Play a ledger with one payment, and whatever else is said."""
    stage = Stage()
    stage.publish(*opened(), pay("pay", "alice", "bob", 300), *more)
    await stage.write()
    return stage, Outputs(stage)
