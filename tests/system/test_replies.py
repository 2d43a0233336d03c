"""The writer is killed again and again. Every command that asked has its reply, at least once, and none a wrong one."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import psycopg
from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas.commands import Tick
from schemas.replies import decode_reply, decode_told
from services.kafka.ports import Message, Record
from services.kafka.topics import delete
from services.reading import Reading, read
from services.requests import HEADER
from tests.system.conftest import MakeHouse
from tests.system.house import LOOKS_EVERY_S, House
from tests.system.load import Load
from tests.system.model import Model
from tests.system.processes import PATIENTLY_S

KILLS, SOME = 2, 80
PARTITIONS_OF_REPLIES = 3


class Told(NamedTuple):
    """What a reply says, whether it is a duplicate apart; of a dead letter, nothing of who sent it."""

    command: str | None
    ledger: str | None
    outcome: str
    sequence: int | None
    reason: str | None


async def test_whenever_the_writer_is_killed_whoever_asked_is_told_what_the_journal_holds(
    make_house: MakeHouse,
) -> None:
    house = await make_house()
    topic = f"{house.topics.prefix}replies.test"
    await make(house, topic, PARTITIONS_OF_REPLIES)
    load, chance = Load(13, 0, 1), random.Random(13)

    async def send() -> None:
        await house.send(0, [asking(message, topic, chance) for message in load.messages(SOME)])

    writer = house.start("writer", "--kill-at", "committed:3")
    while writer.runs:
        await send()
        await asyncio.sleep(0.05)
    writer.arguments = ()
    for _ in range(KILLS):
        writer.start()
        before = await house.next()
        await house.until(lambda reach, before=before: reach.decided > before)  # type: ignore[misc]
        await send()
        await asyncio.sleep(chance.uniform(0, 0.1))
        writer.kill()
        await send()
    writer.start()
    await house.decided()
    await all_noted(house)

    should_be = Counter(expected(await house.records(house.topics.commands, 0)))
    told = Counter([one async for one in heard(house, topic)])
    await delete(house.kafka, [topic])
    assert should_be - told == Counter(), "asked and not told"
    assert told.keys() == should_be.keys(), "told what is not so"
    assert {one.outcome for one in told} == {"accepted", "refused", "dead-letter"}


def asking(message: Message, topic: str, chance: random.Random) -> Message:
    """Let most ask for a reply, and some for one that cannot be sent."""
    kind = chance.random()
    if kind < 0.1:
        return message
    to = topic if kind < 0.95 else chance.choice(["no such topic", "none", topic.replace("replies.test", "commands")])
    return message._replace(headers=[*message.headers, (HEADER, to.encode())])


def expected(records: list[ConsumerRecord]) -> Iterator[Told]:
    """Tell what came of each record that asked, by deciding all of them in memory."""
    model = Model(0, 1)
    model.decide(records)
    letters = {letter.offset: letter for letter in model.should_be.dead_letters}
    for came in records:
        record = Record(came.offset, came.timestamp, came.key, came.value, came.headers)
        if not (dict(record.headers).get(HEADER) or b"").endswith(b"replies.test"):
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


async def heard(house: House, topic: str) -> AsyncIterator[Told]:
    """Read all replies, as any subscriber may; each has the id of its command as its key."""
    for number in range(PARTITIONS_OF_REPLIES):
        for record in await house.records(topic, number):
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


async def all_noted(house: House) -> None:
    """Wait until the writer has noted that all is answered."""
    async with asyncio.timeout(PATIENTLY_S), await psycopg.AsyncConnection.connect(house.dsn, autocommit=True) as asked:
        while True:
            row = await (await asked.execute("select replied = next from journal.offsets")).fetchone()
            if row == (True,):
                return
            await asyncio.sleep(LOOKS_EVERY_S)


async def make(house: House, topic: str, partitions: int) -> None:
    """Make a topic, as whoever wants it does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=house.kafka.servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()
