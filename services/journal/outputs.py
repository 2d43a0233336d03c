"""Which topics a shard has written to, by id: a topic deleted and made anew has the same name and is another topic."""

from typing import Final, NamedTuple

import psycopg

from services.errors import Unexpected
from services.journal import answers
from services.journal.connection import parameters
from services.migrations import PUBLISHER

_LAST: Final = """
select topic, topic_id, cluster_id from journal.outputs
 where shard = %s and topic = %s order by noted_at desc limit 1"""

_NOTE: Final = """
insert into journal.outputs (shard, topic, topic_id, cluster_id) values (%s, %s, %s, %s)"""


class Output(NamedTuple):
    """A topic that a shard writes to. The ids are as Kafka writes them."""

    topic: str
    topic_id: str
    cluster_id: str


async def note_output(dsn: str, shard: int, output: Output, *, instead: bool = False) -> bool:
    """Note a topic before the first message of `shard` to it.

    Args:
        dsn: the database that holds the shard.
        shard: which one.
        output: the topic as it is now.
        instead: note it even where another topic of that name was noted before: somebody chose to.

    Returns:
        Whether this very topic was noted before, so that messages of the shard must be in it.

    Raises:
        Away: PostgreSQL does not answer.
        Unexpected: another topic of that name was noted before.
    """
    with answers.understood():
        arguments = parameters(dsn, f"defter-publisher-{shard}-outputs")
        async with await psycopg.AsyncConnection.connect(**arguments) as connection:
            await connection.execute("select set_config('role', %s, false)", (PUBLISHER,))
            row = await (await connection.execute(_LAST.encode(), (shard, output.topic))).fetchone()
            noted = Output(*row) if row else None
            if noted and noted != output and not instead:
                raise Unexpected(
                    f"the topic {output.topic} has the id {output.topic_id} in the cluster {output.cluster_id}; "
                    f"shard {shard} has written to {noted.topic_id} in {noted.cluster_id}",
                    "bring that topic back, or choose where to begin in the new one with `--from-position`",
                )
            if noted != output:
                await connection.execute(_NOTE.encode(), (shard, *output))
            return noted == output
