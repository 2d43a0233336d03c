"""What an inbox and an outbox are held to, on Kafka and on lists alike."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import pytest

from services.errors import Unexpected
from services.kafka import topics
from services.kafka.inbox import KafkaInbox
from services.kafka.lists import ListInbox, ListOutbox, ListTopic
from services.kafka.outbox import BATCH_BYTES, KafkaOutbox
from services.kafka.ports import Bounds, Inbox, Message, Outbox, Record
from services.settings import Kafka
from tests.services.transactions import send_in_one

MUCH = 2**30
SOON_S = 0.2
PATIENTLY_S = 20.0


class Place(NamedTuple):
    """One partition of a topic, and how to come to it."""

    inbox: Inbox
    outbox: Outbox
    another_outbox: Callable[[], Outbox]


@pytest.fixture(params=["kafka", "lists"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    if request.param == "lists":
        topic = ListTopic(lambda: int(time.time() * 1000), partition=1)
        yield Place(ListInbox(topic), ListOutbox(topic), lambda: ListOutbox(topic))
        return
    kafka = Kafka(servers=request.getfixturevalue("kafka"))
    names = topics.Topics(request.getfixturevalue("prefix"))
    await topics.create(kafka, names, 2)
    opened: list[KafkaOutbox] = []

    def outbox() -> KafkaOutbox:
        opened.append(KafkaOutbox(kafka, names.dead_letters, 1))
        return opened[-1]

    inbox = KafkaInbox(kafka, names.dead_letters, 1)
    yield Place(inbox, outbox(), outbox)
    await inbox.close()
    for one in opened:
        await one.close()
    await topics.delete(kafka, names.all())


def message(number: int) -> Message:
    return Message(b"main", str(number).encode(), [])


def values(records: list[Record]) -> list[bytes | None]:
    return [record.value for record in records]


async def all_of(inbox: Inbox, count: int) -> list[Record]:
    records: list[Record] = []
    while len(records) < count:
        records += await inbox.take(MUCH, MUCH, PATIENTLY_S)
    return records


async def test_what_came_while_records_were_being_decided_is_taken_together(place: Place) -> None:
    await place.outbox.send([message(0)])
    assert values(await place.inbox.take(MUCH, MUCH, PATIENTLY_S)) == [b"0"]
    for number in (1, 2, 3):
        await place.outbox.send([message(number)])
        await asyncio.sleep(SOON_S)

    taken = await place.inbox.take(MUCH, MUCH, PATIENTLY_S)

    assert values(taken) == [b"1", b"2", b"3"]


async def test_what_is_sent_is_taken_in_order_byte_for_byte(place: Place) -> None:
    messages = [
        Message(b"main", b'{"a":1}', [("reply-to", b"replies.x"), ("reply-to", b"second"), ("nothing", None)]),
        Message(None, b"\xff\x00 not text", []),
        Message(b"", b"", [("", b"")]),
        Message(None, None, []),
        Message(b"\xff", None, [("unicode \u00e9", b"\xff")]),
    ]

    await place.outbox.send(messages)

    records = await all_of(place.inbox, len(messages))
    assert [Message(record.key, record.value, list(record.headers)) for record in records] == messages
    assert [record.offset for record in records] == [0, 1, 2, 3, 4]


async def test_a_record_carries_the_brokers_time_in_milliseconds(place: Place) -> None:
    before = time.time() * 1000
    await place.outbox.send([message(1)])

    (record,) = await all_of(place.inbox, 1)

    assert before - 1000 <= record.at_ms <= time.time() * 1000 + 1000


async def test_thousands_of_messages_keep_their_order_over_many_batches(place: Place) -> None:
    messages = [Message(b"main", b"%06d" % number + b"x" * 1000, []) for number in range(3_000)]

    await place.outbox.send(messages)

    assert values(await all_of(place.inbox, len(messages))) == [one.value for one in messages]


async def test_a_take_stops_at_the_number_asked_for_and_the_next_goes_on(place: Place) -> None:
    await place.outbox.send([message(number) for number in range(5)])

    first = await place.inbox.take(2, MUCH, PATIENTLY_S)
    rest = await all_of(place.inbox, 3)

    assert values(first + rest) == [b"0", b"1", b"2", b"3", b"4"]
    assert len(first) == 2


async def test_a_take_stops_with_the_record_that_reaches_the_size(place: Place) -> None:
    await place.outbox.send([Message(None, b"x" * 10, []) for _ in range(5)])

    sizes = [len(await place.inbox.take(5, most_bytes, PATIENTLY_S)) for most_bytes in (11, 10, 1)]

    assert sizes == [2, 1, 1]


async def test_waiting_ends_empty_where_nothing_comes(place: Place) -> None:
    assert await place.inbox.take(10, MUCH, SOON_S) == []


async def test_a_lone_record_ends_the_wait(place: Place) -> None:
    taking = asyncio.create_task(place.inbox.take(10, MUCH, PATIENTLY_S))
    await asyncio.sleep(SOON_S)
    await place.outbox.send([message(1)])

    assert values(await taking) == [b"1"]


async def test_a_take_that_is_given_up_loses_no_record(place: Place) -> None:
    taking = asyncio.create_task(place.inbox.take(10, MUCH, PATIENTLY_S))
    await asyncio.sleep(SOON_S)
    taking.cancel()
    await asyncio.wait({taking})
    await place.outbox.send([message(1), message(2)])

    assert values(await all_of(place.inbox, 2)) == [b"1", b"2"]


async def test_reading_goes_on_wherever_seek_says_forth_and_back(place: Place) -> None:
    await place.outbox.send([message(number) for number in range(4)])

    await place.inbox.seek(2)
    forth = values(await all_of(place.inbox, 2))
    await place.inbox.seek(0)
    back = values(await all_of(place.inbox, 4))
    await place.inbox.seek(4)
    await place.outbox.send([message(4)])

    assert forth == [b"2", b"3"]
    assert back == [b"0", b"1", b"2", b"3"]
    assert values(await all_of(place.inbox, 1)) == [b"4"]


async def test_what_had_come_and_was_not_taken_is_forgotten_by_a_seek(place: Place) -> None:
    await place.outbox.send([message(number) for number in range(4)])
    await place.inbox.take(1, MUCH, PATIENTLY_S)

    await place.inbox.seek(3)

    assert values(await place.inbox.take(MUCH, MUCH, PATIENTLY_S)) == [b"3"]


async def test_a_place_outside_of_the_partition_is_named_with_what_it_holds(place: Place) -> None:
    await place.outbox.send([message(1), message(2)])
    await place.inbox.seek(3)

    with pytest.raises(Unexpected, match=r"offset 3: it holds 0 up to"):
        await place.inbox.take(1, MUCH, PATIENTLY_S)

    await place.inbox.seek(1)
    assert values(await all_of(place.inbox, 1)) == [b"2"]


async def test_bounds_tell_what_the_partition_holds(place: Place) -> None:
    empty = await place.inbox.bounds()
    await place.outbox.send([message(1), message(2)])

    assert empty == Bounds(0, 0)
    assert await place.inbox.bounds() == await place.outbox.bounds() == Bounds(0, 2)


async def test_one_record_can_be_read_wherever_reading_stands(place: Place) -> None:
    await place.outbox.send([message(number) for number in range(3)])
    first = await place.inbox.take(1, MUCH, PATIENTLY_S)

    record = await place.inbox.at(2)
    rest = await all_of(place.inbox, 2)

    assert record.value == b"2"
    assert values(first + rest) == [b"0", b"1", b"2"]
    assert record == rest[-1]


@pytest.mark.parametrize("offset", [2, 3, -1])
async def test_a_record_that_is_not_there_is_not_made_up(place: Place, offset: int) -> None:
    await place.outbox.send([message(1), message(2)])

    with pytest.raises(Unexpected, match=f"offset {offset}"):
        await place.inbox.at(offset)


async def test_the_first_record_from_a_place_on_is_found_where_there_is_one(place: Place) -> None:
    await place.outbox.send([message(number) for number in range(3)])

    found = [await place.outbox.first(offset) for offset in range(4)]

    assert [one and one.value for one in found] == [b"0", b"1", b"2", None]
    with pytest.raises(Unexpected, match="offset 4"):
        await place.outbox.first(4)


async def test_the_tail_is_the_last_record_whoever_sent_it(place: Place) -> None:
    nothing = await place.outbox.tail()
    await place.outbox.send([message(number) for number in range(3)])
    own = await place.outbox.tail()
    await place.another_outbox().send([message(9)])

    tail = await place.outbox.tail()

    assert nothing is None
    assert own is not None
    assert tail is not None
    assert (own.offset, own.value, tail.offset, tail.value) == (2, b"2", 3, b"9")


async def test_a_transaction_is_read_whether_or_not_it_is_aborted_and_its_end_is_no_record(
    kafka: str, prefix: str
) -> None:
    names, servers = topics.Topics(prefix), Kafka(servers=kafka)
    await topics.create(servers, names, 1)
    await send_in_one(kafka, names.commands, b"aborted", abort=True)
    await send_in_one(kafka, names.commands, b"committed")
    inbox, outbox = KafkaInbox(servers, names.commands, 0), KafkaOutbox(servers, names.commands, 0)

    taken = await all_of(inbox, 2)
    first = [await outbox.first(offset) for offset in range(4)]

    assert [(record.offset, record.value) for record in taken] == [(0, b"aborted"), (2, b"committed")]
    assert [one and one.offset for one in first] == [0, 2, 2, None]
    assert await outbox.bounds() == Bounds(0, 4)
    await inbox.close()
    await outbox.close()
    await topics.delete(servers, names.all())


async def test_sending_nothing_sends_nothing(place: Place) -> None:
    await place.outbox.send([])

    assert await place.outbox.bounds() == Bounds(0, 0)


async def test_a_value_larger_than_any_batch_goes_through_among_others(place: Place) -> None:
    large = [b"x" * 5_000_000, bytes(range(256)) * 5_000, b"y" * (BATCH_BYTES + 1)]
    messages = [message(0), Message(b"k", large[0], []), message(1), Message(None, large[1], []), message(2)]

    await place.outbox.send([*messages, Message(None, large[2], [("detail", b"too large")])])

    records = await all_of(place.inbox, 6)
    assert values(records) == [b"0", large[0], b"1", large[1], b"2", large[2]]
    assert list(records[-1].headers) == [("detail", b"too large")]


async def test_so_does_a_key_or_a_header_that_is_larger(place: Place) -> None:
    large = b"x" * 5_000_000

    await place.outbox.send([message(0), Message(large, b"1", []), Message(None, b"2", [("h", large)]), message(3)])

    records = await all_of(place.inbox, 4)
    assert values(records) == [b"0", b"1", b"2", b"3"]
    assert (records[1].key, list(records[2].headers)) == (large, [("h", large)])


async def test_the_number_of_the_partition_is_known(place: Place) -> None:
    assert (place.inbox.partition, place.outbox.partition) == (1, 1)
