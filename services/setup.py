"""What one installation is: a prefix, so many partitions, a cluster and the topics in it, noted in its database.

Law: made once by `defter setup`, which may be repeated and may run twice at once; looked at by every process when it
starts. A name alone tells nothing about what was written to a topic before, so ids are compared; whatever differs is
said by name, with what to do.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import psycopg
from msgspec import Struct
from psycopg.rows import dict_row

from services.errors import Unexpected
from services.journal import answers
from services.journal.connection import parameters
from services.kafka.topics import Cluster, Topics, create, describe, faults
from services.migrations import allow_read_models, check, holds, migrate
from services.projector import prepare
from services.settings import Settings

_Connection = psycopg.Connection[dict[str, Any]]

_BEGIN_ANEW: Final = "begin anew with a fresh database and another DEFTER_PREFIX"


class Installed(Struct, frozen=True):
    """The one installation that a database serves: the row of `journal.installation`."""

    prefix: str
    partitions: int
    cluster_id: str
    commands_topic_id: str
    events_topic_id: str
    dead_letters_topic_id: str
    postings_topic_id: str | None = None

    @property
    def topics(self) -> Topics:
        """The names of its topics."""
        return Topics(self.prefix)


class Done(Struct, frozen=True):
    """What a setup did: nothing, where everything was there."""

    installed: Installed
    migrations: list[str]
    topics: list[str]


async def setup(settings: Settings, partitions: int | None = None, *, accept_topics: bool = False) -> Done:
    """Make schema, roles and topics, those that are missing, and note what belongs together.

    Args:
        settings: where.
        partitions: how many, for ever; else as many as there are, or 1.
        accept_topics: note the topics that are there now, though others were noted before.

    Raises:
        Away: PostgreSQL or Kafka does not answer.
        Unexpected: what is there is not of this installation; nothing was changed.
    """
    noted = await asyncio.to_thread(_noted, settings.database(0))
    if noted and partitions not in {None, noted.partitions}:
        raise Unexpected(
            f"the database holds an installation of {noted.partitions} partitions, not {partitions}",
            f"the number is fixed for ever: leave --partitions out, or {_BEGIN_ANEW}",
        )
    count = noted.partitions if noted else partitions or 1
    topics, kafka = Topics(settings.prefix), settings.brokers()
    names = topics.all(postings=settings.postings)
    before = await describe(kafka, names)
    if noted and not accept_topics:
        _raise_first(_differences(noted, settings, before))
    _raise_first(_other_counts(before, topics, count))
    if noted:
        await asyncio.to_thread(_see_that_all_are_where_they_were, settings, count)
    migrated = await asyncio.to_thread(_migrate, settings, count)
    for dsn in {settings.read_database(shard) for shard in range(count)}:
        await asyncio.to_thread(prepare, dsn)
    made = await create(kafka, topics, count, postings=settings.postings)
    after = await describe(kafka, names)
    _raise_first(faults(after, topics, count, postings=settings.postings))
    installed = _installed(settings, count, after)
    for dsn in {settings.database(shard) for shard in range(count)}:
        await asyncio.to_thread(_note, dsn, installed, accept_topics=accept_topics)
    return Done(installed, migrated, made)


async def check_installation(settings: Settings, shards: Iterable[int] = (0,)) -> Installed:
    """See that database and Kafka are the two that belong together, as this release expects them.

    Args:
        settings: where they are said to be.
        shards: whose databases are looked at.

    Raises:
        Away: one of them does not answer.
        Unexpected: one of them is another one, or not set up, or changed; the message says which and what to do.
    """
    found = [await asyncio.to_thread(_checked, settings.database(shard), shard) for shard in shards]
    cluster = await describe(settings.brokers(), Topics(settings.prefix).all(postings=settings.postings))
    for installed in found:
        _raise_first(_differences(installed, settings, cluster))
    topics = found[0].topics
    _raise_first(faults(cluster, topics, found[0].partitions, postings=settings.postings))
    return found[0]


async def check_shard(settings: Settings, shard: int, installed: Installed) -> None:
    """See that a shard whose journal has a database of its own is of the same installation as the first shard.

    Raises:
        Away: PostgreSQL does not answer.
        Unexpected: it is of another one, or not set up.
    """
    dsn = settings.database(shard)
    if dsn == settings.database(0):
        return
    found = await asyncio.to_thread(_checked, dsn, shard)
    if _without_postings(found) != _without_postings(installed):
        raise Unexpected(
            f"the database of shard {shard} belongs to another installation than that of shard 0: it serves the topics "
            f"{found.prefix}… of the cluster {found.cluster_id}",
            "set DEFTER_DATABASE so that {shard} leads each shard to the database that it was set up in",
        )


async def read_installation(settings: Settings) -> Installed:
    """Read what the database of the first shard says, without asking Kafka. Raises as `check_installation`."""
    return await asyncio.to_thread(_checked, settings.database(0), 0)


def _checked(dsn: str, shard: int) -> Installed:
    with _connected(dsn) as connection:
        check(connection, shard)
        row = connection.execute("select * from journal.installation").fetchone()
        if row is None:
            raise Unexpected(f"no `defter setup` was finished on the database {connection.info.dbname}", answers.SETUP)
        return msgspec.convert(row, Installed)


def _noted(dsn: str) -> Installed | None:
    """Return what is noted, of whatever release; None where there is nothing yet."""
    with _connected(dsn) as connection:
        try:
            row = connection.execute("select * from journal.installation").fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return None
        return msgspec.convert(row, Installed) if row else None


def _see_that_all_are_where_they_were(settings: Settings, count: int) -> None:
    """Raise `Unexpected` where a shard is not in its database: made anew beside the old one, it would begin anew."""
    for shard in range(count):
        if not holds(settings.database(shard), shard):
            raise Unexpected(
                f"shard {shard} was set up before, and not in the database that DEFTER_DATABASE names for it now",
                f"set DEFTER_DATABASE so that it leads shard {shard} to where it was; to move it, move its database",
            )


def _without_postings(installed: Installed) -> Installed:
    return msgspec.structs.replace(installed, postings_topic_id=None)


def _migrate(settings: Settings, count: int) -> list[str]:
    places: dict[str, list[int]] = {}
    for shard in range(count):
        places.setdefault(settings.database(shard), []).append(shard)
    applied = [name for dsn, shards in places.items() for name in migrate(dsn, shards)]
    for dsn in {settings.read_database(shard) for shard in range(count)} - places.keys():
        allow_read_models(dsn)
    return applied


def _note(dsn: str, installed: Installed, *, accept_topics: bool) -> None:
    """Note the installation, unless another setup did at the same moment; then it must be the same."""
    columns = msgspec.structs.asdict(installed)
    names, places = ", ".join(columns), ", ".join(f"%({name})s" for name in columns)
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns)
    # The topic of postings may come later, when somebody first wants it.
    late = "postings_topic_id = coalesce(installation.postings_topic_id, excluded.postings_topic_id)"
    statement = (
        f"insert into journal.installation as installation ({names}) values ({places}) "  # noqa: S608 - names are ours
        f"on conflict (one_row) do update set {changes if accept_topics else late} returning *"
    )
    with _connected(dsn) as connection:
        row = connection.execute(statement.encode(), columns).fetchone()
    noted = msgspec.convert(row, Installed)
    if _without_postings(noted) != _without_postings(installed):
        raise Unexpected("another `defter setup` at the same moment noted another installation", "run it again")


def _installed(settings: Settings, count: int, cluster: Cluster) -> Installed:
    topics = Topics(settings.prefix)
    ids = {name: str(topic.id) for name, topic in cluster.topics.items()}
    return Installed(
        prefix=settings.prefix,
        partitions=count,
        cluster_id=cluster.id,
        commands_topic_id=ids[topics.commands],
        events_topic_id=ids[topics.events],
        dead_letters_topic_id=ids[topics.dead_letters],
        postings_topic_id=ids.get(topics.postings),
    )


def _differences(noted: Installed, settings: Settings, cluster: Cluster) -> Iterator[Unexpected]:
    """Tell what is not as noted, gravest first."""
    if noted.prefix != settings.prefix:
        yield Unexpected(
            f"the database serves the topics {noted.prefix}…, not {settings.prefix}…",
            f"set DEFTER_PREFIX={noted.prefix}, or DEFTER_DATABASE to the database that belongs to {settings.prefix}",
        )
        return
    if noted.cluster_id != cluster.id:
        yield Unexpected(
            f"Kafka at {settings.brokers().servers} is the cluster {cluster.id}; "
            f"the database belongs to {noted.cluster_id}",
            f"set DEFTER_KAFKA to that cluster; where it is gone for good, {_BEGIN_ANEW}",
        )
        return
    wanted = [noted.commands_topic_id, noted.events_topic_id, noted.dead_letters_topic_id]
    if settings.postings and noted.postings_topic_id:
        wanted.append(noted.postings_topic_id)
    for name, known in zip(noted.topics.all(postings=settings.postings), wanted, strict=False):
        topic = cluster.topics.get(name)
        if topic is None:
            yield gone(noted, name, cluster)
        elif str(topic.id) != known:
            yield Unexpected(
                f"topic {name} was deleted and made anew: its id is {topic.id}, the database knows {known}",
                _remedy(noted, name),
            )


def gone(noted: Installed, name: str, cluster: Cluster) -> Unexpected:
    """Say that a topic is not there any more, and what to do."""
    return Unexpected(f"Kafka cluster {cluster.id} has no topic {name} any more", _remedy(noted, name))


def _remedy(noted: Installed, name: str) -> str:
    if name == noted.topics.commands:
        return (
            "the journal is whole, but what is in this topic was never part of it: bring back the topic that was read "
            f"before, or {_BEGIN_ANEW}"
        )
    return (
        "the journal is whole, only what was published is gone: `defter setup --accept-topics` takes the topic as it "
        "is now (and makes it where it is missing); `defter publisher --from-position P` then publishes again what "
        "comes after the position P, 0 for everything"
    )


def _other_counts(cluster: Cluster, topics: Topics, count: int) -> Iterator[Unexpected]:
    """Tell which topics are there already with another number of partitions, before anything is made beside them."""
    for name in topics.all():
        topic = cluster.topics.get(name)
        if topic and topic.partitions != count:
            yield Unexpected(
                f"topic {name} is there already and has {topic.partitions} partitions, not {count}",
                f"run `defter setup --partitions {topic.partitions}`, or set another DEFTER_PREFIX",
            )


def _raise_first(found: Iterable[Unexpected]) -> None:
    for one in found:
        raise one


@contextmanager
def _connected(dsn: str) -> Iterator[_Connection]:
    with (
        answers.understood(),
        psycopg.connect(**parameters(dsn, "defter-check"), autocommit=True, row_factory=dict_row) as connection,
    ):
        yield connection
