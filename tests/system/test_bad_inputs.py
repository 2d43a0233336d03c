"""What may arrive on `commands`, through real Kafka, in two partitions, while a load is going on.

`tests/bad_inputs/README.md` says what each input is. None is left out.
"""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import NamedTuple, Self

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

from services.kafka.ports import Message, Record
from services.reading import Reading, read
from tests.domain.test_bad_inputs import INPUTS, PARTITIONS, PROLOGUE, arrivals
from tests.system.checks import check
from tests.system.conftest import MakeHouse
from tests.system.house import House
from tests.system.load import Load, living_in

FITS_ANYWHERE = 900_000
OF_OURS = ["reason", "detail", "topic", "partition", "offset"]
EXPECTED = ["accepted"] * len(PROLOGUE) + [each["expect"] for each in INPUTS]
TITLES = [line.decode() for line in PROLOGUE] + [f"{each['id']}: {each['title']}" for each in INPUTS]


Place = tuple[int, int]
"""Partition and offset."""

Command = tuple[str, str]
"""Ledger and id."""


class Sent(NamedTuple):
    """A message, and where it lies."""

    message: Message
    place: Place


async def test_every_input_has_the_outcome_that_it_names_and_holds_nobody_up(make_house: MakeHouse) -> None:
    house = await make_house(PARTITIONS)
    processes = [house.start(name) for name in ("writer", "publisher", "projector")]
    for process in processes:
        await process.ready()

    async with loaded(house), Producer(house) as producer:
        inputs = []
        for partition, message in arriving(house):
            inputs.append(await producer.put(partition, message))
            await producer.put_good(partition)
        last = [await producer.put(partition, Message(None, b"the end", ())) for partition in range(PARTITIONS)]
        for partition in range(PARTITIONS):
            await producer.put_good(partition)
    await house.settled()

    letters, outcomes = await dead_letters(house), await told(house)
    assert became(inputs, letters, outcomes) == dict(zip(TITLES, EXPECTED, strict=True))
    for sent in [*inputs, *last]:
        if letter := letters.get(sent.place):
            assert (letter.key, letter.value) == (sent.message.key, sent.message.value)
            assert [name for name, _ in letter.headers[:5]] == OF_OURS
            assert list(letter.headers[5:]) == list(sent.message.headers)
    assert all(sent.place in letters for sent in last)
    assert all(outcomes[command] == ["accepted"] for command in producer.good)
    for process in processes:
        process.must_run()
        assert process.said().count(" begins ") == 1
        assert not [text for text in texts(inputs) if text in process.said()]
    await check(house)


def arriving(house: House) -> Iterator[tuple[int, Message]]:
    """Give partition and message of the prologue and every input."""
    for partition, record in arrivals():
        headers = [
            (name, value.replace(b"defter.", house.topics.prefix.encode()) if value and name == "reply-to" else value)
            for name, value in record.headers
        ]
        yield partition, Message(record.key, record.value, headers)


def became(
    inputs: Sequence[Sent], letters: Mapping[Place, ConsumerRecord], outcomes: Mapping[Command, list[str]]
) -> dict[str, str]:
    """Say what became of each input, in the words of `inputs.jsonl`, by its title."""
    decided: set[Command] = set()
    became: dict[str, str] = {}
    for title, sent in zip(TITLES, inputs, strict=True):
        if letter := letters.get(sent.place):
            became[title] = letter.headers[0][1].decode()
            continue
        reading = read(Record(0, 0, sent.message.key, sent.message.value, sent.message.headers))
        assert isinstance(reading, Reading), f"{title}: it is no command, and there is no dead letter"
        command = (reading.command.ledger, reading.command.id)
        (outcome,) = outcomes[command]
        became[title] = "duplicate" if command in decided else outcome
        decided.add(command)
    return became


async def dead_letters(house: House) -> dict[Place, ConsumerRecord]:
    """Read the dead letters, by the place that each came from."""
    letters: dict[Place, ConsumerRecord] = {}
    for partition in range(PARTITIONS):
        for letter in await house.records(house.topics.dead_letters, partition):
            offset = next(value for name, value in letter.headers if name == "offset")
            assert letters.setdefault((partition, int(offset)), letter) is letter, "a dead letter came twice"
    return letters


async def told(house: House) -> dict[Command, list[str]]:
    """Read the events, and say of each command what came of it."""
    outcomes: dict[Command, list[str]] = defaultdict(list)
    for partition in range(PARTITIONS):
        for record in await house.records(house.topics.events, partition):
            event: dict[str, str] = json.loads(record.value)
            outcome = f"refused:{event['reason']}" if event["type"] == "command-refused.v1" else "accepted"
            outcomes[event["ledger"], event.get("command", "")].append(outcome)
    return outcomes


def texts(inputs: Sequence[Sent]) -> list[str]:
    """Give what would be seen in a log if a value were written to it as it is."""
    values = [(sent.message.value or b"")[:60] for sent in inputs[len(PROLOGUE) :]]
    return [value.decode(errors="replace") for value in values if len(value) > 20]


class Producer:
    """Sends one record at a time, and knows where each lies."""

    def __init__(self, house: House) -> None:
        self.good: list[Command] = []
        self._topic = house.topics.commands
        self._producer = AIOKafkaProducer(bootstrap_servers=house.kafka.servers, acks="all", enable_idempotence=True)
        self._ledgers = [living_in(number, PARTITIONS, "good", 1)[0] for number in range(PARTITIONS)]

    async def __aenter__(self) -> Self:
        await self._producer.start()
        for partition, ledger in enumerate(self._ledgers):
            await self._say(partition, {"type": "open-ledger.v1", "id": "open", "ledger": ledger})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def put(self, partition: int, message: Message) -> Sent:
        """Send a message. One too large for most brokers travels compressed."""
        large = len(message.value or b"") > FITS_ANYWHERE
        batch = BatchBuilder(1 << 20, DefaultRecordBatch.CODEC_GZIP) if large else self._producer.create_batch()
        batch.append(timestamp=None, key=message.key, value=message.value, headers=[*message.headers])
        batch.close()
        lies = await (await self._producer.send_batch(batch, self._topic, partition=partition))
        return Sent(message, (partition, lies.offset))

    async def put_good(self, partition: int) -> None:
        """Send a command that is to be accepted, whatever came before it."""
        name = f"good-{len(self.good)}"
        command = {"type": "open-account.v1", "id": name, "account": name, "ledger": self._ledgers[partition]}
        await self._say(partition, command)
        self.good.append((self._ledgers[partition], name))

    async def _say(self, partition: int, command: dict[str, str]) -> None:
        await self.put(partition, Message(command["ledger"].encode(), json.dumps(command).encode(), ()))


@contextlib.asynccontextmanager
async def loaded(house: House) -> AsyncIterator[None]:
    """Let a load go on in every partition inside the block."""

    async def feed(partition: int) -> None:
        load = Load(51, partition, PARTITIONS)
        while True:
            await house.send(partition, load.messages(20))
            await asyncio.sleep(0.05)

    feeding = [asyncio.create_task(feed(partition)) for partition in range(PARTITIONS)]
    try:
        yield
    finally:
        for task in feeding:
            task.cancel()
        await asyncio.wait(feeding)
