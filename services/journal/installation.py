"""What a database knows of the Kafka that it belongs to: the one installation that it serves, and the topics that were written to.

Topics are known by id, because a topic deleted and made anew has the same name and is another topic.
"""

from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row

from services.journal import answers
from services.journal.connection import parameters

_READ: Final = """
select prefix, partitions, cluster_id, commands_topic_id, events_topic_id, dead_letters_topic_id, postings_topic_id from journal.installation"""

_WRITE: Final = """
insert into journal.installation (prefix, partitions, cluster_id, commands_topic_id, events_topic_id, dead_letters_topic_id, postings_topic_id)
values (%s, %s, %s, %s, %s, %s, %s)
on conflict (one_row) do update
   set prefix = excluded.prefix, partitions = excluded.partitions, cluster_id = excluded.cluster_id, commands_topic_id = excluded.commands_topic_id,
       events_topic_id = excluded.events_topic_id, dead_letters_topic_id = excluded.dead_letters_topic_id,
       postings_topic_id = excluded.postings_topic_id"""

_OUTPUT: Final = """
select topic, topic_id, cluster_id from journal.outputs where shard = %s and topic = %s order by noted_at desc limit 1"""

_NOTE_OUTPUT: Final = """
insert into journal.outputs (shard, topic, topic_id, cluster_id, noted_at) values (%s, %s, %s, %s, clock_timestamp())
on conflict (shard, topic, topic_id) do nothing"""


class Installation(NamedTuple):
    """The one installation that a database serves. Topic ids are as Kafka writes them; that of `postings` is absent until that topic is made."""

    prefix: str
    partitions: int
    cluster_id: str
    commands_topic_id: str
    events_topic_id: str
    dead_letters_topic_id: str
    postings_topic_id: str | None


class Output(NamedTuple):
    """A topic that a shard writes to, as it was when it was first written."""

    topic: str
    topic_id: str
    cluster_id: str


async def read_installation(dsn: str) -> Installation | None:
    """Return what `defter setup` noted; None where it has noted nothing yet. Raises `Away`, `Unexpected`."""
    with answers.understood():
        async with await _connect(dsn, "installation") as connection, connection.cursor(row_factory=class_row(Installation)) as cursor:
            return await (await cursor.execute(_READ.encode())).fetchone()


async def write_installation(dsn: str, installation: Installation) -> None:
    """Note, as the owner, what this database serves, in place of what was noted before. Raises `Away`, `Unexpected`."""
    with answers.understood():
        async with await _connect(dsn, "setup") as connection:
            await connection.execute(_WRITE.encode(), installation)


async def read_output(dsn: str, shard: int, topic: str) -> Output | None:
    """Return the topic of this name that `shard` noted last; None where it has never written to one. Raises `Away`, `Unexpected`."""
    with answers.understood():
        async with await _connect(dsn, "outputs") as connection, connection.cursor(row_factory=class_row(Output)) as cursor:
            return await (await cursor.execute(_OUTPUT.encode(), (shard, topic))).fetchone()


async def note_output(dsn: str, shard: int, output: Output) -> None:
    """Note a topic before the first message of `shard` to it. Noting it again changes nothing. Raises `Away`, `Unexpected`."""
    with answers.understood():
        async with await _connect(dsn, "outputs", "set role defter_publisher") as connection:
            await connection.execute(_NOTE_OUTPUT.encode(), (shard, *output))


async def _connect(dsn: str, what: str, first: str = "") -> psycopg.AsyncConnection[Any]:
    connection = await psycopg.AsyncConnection.connect(**parameters(dsn, f"defter-{what}"), autocommit=True)
    if first:
        await connection.execute(first.encode())
    return connection
