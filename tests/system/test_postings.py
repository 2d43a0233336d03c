"""Postings one by one, over partitions of any number, from a publisher that is killed in between."""

from collections import defaultdict

import msgspec

from schemas.postings import encode_posting, postings
from services.setup import read_installation, setup
from tests.system.conftest import MakeHouse
from tests.system.house import House, Reach
from tests.system.load import Load
from tests.system.model import Model
from tests.system.replies import make

PARTITIONS = 3
SLICES, SLICE = 4, 80


async def test_whoever_follows_an_account_misses_no_posting_when_the_publisher_is_killed(make_house: MakeHouse) -> None:
    house = await make_house()
    await make(house, house.topics.postings, PARTITIONS)
    settings = msgspec.structs.replace(house.settings, postings=True)
    await setup(settings)
    wanted = {"DEFTER_POSTINGS": "1", "DEFTER_CLOUDEVENTS": "1"}
    house.start("writer")
    publisher = house.process("publisher", "--kill-at", "posted:2", more=wanted)
    publisher.start()
    load = Load(17, 0, 1)

    for _ in range(SLICES):
        await house.send(0, load.messages(SLICE))
        if publisher.runs:
            await house.until(lambda reach: published(reach) or not publisher.runs)
    assert await publisher.ended() == -9
    publisher.arguments = ()
    publisher.start()
    await house.until(published)

    assert (await read_installation(settings)).postings_topic_id
    told, again = await heard(house)
    assert told == await expected(house)
    assert again
    events = await house.records(house.topics.events, 0)
    assert all(dict(record.headers)["ce_id"] == dict(record.headers)["sequence"] for record in events)


def published(reach: Reach) -> bool:
    """Tell whether all that was sent is decided and published."""
    return reach.sent == reach.decided and reach.stored == reach.published


async def expected(house: House) -> dict[bytes, list[bytes]]:
    """Take the events apart that should be, by account and in order."""
    model = Model(0, 1)
    model.decide(await house.records(house.topics.commands, 0))
    by_account: dict[bytes, list[bytes]] = defaultdict(list)
    for entry in model.should_be.entries:
        if entry.tag == "transfer-posted.v1":
            for posting in postings(entry.data):
                by_account[f"{posting.ledger}/{posting.account}".encode()].append(encode_posting(posting))
    return by_account


async def heard(house: House) -> tuple[dict[bytes, list[bytes]], int]:
    """Follow every account as a subscriber does that drops what it has; tell how many came again."""
    by_account: dict[bytes, list[bytes]] = defaultdict(list)
    seen: dict[bytes, tuple[int, int]] = {}
    again = 0
    for number in range(PARTITIONS):
        for record in await house.records(house.topics.postings, number):
            sequence, index = map(int, msgspec.json.decode(record.value)["id"].split("."))
            if (sequence, index) <= seen.get(record.key, (0, 0)):
                again += 1
                continue
            seen[record.key] = (sequence, index)
            by_account[record.key].append(record.value)
    return by_account, again
