"""One shard published whenever nobody else does, from its settings to its end: which topics, and whether they will do.

Law: before its first message to a topic the id of the topic is noted. Another topic of that name later, or one whose
records are gone, ends the process rather than being begun anew in silence.

What is sent, and in which order: `services.publisher`.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

from services.errors import Unexpected
from services.health import STARTING
from services.journal.lock import only_one
from services.journal.outputs import Output, note_output
from services.journal.postgres import PostgresJournal
from services.kafka.outbox import KafkaOutbox
from services.kafka.scatter import Scatter
from services.kafka.topics import describe
from services.lag import behind
from services.migrations import PUBLISHER
from services.patience import Readiness, patiently
from services.points import Point, no_point
from services.publisher import Publisher, cloud_headers, empty_now, plain_headers
from services.settings import Settings
from services.setup import Installed, check_shard, gone
from services.tallies import Tallies

Emptied = Callable[[], Awaitable[int | None]]
"""Tells which partition was written to and is empty now, if there is one. May raise `Away`."""


async def publish(
    settings: Settings,
    installed: Installed,
    shard: int,
    readiness: Readiness,
    tallies: Tallies,
    *,
    from_position: int | None = None,
    point: Point = no_point,
) -> None:
    """Publish one shard whenever nobody else does. Being stopped in the middle is harmless: the tail is read again.

    Raises `Unexpected` where a dependency is not the one expected.
    """
    part = f"publisher {shard}"
    readiness.waits(part, STARTING)
    await patiently(part, partial(check_shard, settings, shard, installed), readiness)
    while True:
        readiness.waits(part, "another publisher is the live one")
        lock = only_one(settings.database(shard), "publisher", shard, partial(readiness.waits, part))
        async with lock as held, AsyncExitStack() as resources:
            journal = PostgresJournal(settings.database(shard), shard, PUBLISHER)
            resources.push_async_callback(journal.close)
            outputs = _Outputs(settings, installed, shard, resources)
            await patiently(part, partial(outputs.note, chosen=from_position is not None), readiness)
            readiness.works(part)
            publisher = Publisher(
                journal,
                outputs.events,
                outputs.letters,
                installed.topics.commands,
                readiness,
                scatter=outputs.scatter.send if outputs.scatter else None,
                headers=cloud_headers if settings.cloudevents else plain_headers,
                tally=tallies.publisher(shard),
                point=point,
            )
            look = partial(behind, settings.database(shard), PUBLISHER, shard, publisher.reached)
            resources.enter_context(tallies.at_work("publisher", shard, look))
            await publisher.run(held.lost, start=from_position or 0)


class _Outputs:
    """What a shard is published to; it is let go of with `resources`."""

    def __init__(self, settings: Settings, installed: Installed, shard: int, resources: AsyncExitStack) -> None:
        topics, kafka = installed.topics, settings.brokers()
        self._settings = settings
        self._installed = installed
        self._shard = shard
        self.events, self.letters = (KafkaOutbox(kafka, topic, shard) for topic in (topics.events, topics.dead_letters))
        self.scatter = Scatter(kafka, topics.postings) if settings.postings else None
        self._emptied: dict[str, Emptied] = {
            topics.events: partial(_emptied, self.events),
            topics.dead_letters: partial(_emptied, self.letters),
        }
        if self.scatter:
            self._emptied[topics.postings] = self.scatter.emptied
            if installed.postings_topic_id is None:
                raise Unexpected(
                    "DEFTER_POSTINGS is 1, and this installation has no topic of postings",
                    "run `defter setup` with DEFTER_POSTINGS=1",
                )
        for output in (self.events, self.letters, self.scatter):
            if output is not None:
                resources.push_async_callback(output.close)

    async def note(self, *, chosen: bool) -> None:
        """Note the topics that are written to, and see that what was written is there, unless somebody chose to go on.

        Raises:
            Away: a dependency does not answer.
            Unexpected: the topic is gone or another one, or its records are gone.
        """
        cluster = await describe(self._settings.brokers(), self._emptied)
        for name, emptied in self._emptied.items():
            topic = cluster.topics.get(name)
            if topic is None:
                raise gone(self._installed, name, cluster)
            output = Output(name, str(topic.id), cluster.id)
            await note_output(self._settings.database(self._shard), self._shard, output, instead=chosen)
            partition = await emptied()
            if partition is not None and not chosen:
                raise empty_now(partition, name)


async def _emptied(outbox: KafkaOutbox) -> int | None:
    begin, end = await outbox.bounds()
    return outbox.partition if begin == end > 0 else None
