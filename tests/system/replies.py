"""Replies under test: commands that ask for one, what each should be told, and whether it was."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import psycopg
from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from msgspec.structs import replace

from schemas.commands import Tick
from schemas.replies import decode_reply, decode_told
from services.kafka.ports import Message, Record
from services.kafka.topics import delete
from services.reading import Reading, read
from services.requests import HEADER
from tests.system.house import LOOKS_EVERY_S, House
from tests.system.model import Model
from tests.system.processes import PATIENTLY_S

PARTITIONS = 3


class Told(NamedTuple):
    """What a reply says, whether it is a duplicate apart; of a dead letter, nothing of who sent it."""

    command: str | None
    ledger: str | None
    outcome: str
    sequence: int | None
    reason: str | None


class Asking:
    """Whoever asks for replies, on a topic of a house.

    Args:
        house: whose commands ask.
        seed: the same seed makes the same choices.
    """

    def __init__(self, house: House, seed: int) -> None:
        self._house = house
        self._chance = random.Random(seed)
        self._topic = f"{house.topics.prefix}replies.test"

    async def begin(self) -> None:
        """Make the topic."""
        await make(self._house, self._topic, PARTITIONS)

    def asking(self, messages: list[Message]) -> list[Message]:
        """Let most ask for a reply, and some for one that cannot be sent."""
        return [self._asking(message) for message in messages]

    def _asking(self, message: Message) -> Message:
        kind = self._chance.random()
        if kind < 0.1:
            return message
        bad = ("no such topic", "none", self._house.topics.commands)
        to = self._topic if kind < 0.95 else self._chance.choice(bad)
        return replace(message, headers=[*message.headers, (HEADER, to.encode())])

    async def see_that_all_are_told(self) -> int:
        """See that all who asked were told what came of their commands, and nothing else; return how many asked."""
        await _all_noted(self._house)
        should_be: Counter[Told] = Counter()
        for partition in range(self._house.partitions):
            should_be.update(
                self._expected(partition, await self._house.records(self._house.topics.commands, partition))
            )
        told = Counter([one async for one in self._heard()])
        await delete(self._house.kafka, [self._topic])
        assert should_be - told == Counter(), "asked and not told"
        assert told.keys() == should_be.keys(), "told what is not so"
        assert {one.outcome for one in told} == {"accepted", "refused", "dead-letter"}
        return should_be.total()

    def _expected(self, partition: int, records: list[ConsumerRecord]) -> Iterator[Told]:
        """Tell what came of each record that asked, by deciding all of them in memory."""
        model = Model(partition, self._house.partitions)
        model.decide(records)
        letters = {letter.offset: letter for letter in model.should_be.dead_letters}
        for came in records:
            record = Record(came.offset, came.timestamp, came.key, came.value, came.headers)
            if dict(record.headers).get(HEADER) != self._topic.encode():
                continue
            reading, letter = read(record), letters.get(record.offset)
            if isinstance(reading, Reading) and type(reading.command) is Tick:
                continue
            if letter:
                yield Told(None, None, "dead-letter", None, letter.reason)
            elif isinstance(reading, Reading):
                outcome = model.should_be.outcomes[reading.key]
                event = decode_told(model.should_be.event((outcome.ledger, outcome.sequence)) or b"")
                name = "refused" if event.reason else "accepted"
                yield Told(reading.command.id, outcome.ledger, name, outcome.sequence, event.reason)

    async def _heard(self) -> AsyncIterator[Told]:
        """Read all replies, as any subscriber may; each has the id of its command as its key."""
        for number in range(PARTITIONS):
            for record in await self._house.records(self._topic, number):
                reply = decode_reply(record.value)
                assert record.key == (None if reply.command is None else reply.command.encode())
                dead = reply.outcome == "dead-letter"
                yield Told(
                    None if dead else reply.command,
                    None if dead else reply.ledger,
                    reply.outcome,
                    reply.sequence,
                    reply.reason,
                )


async def make(house: House, topic: str, partitions: int) -> None:
    """Make a topic, as whoever wants it does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=house.kafka.servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()


async def _all_noted(house: House) -> None:
    """Wait until the writer has noted that all is answered."""
    async with asyncio.timeout(PATIENTLY_S), await psycopg.AsyncConnection.connect(house.dsn, autocommit=True) as asked:
        while True:
            row = await (await asked.execute("select bool_and(replied = next) from journal.offsets")).fetchone()
            if row == (True,):
                return
            await asyncio.sleep(LOOKS_EVERY_S)
