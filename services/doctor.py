"""Looks at everything that must be right for Defter to work, and says of each thing what it found.

Law: it changes nothing, goes on after what is wrong as far as that makes sense, and shows no password.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Any, Final, TypeVar

import psycopg
from msgspec import Struct

from services.dsn import masked
from services.errors import Away, Unexpected
from services.journal import answers
from services.journal.connection import parameters
from services.kafka.topics import Topics, describe
from services.migrations import NEWEST
from services.migrations.run import ROLES
from services.settings import Settings
from services.setup import check_installation, read_installation

OLDEST_POSTGRES: Final = 150000

_Connection = psycopg.Connection[tuple[Any, ...]]
_Found = TypeVar("_Found")


class Finding(Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at: what it is, whether it is good, and what to do about it if not."""

    what: str
    good: bool
    remedy: str | None = None


async def examine(settings: Settings, timeout_s: float, show: Callable[[Finding], None]) -> bool:
    """Look at everything, and show each finding as it is found.

    Args:
        settings: of the installation.
        timeout_s: how long to wait for what does not answer.
        show: is given every finding.

    Returns:
        Whether all is good.
    """
    found: list[Finding] = []

    def add(finding: Finding) -> None:
        found.append(finding)
        show(finding)

    add(Finding(f"Defter {version('defter')} on Python {sys.version.split()[0]}, schema {NEWEST}", good=True))
    for finding in _settings(settings):
        add(finding)
    count, silent = 1, False  # how many shards there are only the first database tells
    try:
        count = (await _in_time("PostgreSQL", timeout_s, partial(read_installation, settings))).partitions
    except Away as away:
        silent = True
        add(_silence(away))
    except Unexpected:
        pass  # it is told of each thing what is wrong with it
    for where, dsn in _databases(settings, count).items():
        if not silent or dsn != settings.database(0):
            look = partial(asyncio.to_thread, _examine, dsn, where)
            for finding in await _looked(f"PostgreSQL{where}", timeout_s, look):
                add(finding)
    (kafka,) = await _looked("Kafka", timeout_s, partial(_kafka, settings))
    add(kafka)
    if kafka.good and not silent:
        for finding in await _looked("the installation", timeout_s, partial(_installation, settings)):
            add(finding)
    return all(finding.good for finding in found)


async def _looked(what: str, timeout_s: float, look: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """Look at one thing, and say so where it does not answer or is not the one expected."""
    try:
        return await _in_time(what, timeout_s, look)
    except Away as away:
        return [_silence(away)]
    except Unexpected as unexpected:
        return [Finding(unexpected.what, good=False, remedy=unexpected.remedy)]


async def _in_time(what: str, timeout_s: float, look: Callable[[], Awaitable[_Found]]) -> _Found:
    try:
        async with asyncio.timeout(timeout_s):
            return await look()
    except TimeoutError:
        raise Away(f"{what} did not answer within {timeout_s:g} s") from None


def _silence(away: Away) -> Finding:
    return Finding(str(away), good=False, remedy="start it, or set DEFTER_DATABASE and DEFTER_KAFKA right")


def _databases(settings: Settings, count: int) -> dict[str, str]:
    """Return every database of all shards by what is said of it: where there are several, of which it is the first."""
    journals = {dsn: f" of shard {shard}" for shard, dsn in _first(settings.database, count)}
    models = {dsn: f" of the read models of shard {shard}" for shard, dsn in _first(settings.read_database, count)}
    every = models | journals
    return {where if len(every) > 1 else "": dsn for dsn, where in every.items()}


def _first(database: Callable[[int], str], count: int) -> Iterator[tuple[int, str]]:
    """Give each database once, with the first shard that lives in it."""
    found: set[str] = set()
    for shard in range(count):
        dsn = database(shard)
        if dsn not in found:
            found.add(dsn)
            yield shard, dsn


def _settings(settings: Settings) -> list[Finding]:
    told = [f"DEFTER_DATABASE {masked(settings.database(0))}"]
    if settings.read_database(0) != settings.database(0):
        told.append(f"DEFTER_READ_DATABASE {masked(settings.read_database(0))}")
    kafka = settings.brokers()
    login = f", as {kafka.user} with {kafka.mechanism}" if kafka.user else ""
    told.append(f"DEFTER_KAFKA {kafka.servers}, {kafka.security}{login}")
    told.append(
        f"DEFTER_PREFIX {settings.prefix}, DEFTER_INSTANCE {settings.instance}, DEFTER_LEDGER {settings.ledger}"
    )
    told += [
        f"{name} 1"
        for name, on in (("DEFTER_POSTINGS", settings.postings), ("DEFTER_CLOUDEVENTS", settings.cloudevents))
        if on
    ]
    return [Finding(what, good=True) for what in told]


def _examine_postgres(connection: _Connection, where: str) -> Finding:
    number = connection.info.server_version
    named = f"PostgreSQL {number // 10000}.{number % 10000}, database {connection.info.dbname}{where}"
    if number < OLDEST_POSTGRES:
        return Finding(f"{named} is too old", good=False, remedy="use PostgreSQL 15 or newer")
    settings: dict[str, str] = dict(
        connection.execute("select name, setting from pg_settings where name = any(%s)", (["fsync"],))
    )
    if settings.get("fsync") != "on":
        return Finding(
            f"{named} runs with fsync off", good=False, remedy="set fsync = on: a power cut loses the journal"
        )
    return Finding(named, good=True)


def _examine_roles(connection: _Connection, where: str) -> Finding:
    user = connection.info.user
    rows = connection.execute(
        "select rolname, pg_has_role(rolname, 'member') from pg_roles where rolname = any(%s)", (list(ROLES),)
    )
    may: dict[str, bool] = dict(rows.fetchall())
    for role in ROLES:
        if role not in may:
            return Finding(f"there is no role {role} on the server{where}", good=False, remedy="run `defter setup`")
        if not may[role]:
            return Finding(
                f"the user {user} may not take the role {role}{where}", good=False, remedy=f"grant {role} to {user}"
            )
    return Finding(f"the user {user} may take the roles {', '.join(ROLES)}{where}", good=True)


async def _kafka(settings: Settings) -> list[Finding]:
    topics = Topics(settings.prefix)
    cluster = await describe(settings.brokers(), topics.all())
    brokers = f"{cluster.brokers} broker{'s' if cluster.brokers > 1 else ''}"
    return [Finding(f"Kafka cluster {cluster.id}, {brokers}", good=True)]


async def _installation(settings: Settings) -> list[Finding]:
    installed = await check_installation(settings)
    installed = await check_installation(settings, range(installed.partitions))
    count = installed.partitions
    whole = f"the installation {installed.prefix}… of {count} partition{'s' if count > 1 else ''} is whole"
    return [Finding(whole, good=True)]


def _examine(dsn: str, where: str) -> list[Finding]:
    arguments = parameters(dsn, "defter-doctor")
    with answers.understood(), psycopg.connect(**arguments, autocommit=True) as connection:
        return [_examine_postgres(connection, where), _examine_roles(connection, where)]
