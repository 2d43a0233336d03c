"""What waits is seen, for how long, and for whom, though nobody is there to be asked."""

import asyncio
import json

from services.kafka.ports import Message
from services.settings import Secret, Settings
from services.status import status
from tests.services.transactions import send_in_one
from tests.system.conftest import MakeHouse
from tests.system.house import House


def settings(house: House) -> Settings:
    dsn = Secret(house.dsn)
    return Settings(instance="status", dsn=dsn, read_dsn=dsn, kafka=house.kafka, prefix=house.topics.prefix)


def message(**command: str) -> Message:
    return Message(b"main", json.dumps(command).encode(), ())


async def test_what_waits_is_seen_with_its_age_and_nobody_at_work_is_told(make_house: MakeHouse) -> None:
    house = await make_house()
    writer = house.start("writer")
    said = [message(type="open-ledger.v1", id="1"), message(type="open-account.v1", id="2", account="alice")]
    await house.send(0, [*said, message(type="no-such.v1", id="3")])
    await house.decided()
    (shard,), before = await status(settings(house), 1)
    await writer.stop()
    await house.send(0, said[:1])
    await asyncio.sleep(0.1)

    (later,), after = await status(settings(house), 1)

    assert (shard.next, shard.commands, shard.lag, shard.lag_s) == (3, 3, 0, 0)
    assert (shard.position, shard.publisher_lag, shard.projector_lag) == (2, 2, 2)
    assert min(shard.publisher_lag_s, shard.projector_lag_s, shard.oldest_unpublished_s) >= 1
    assert (shard.dead_letters, shard.dead_letters_unpublished, shard.replies_lag) == ({"MALFORMED": 1}, 1, 0)
    assert (later.next, later.commands, later.lag) == (3, 4, 1)
    assert later.lag_s >= 1
    assert later.publisher_lag_s > shard.publisher_lag_s
    assert [one.process for one in before if one.live] == ["writer"]
    assert [one.process for one in after if one.live] == []


async def test_the_end_of_a_transaction_waits_for_nobody_and_hides_nobody_who_waits(make_house: MakeHouse) -> None:
    house = await make_house()
    writer = house.start("writer")
    kafka, topic = house.kafka.servers, house.topics.commands
    await send_in_one(kafka, topic, b'{"type":"open-ledger.v1","id":"1"}')
    await house.until(lambda reach: reach.decided == 1)
    await writer.stop()

    (nobody,), _ = await status(settings(house), 1)
    await send_in_one(kafka, topic, b'{"type":"open-account.v1","id":"2","account":"alice"}')
    (somebody,), _ = await status(settings(house), 1)

    assert (nobody.next, nobody.lag, nobody.lag_s) == (1, 0, 0)
    assert somebody.lag > 0
    assert somebody.lag_s >= 1
