"""What answers, but is not what is expected: each names itself and what to do about it, and ends with exit 3.

Nothing is skipped in silence, and nothing is changed. Wrong settings: `tests/system/test_wrong_settings.py`.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.structs import TopicPartition

from services.errors import Unexpected
from services.kafka.ports import Message
from services.kafka.topics import create, delete, describe
from services.migrations import NEWEST
from services.publishing import publish
from services.settings import Secret, Settings
from services.setup import check_installation, setup
from services.tallies import Tallies
from tests.services.cli.program import DEFTER, Program
from tests.services.stage import Calm
from tests.system.conftest import MakeHouse
from tests.system.house import House

NOT_EXPECTED = 3


async def test_commands_made_anew(make_house: MakeHouse) -> None:
    house = await make_house()
    await make_anew(house, house.topics.commands)

    said = await refused(house, "writer")

    assert f"topic {house.topics.commands} was deleted and made anew" in said
    assert "remedy: the journal is whole" in said
    assert "bring back the topic that was read before" in said


async def test_commands_shorter_than_what_was_decided(make_house: MakeHouse) -> None:
    house = await make_house()
    await decide(house, 3)
    await make_anew(house, house.topics.commands)
    await accept_topics(house)

    said = await refused(house, "writer")

    assert "ends at offset 0, before the stored offset 3" in said
    assert "remedy: " in said


async def test_commands_beginning_after_what_was_decided(make_house: MakeHouse) -> None:
    house = await make_house()
    await house.send(0, commands(3))
    async with admin(house) as client:
        place = TopicPartition(house.topics.commands, 0)
        await client.delete_records({place: RecordsToDelete(before_offset=2)})

    said = await refused(house, "writer")

    assert "begins at offset 2, after the stored offset 0" in said
    assert "remedy: " in said


async def test_commands_cut_short_and_grown_again(make_house: MakeHouse) -> None:
    house = await make_house()
    await decide(house, 2)
    await make_anew(house, house.topics.commands)
    await accept_topics(house)
    await house.send(0, commands(4)[1:])

    said = await refused(house, "writer")

    assert "holds another record at offset 1 than the one decided" in said
    assert "remedy: " in said


async def test_another_number_of_partitions(make_house: MakeHouse) -> None:
    house = await make_house()
    async with admin(house) as client:
        await client.create_partitions({house.topics.commands: NewPartitions(2)})
    await until_there_are(house, house.topics.commands, 2)

    said = await refused(house, "writer")

    assert f"topic {house.topics.commands} has 2 partitions instead of 1" in said
    assert "remedy: the number is fixed for ever" in said


@pytest.mark.parametrize("process", ["writer", "run"])
async def test_a_missing_topic(make_house: MakeHouse, process: str) -> None:
    house = await make_house()
    await delete(house.kafka, [house.topics.events])
    await until_there_are(house, house.topics.events, 0)

    said = await refused(house, process)

    assert f"no topic {house.topics.events} any more" in said
    assert "remedy: the journal is whole" in said
    assert "defter setup --accept-topics" in said


async def test_a_topic_that_went_while_a_publisher_stood_by(make_house: MakeHouse) -> None:
    house = await make_house()
    installed = await check_installation(house.settings)
    await delete(house.kafka, [house.topics.dead_letters])
    await until_there_are(house, house.topics.dead_letters, 0)

    with pytest.raises(Unexpected, match=f"no topic {house.topics.dead_letters} any more") as refused:
        await publish(house.settings, installed, 0, Calm(), Tallies())

    assert "defter setup --accept-topics" in refused.value.remedy


async def test_an_events_topic_made_anew_is_filled_again_when_somebody_says_so(make_house: MakeHouse) -> None:
    house = await make_house()
    await decide(house, 3)
    publisher = house.start("publisher")
    await house.until(lambda reach: reach.published == reach.stored)
    await publisher.stop()
    before = await house.records(house.topics.events, 0)
    await make_anew(house, house.topics.events)
    assert "defter publisher --from-position" in await refused(house, "publisher")

    await accept_topics(house)
    arguments = (DEFTER, "publisher", "--from-position", "0")
    running = await asyncio.create_subprocess_exec(
        *arguments, env=program(house).environment, stderr=subprocess.DEVNULL
    )
    await house.until(lambda reach: reach.published == reach.stored)
    running.terminate()

    assert await running.wait() == 0
    assert [record.value for record in await house.records(house.topics.events, 0)] == [row.value for row in before]


async def test_a_database_without_setup(make_house: MakeHouse, superuser: psycopg.Connection) -> None:
    house = await make_house()
    with another_database(superuser, house, "template1") as dsn:
        said = await refused(house, "projector", dsn=dsn)

    assert "has no schema of Defter" in said
    assert "remedy: run `defter setup`" in said


async def test_a_newer_schema(make_house: MakeHouse) -> None:
    house = await make_house()
    change(house, f"insert into journal.migrations (version, shard, name) values ({NEWEST + 1}, -1, 'later')")

    said = await refused(house, "writer")

    assert f"is newer ({NEWEST + 1}) than this release knows ({NEWEST})" in said
    assert "remedy: use the release of Defter that ran `defter setup` on it" in said


async def test_an_older_schema(make_house: MakeHouse) -> None:
    house = await make_house()
    change(house, "delete from journal.migrations where version = 1")

    said = await refused(house, "writer")

    assert "is older than this release" in said
    assert "remedy: run `defter setup`" in said


async def test_an_older_database_restored(make_house: MakeHouse, superuser: psycopg.Connection) -> None:
    house = await make_house()
    with another_database(superuser, house, house.dsn.rpartition("/")[2]) as older:
        await decide(house, 2)
        publisher = house.start("publisher")
        await house.until(lambda reach: reach.published == reach.stored)
        await publisher.stop()

        said = await refused(house, "publisher", dsn=older)

    assert "is not in the journal" in said
    assert "remedy: the database was restored from before it" in said


async def test_the_database_of_another_cluster(make_house: MakeHouse) -> None:
    house = await make_house()
    change(house, "update journal.installation set cluster_id = 'the-other-one'")

    said = await refused(house, "writer")

    assert "the database belongs to the-other-one" in said
    assert "remedy: set DEFTER_KAFKA to that cluster" in said


async def test_the_database_of_another_prefix(make_house: MakeHouse) -> None:
    house = await make_house()
    change(house, "update journal.installation set prefix = 'other.'")

    said = await refused(house, "writer")

    assert f"the database serves the topics other.…, not {house.topics.prefix}…" in said
    assert "remedy: set DEFTER_PREFIX=other." in said


async def test_a_database_that_is_not_there(make_house: MakeHouse) -> None:
    house = await make_house()

    said = await refused(house, "writer", dsn=house.dsn.rpartition("/")[0] + "/nowhere")

    assert 'database "nowhere" does not exist' in said
    assert "remedy: check user, password and database in DEFTER_DATABASE" in said


async def refused(house: House, name: str, *, dsn: str = "") -> str:
    """Start a process that must end with exit 3, and return what it said last: one sentence and what to do."""
    done = await asyncio.to_thread(program(house, dsn).installed, name)
    assert done.code == NOT_EXPECTED, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.rpartition("defter: ")[2]


def program(house: House, dsn: str = "") -> Program:
    """Return the program with the settings of an installation, or with another database."""
    kafka, prefix = house.kafka.servers, house.topics.prefix
    return Program({"DEFTER_DATABASE": dsn or house.dsn, "DEFTER_KAFKA": kafka, "DEFTER_PREFIX": prefix})


def commands(count: int) -> list[Message]:
    """Return commands that are all different: a ledger, and accounts in it."""
    values = [b'{"type":"open-ledger.v1","id":"ledger"}']
    values += [b'{"type":"open-account.v1","id":"%d","account":"a%d"}' % (number, number) for number in range(count)]
    return [Message(b"main", value, ()) for value in values[:count]]


async def decide(house: House, count: int) -> None:
    """Send commands and have them decided, by a writer that is gone again afterwards."""
    await house.send(0, commands(count))
    writer = house.start("writer")
    await house.decided()
    await writer.stop()


async def make_anew(house: House, name: str) -> None:
    """Delete a topic, and make one of the same name."""
    await delete(house.kafka, [name])
    await until_there_are(house, name, 0)
    await create(house.kafka, house.topics, house.partitions)


async def until_there_are(house: House, name: str, partitions: int) -> None:
    """Wait until every broker knows the topic so; 0 partitions: not at all."""
    while True:
        topic = (await describe(house.kafka, [name])).topics.get(name)
        if (topic.partitions if topic else 0) == partitions:
            return
        await asyncio.sleep(0.05)


async def accept_topics(house: House) -> None:
    """Do what `defter setup --accept-topics` does."""
    dsn = Secret(house.dsn)
    prefix = house.topics.prefix
    settings = Settings(instance="setup", dsn=dsn, read_dsn=dsn, kafka=house.kafka, prefix=prefix)
    await setup(settings, accept_topics=True)


def change(house: House, statement: str) -> None:
    """Change what the database says."""
    with psycopg.connect(house.dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


@contextmanager
def another_database(superuser: psycopg.Connection, house: House, template: str) -> Iterator[str]:
    """Make a copy of a database, beside that of the installation; return where it is."""
    name = house.dsn.rpartition("/")[2] + "_copy"
    superuser.execute(f"create database {name} template {template}".encode())
    yield house.dsn.rpartition("/")[0] + f"/{name}"
    superuser.execute(f"drop database {name} with (force)".encode())


@asynccontextmanager
async def admin(house: House) -> AsyncIterator[Any]:
    """Talk to Kafka as whoever administers it."""
    client = AIOKafkaAdminClient(bootstrap_servers=house.kafka.servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()
