"""Where it is measured: servers set as `defter dev` sets them, and on them an installation that nobody else has.

Law: what is made here is taken away here; what was there before is left alone.
"""

import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from services.bench.beside import replies_topic
from services.dev import Installation, default_directory, find
from services.errors import Away, Unexpected
from services.journal import answers
from services.kafka.topics import Topics, delete
from services.settings import Secret, Settings
from services.setup import setup

NAME: Final = "defter-bench"
"""What PostgreSQL knows the connections of the measurement itself by."""

_DURABLE: Final = ("fsync", "synchronous_commit", "full_page_writes")


@contextmanager
def servers(settings: Settings, say: Callable[[str], None]) -> Iterator[Settings]:
    """Lend servers: those that the settings name, else those of the running local installation, else new ones.

    Args:
        settings: as read from the environment.
        say: told which.

    Raises:
        Away: they do not answer.
        Unexpected: they are not durable, or cannot be started.
    """
    if not settings.local:
        say(f"on the servers of DEFTER_DATABASE and DEFTER_KAFKA ({settings.brokers().servers})")
        _see_that_durable(settings)
        yield settings
    elif addresses := find(default_directory()):
        say(f"on the local installation of `defter dev` (Kafka {addresses.kafka})")
        yield settings.at(*addresses)
    else:
        say("starting PostgreSQL and Kafka for this measurement …")
        installation = Installation(Path(tempfile.mkdtemp(prefix="defter-bench-")), keep=False)
        installation.start(say)
        try:
            lent = settings.at(*installation.addresses)
            _make_log_files(lent)
            yield lent
        finally:
            installation.stop()


@asynccontextmanager
async def fresh(settings: Settings, partitions: int = 1, *, postings: bool = False) -> AsyncIterator[Settings]:
    """Make an installation, in a database and under a prefix of its own, and delete it in the end.

    Args:
        settings: which servers.
        partitions: how many it has.
        postings: whether it publishes postings.

    Raises:
        Away: a server does not answer.
        Unexpected: the user may not make a database.
    """
    name = f"bench_{secrets.token_hex(6)}"
    dsn = Secret(make_conninfo(settings.database(0), dbname=name))
    own = msgspec.structs.replace(
        settings,
        dsn=dsn,
        read_dsn=dsn,
        prefix=f"{name}.",
        instance=name,
        postings=postings,
        cloudevents=False,
        port=0,
    )
    await asyncio.to_thread(_do, settings, sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        await setup(own, partitions)
        yield own
    finally:
        with contextlib.suppress(Away, Unexpected):
            await delete(own.brokers(), [*Topics(own.prefix).all(postings=postings), replies_topic(own)])
        drop = sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
        await asyncio.to_thread(_do, settings, drop)


@contextmanager
def connected(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """Lend a connection, in autocommit. Blocks. Raises `Away`, `Unexpected`."""
    with (
        answers.understood(),
        psycopg.connect(settings.database(0), autocommit=True, application_name=NAME) as connection,
    ):
        yield connection


async def begin_alike(settings: Settings) -> None:
    """Let PostgreSQL write out what earlier work left to it, so that every run begins in the same state."""
    with contextlib.suppress(Unexpected):  # who may not say so measures without it
        await asyncio.to_thread(_do, settings, sql.SQL("checkpoint"))


def _do(settings: Settings, statement: sql.SQL | sql.Composed) -> None:
    with connected(settings) as connection:
        connection.execute(statement)


def _make_log_files(settings: Settings) -> None:
    """Let PostgreSQL make the files of its log that it keeps.

    From then on it writes over them, as any server does that has run for a while. To make one it has to be filled with
    zeros first, which is as much writing again, and a commit waits for it.
    """
    files = "select pg_size_bytes(current_setting('min_wal_size')) / pg_size_bytes(current_setting('wal_segment_size'))"
    with connected(settings) as connection:
        for (count,) in connection.execute(files):
            for _ in range(count):
                connection.execute("select pg_logical_emit_message(false, 'defter', ''), pg_switch_wal()")
        connection.execute("checkpoint")


def _see_that_durable(settings: Settings) -> None:
    with connected(settings) as connection:
        rows = connection.execute("select name, setting from pg_settings where name = any(%s)", (list(_DURABLE),))
        off = [name for name, setting in rows if setting == "off"]
    if off:
        raise Unexpected(
            f"PostgreSQL runs with {off[0]} off: what it acknowledges may be lost, and that is no figure",
            f"set {off[0]} = on, or leave DEFTER_DATABASE and DEFTER_KAFKA out",
        )
