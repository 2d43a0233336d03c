"""Looks at everything that must be right for Defter to work, and says of each thing what it found.

Law: it changes nothing, goes on after what is wrong as far as that makes sense, and shows no password.
"""

import asyncio
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

import psycopg
from msgspec import Struct

from services.errors import Away, Unexpected
from services.journal import answers
from services.journal.connection import parameters
from services.kafka.topics import Topics, describe
from services.migrations import NEWEST
from services.migrations.run import ROLES
from services.settings import Settings, masked
from services.setup import check_installation

OLDEST_POSTGRES: Final = 150000

_Connection = psycopg.Connection[tuple[Any, ...]]


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
    for look in (_postgres, _roles, _kafka, _installation):
        try:
            async with asyncio.timeout(timeout_s):
                add(await look(settings))
        except TimeoutError:
            add(Finding(f"{look.__name__.strip('_')} did not answer within {timeout_s:g} s", good=False))
        except Away as away:
            add(Finding(str(away), good=False, remedy="start it, or set DEFTER_DATABASE and DEFTER_KAFKA right"))
        except Unexpected as unexpected:
            add(Finding(unexpected.what, good=False, remedy=unexpected.remedy))
    return all(finding.good for finding in found)


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
    return [Finding(what, good=True) for what in told]


async def _postgres(settings: Settings) -> Finding:
    return await asyncio.to_thread(_with, settings, _examine_postgres)


def _examine_postgres(connection: _Connection) -> Finding:
    number = connection.info.server_version
    named = f"PostgreSQL {number // 10000}.{number % 10000}, database {connection.info.dbname}"
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


async def _roles(settings: Settings) -> Finding:
    return await asyncio.to_thread(_with, settings, _examine_roles)


def _examine_roles(connection: _Connection) -> Finding:
    user = connection.info.user
    rows = connection.execute(
        "select rolname, pg_has_role(rolname, 'member') from pg_roles where rolname = any(%s)", (list(ROLES),)
    )
    may: dict[str, bool] = dict(rows.fetchall())
    for role in ROLES:
        if role not in may:
            return Finding(f"there is no role {role}", good=False, remedy="run `defter setup`")
        if not may[role]:
            return Finding(
                f"the user {user} may not take the role {role}", good=False, remedy=f"grant {role} to {user}"
            )
    return Finding(f"the user {user} may take the roles {', '.join(ROLES)}", good=True)


async def _kafka(settings: Settings) -> Finding:
    topics = Topics(settings.prefix)
    cluster = await describe(settings.brokers(), topics.all())
    brokers = f"{cluster.brokers} broker{'s' if cluster.brokers > 1 else ''}"
    return Finding(f"Kafka cluster {cluster.id}, {brokers}", good=True)


async def _installation(settings: Settings) -> Finding:
    installed = await check_installation(settings)
    installed = await check_installation(settings, range(installed.partitions))
    count = installed.partitions
    return Finding(
        f"the installation {installed.prefix}… of {count} partition{'s' if count > 1 else ''} is whole", good=True
    )


def _with(settings: Settings, look: Callable[[_Connection], Finding]) -> Finding:
    arguments = parameters(settings.database(0), "defter-doctor")
    with answers.understood(), psycopg.connect(**arguments, autocommit=True) as connection:
        return look(connection)
