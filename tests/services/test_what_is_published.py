"""What is published is what the journal holds (SPEC 11)."""

import copy
from collections.abc import AsyncIterator, Sequence

import pytest

from services.journal.memory import MemoryJournal
from services.journal.ports import Row
from services.kafka.lists import ListTopic
from services.kafka.ports import Message, Record
from services.publisher import Headers, cloud_headers, plain_headers
from services.verify import published
from services.verify.fault import Check, Fault
from tests.services.past import with_a_past
from tests.services.stage import Stage

PLACE = 40
"""An event in the middle."""


@pytest.fixture
async def stage() -> Stage:
    """Two ledgers with a past."""
    return await with_a_past()


async def records(topic: ListTopic) -> AsyncIterator[Record]:
    for record in topic.read(topic.bounds().begin):
        yield record


def publish(stage: Stage, places: Sequence[int], headers: Headers = plain_headers) -> ListTopic:
    """Publish these events, as the publisher does."""
    topic = ListTopic(lambda: 0)
    for row in (stage.store.rows[place] for place in places):
        topic.append([Message(row.ledger.encode(), row.data, headers(row))])
    return topic


async def fault_of(stage: Stage, places: Sequence[int]) -> Fault | None:
    return await published.compare(MemoryJournal(stage.store), records(publish(stage, places)))


async def test_a_topic_may_lag_begin_late_and_repeat_itself_but_not_leave_out(stage: Stage) -> None:
    places = range(len(stage.store.rows))

    assert await fault_of(stage, places) is None
    assert await fault_of(stage, places[:50]) is None
    assert await fault_of(stage, places[20:]) is None
    assert await fault_of(stage, [*places[:30], *places[25:]]) is None
    missing = await fault_of(stage, [*places[:30], *places[31:]])
    assert missing is not None
    assert (missing.check, missing.sequence) == (Check.PUBLISHED, stage.store.rows[30].sequence)


async def test_what_was_published_otherwise_is_found(stage: Stage) -> None:
    topic = publish(stage, range(len(stage.store.rows)))
    cut = copy.copy(stage.store)
    cut.rows = stage.store.rows[:-1]
    row = stage.store.rows[PLACE]
    stage.store.rows[PLACE] = row._replace(data=row.data + b" ")

    other = await published.compare(MemoryJournal(stage.store), records(topic))
    more = await published.compare(MemoryJournal(cut), records(topic))

    assert other is not None
    assert (other.ledger, other.sequence) == (stage.store.rows[PLACE].ledger, stage.store.rows[PLACE].sequence)
    assert more is not None
    assert "the journal has not" in more.detail


async def test_events_may_be_cloudevents_from_some_place_on_but_no_header_may_be_missing(stage: Stage) -> None:
    places = range(len(stage.store.rows))
    topic = publish(stage, places, lambda row: (plain_headers if row.position < 30 else cloud_headers)(row))
    wrong = publish(stage, places, lambda row: cloud_headers(row)[:-1])

    found = await published.compare(MemoryJournal(stage.store), records(wrong))

    assert await published.compare(MemoryJournal(stage.store), records(topic)) is None
    assert found is not None
    assert "other headers" in found.detail


def skipping(rows: Sequence[Row], positions: int) -> list[Row]:
    """Give the rows as they are stored where so many positions were skipped in between."""
    return [*rows[:20], *(row._replace(position=row.position + positions) for row in rows[20:])]


@pytest.mark.parametrize(("before", "now"), [(0, 32), (32, 0), (7, 32)])
async def test_another_position_alone_is_no_fault(stage: Stage, before: int, now: int) -> None:
    rows = stage.store.rows
    stage.store.rows = skipping(rows, before)
    repeated = publish(stage, [*range(50), *range(45, len(rows))])
    missing = publish(stage, [*range(50), *range(51, len(rows))])
    stage.store.rows = skipping(rows, now)

    found = await published.compare(MemoryJournal(stage.store), records(missing))

    assert await published.compare(MemoryJournal(stage.store), records(repeated)) is None
    assert found is not None
    assert (found.ledger, found.sequence) == (rows[50].ledger, rows[50].sequence)


async def test_a_message_of_no_event_is_found(stage: Stage) -> None:
    topic = publish(stage, range(10))
    topic.append([Message(None, b"{}", [("sequence", b"x")])])

    found = await published.compare(MemoryJournal(stage.store), records(topic))

    assert found is not None
    assert found.detail == "the journal has not what offset 10 of the events topic has"
