"""One shard published whenever nobody else does, from its settings to its end: which topics, and whether they will do.

Law: before its first message to a topic the id of the topic is noted. Another topic of that name later, or one whose
records are gone, ends the process rather than being begun anew in silence.

What is sent, and in which order: `services.publisher`.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial

from services.errors import Unexpected
from services.journal.lock import only_one
from services.journal.outputs import Output, note_output
from services.journal.postgres import PostgresJournal
from services.kafka.outbox import KafkaOutbox
from services.kafka.scatter import Scatter
from services.kafka.topics import describe
from services.lag import behind
from services.migrations import PUBLISHER
from services.patience import Readiness, patiently
from services.publisher import Publisher, cloud_headers, plain_headers
from services.settings import Settings
from services.setup import Installed, check_shard
from services.tallies import Tallies
from services.writer import Point, no_point

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

    Raises:
        Unexpected: a dependency is not the one expected.
    """
    part = f"publisher {shard}"
    await patiently(part, partial(check_shard, settings, shard, installed), readiness)
    while True:
        readiness.waits(part, "another publisher is the live one")
        async with only_one(settings.database(shard), "publisher", shard) as held, AsyncExitStack() as resources:
            journal = PostgresJournal(settings.database(shard), shard, PUBLISHER)
            resources.push_async_callback(journal.close)
            topics = installed.topics
            events, letters = (
                KafkaOutbox(settings.brokers(), topic, shard) for topic in (topics.events, topics.dead_letters)
            )
            resources.push_async_callback(events.close)
            resources.push_async_callback(letters.close)
            outputs: dict[str, Emptied] = {
                topics.events: partial(_emptied, events),
                topics.dead_letters: partial(_emptied, letters),
            }
            scatter = _scatter(settings, installed)
            if scatter is not None:
                resources.push_async_callback(scatter.close)
                outputs[topics.postings] = scatter.emptied
            await patiently(part, partial(_note, settings, shard, outputs, chosen=from_position is not None), readiness)
            readiness.works(part)
            publisher = Publisher(
                journal,
                events,
                letters,
                topics.commands,
                readiness,
                scatter=scatter.send if scatter else None,
                headers=cloud_headers if settings.cloudevents else plain_headers,
                tally=tallies.publisher(shard),
                point=point,
            )
            look = partial(behind, settings.database(shard), PUBLISHER, shard, publisher.reached)
            resources.enter_context(tallies.at_work("publisher", shard, look))
            await publisher.run(held.lost, start=from_position or 0)


def _scatter(settings: Settings, installed: Installed) -> Scatter | None:
    if not settings.postings:
        return None
    if installed.postings_topic_id is None:
        raise Unexpected(
            "DEFTER_POSTINGS is 1, and this installation has no topic of postings",
            "run `defter setup` with DEFTER_POSTINGS=1",
        )
    return Scatter(settings.brokers(), installed.topics.postings)


async def _emptied(outbox: KafkaOutbox) -> int | None:
    begin, end = await outbox.bounds()
    return outbox.partition if begin == end > 0 else None


async def _note(settings: Settings, shard: int, outputs: Mapping[str, Emptied], *, chosen: bool) -> None:
    """Note the topics that are written to, and see that what was written is there, unless somebody chose to go on.

    Raises:
        Away: a dependency does not answer.
        Unexpected: the topic is another one, or its records are gone.
    """
    cluster = await describe(settings.brokers(), outputs)
    for name, emptied in outputs.items():
        output = Output(name, str(cluster.topics[name].id), cluster.id)
        await note_output(settings.database(shard), shard, output, instead=chosen)
        partition = await emptied()
        if partition is not None and not chosen:
            raise Unexpected(
                f"partition {partition} of {name} was written to and is empty now",
                "bring the records back, or choose where to go on with `defter publisher --from-position`",
            )
