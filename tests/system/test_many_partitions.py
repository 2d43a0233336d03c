"""Ledgers over four partitions: writers share them out, another takes over from one that is killed, servers are two."""

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from services import processes
from services.dev import Addresses, ports
from services.dev.postgres import Postgres
from services.errors import Unexpected, WrongSetting
from services.health import Health
from services.kafka.ports import Message
from services.kafka.topics import delete
from services.setup import setup
from services.status import status
from tests.services.cli.program import Program, as_lines, deposit, move
from tests.system.checks import check
from tests.system.conftest import MakeHouse
from tests.system.house import House
from tests.system.load import Load, living_in
from tests.system.processes import PATIENTLY_S, Process

PARTITIONS = 4
EACH = 60
HERE, THERE = (0, 1), (2, 3)
"""The shards of the first server and of the second. The read models of each are on the other one."""

LONG_AGO = "2026-01-01T00:00:00Z"


async def test_writers_share_the_partitions_out_and_take_over_from_one_that_is_killed(
    make_house: MakeHouse, tell: Callable[[str], None]
) -> None:
    house = await make_house(PARTITIONS)
    loads = [Load(51, partition, PARTITIONS) for partition in range(PARTITIONS)]
    writers: list[Process] = []
    for count in (1, 2, 4):
        writers += [house.start("writer") for _ in range(count - len(writers))]
        await dealt(writers, count)
        await send(house, loads)
        await decided(house)

    victim, *others = writers
    await send(house, loads)
    orphans = owned(victim)
    victim.kill()
    killed_at = time.monotonic()
    await send(house, loads)
    for partition in orphans:
        await house.decided(partition)
    tell(f"partitions {sorted(orphans)} were taken over {time.monotonic() - killed_at:.1f} s after the kill")

    await dealt(others, 3)
    house.start("publisher")
    house.start("projector")
    await house.settled()
    tell(f"{await check(house)}")


async def test_the_shards_of_an_installation_live_on_two_servers(
    two_servers: House, second: Postgres, tell: Callable[[str], None]
) -> None:
    house, defter = two_servers, program(two_servers)
    await ok(defter, "setup", "--partitions", str(PARTITIONS))
    for name in ("writer", "publisher", "projector"):
        house.start(name)
    ticker = house.start("ticker")
    loads = [Load(52, partition, PARTITIONS) for partition in range(PARTITIONS)]
    await send(house, loads)
    near, far = (living_in(shards[0], PARTITIONS, "bank", 1)[0] for shards in (HERE, THERE))
    for ledger in (near, far):
        await ok(defter, "send", stdin=as_lines(opening(ledger)))

    await an_expired_hold_gives_back_what_was_held(defter, far)
    await a_letter_in_the_wrong_partition_is_mended(defter, house, far)
    await everything_is_told(defter)
    await asyncio.to_thread(second.stop_at_once)
    (paid,) = await said(defter, "transfer", "world", "alice", "QAZ", "5", "--ledger", near, "--kind", "deposit")
    sent = asyncio.create_task(send(house, loads))
    await asyncio.to_thread(second.run)
    await sent

    assert paid["outcome"] == "accepted"
    # What is to be compared must stand still, and holds of the load go on coming due.
    await ticker.stop()
    await house.settled()
    assert shards_of(house.settings.database(HERE[0])) == set(HERE)
    assert shards_of(house.settings.database(THERE[0])) == set(THERE)
    tell(f"{await check(house)}")


async def test_a_shard_that_was_set_up_elsewhere_is_not_made_anew(two_servers: House) -> None:
    await ok(program(two_servers), "setup", "--partitions", str(PARTITIONS))
    elsewhere = program(two_servers, "service=defter-0")

    done = await asyncio.to_thread(elsewhere.run, "setup")
    examined = await asyncio.to_thread(elsewhere.run, "doctor")

    assert (done.code, examined.code) == (3, 3)
    assert "shard 2 was set up before, and not in the database" in done.stderr
    assert "does not hold shard 2" in examined.stdout
    assert shards_of(two_servers.settings.database(HERE[0])) == set(HERE)


async def test_a_publisher_and_a_projector_may_be_of_some_shards_only(two_servers: House) -> None:
    settings, stop = two_servers.settings, asyncio.Event()
    await setup(settings, PARTITIONS)
    health = Health("test")
    works = [
        asyncio.create_task(processes.publisher(settings, health, stop, shards=HERE)),
        asyncio.create_task(processes.projector(settings, health, stop, shards=THERE)),
    ]

    async with asyncio.timeout(PATIENTLY_S):
        while True:
            _, told = await status(settings, PARTITIONS)
            live = {(one.process, one.shard) for one in told if one.live}
            if len(live) >= PARTITIONS:
                break
    stop.set()
    await asyncio.gather(*works)

    assert live == {*(("publisher", shard) for shard in HERE), *(("projector", shard) for shard in THERE)}
    with pytest.raises(WrongSetting, match="there is no shard 4; expected 0 to 3"):
        await processes.publisher(settings, health, stop, shards=[4])


@pytest.mark.parametrize("process", [processes.writer, processes.publisher, processes.projector])
async def test_nobody_works_on_a_shard_in_the_database_of_another_installation(
    two_servers: House, process: Callable[..., Awaitable[None]]
) -> None:
    await setup(two_servers.settings, PARTITIONS)
    with psycopg.connect(two_servers.settings.database(THERE[0])) as owner:
        owner.execute("update journal.installation set prefix = 'others.'")

    with pytest.raises(Unexpected, match=r"the database of shard [23] belongs to another installation"):
        async with asyncio.timeout(PATIENTLY_S):
            await process(two_servers.settings, Health("test"), asyncio.Event())


async def an_expired_hold_gives_back_what_was_held(defter: Program, ledger: str) -> None:
    """The ticker works: nobody else lets time pass here."""
    hold = {"type": "place-hold.v1", "id": "hold", "ledger": ledger, "movements": [move("alice", "world", 30)]}
    await ok(defter, "send", stdin=as_lines([hold | {"kind": "withdrawal", "expires_at": LONG_AGO}]))
    async with asyncio.timeout(PATIENTLY_S):
        while (await said(defter, "balance", "alice", "--ledger", ledger, "--min-sequence", "5"))[0]["held"] != "0":
            await asyncio.sleep(0.1)
    (balance,) = await said(defter, "balance", "alice", "--ledger", ledger)
    assert (balance["balance"], balance["as_of"]) == ("1000", 6)


async def a_letter_in_the_wrong_partition_is_mended(defter: Program, house: House, ledger: str) -> None:
    """A producer with another partitioner, and the shard that got its command on another server."""
    value = json.dumps({"type": "open-account.v1", "id": "bob", "ledger": ledger, "account": "bob"}).encode()
    await house.send(HERE[1], [Message(ledger.encode(), value, [])])
    await house.decided(HERE[1])
    these = ("--reason", "WRONG_PARTITION", "--partition", str(HERE[1]))

    (dead,) = [one for one in await said(defter, "dead-letters", "list", *these) if one["key"] == ledger]
    assert await said(defter, "show", "bob", "--ledger", ledger, code=1) == []
    sent = [one for one in await said(defter, "dead-letters", "redrive", *these) if one.get("command") == "bob"]

    assert [(one["outcome"], one["to"]["partition"], one["sequence"]) for one in sent] == [("accepted", THERE[0], 7)]
    assert (sent[0]["partition"], sent[0]["offset"]) == (dead["partition"], dead["offset"])
    accounts = await said(defter, "accounts", "--ledger", ledger, "--min-sequence", "7")
    assert [one["account"] for one in accounts] == ["alice", "bob", "world"]


async def everything_is_told(defter: Program) -> None:
    """Status and doctor look at every server."""
    told = await said(defter, "status")
    assert [one["shard"] for one in told if one["type"] == "shard"] == list(range(PARTITIONS))
    assert all(one["live"] for one in told if one["type"] == "process"), told
    examined = (await asyncio.to_thread(defter.run, "doctor")).stdout
    assert "WRONG" not in examined
    assert "of shard 2" in examined


def opening(ledger: str) -> list[dict[str, Any]]:
    """Open a ledger in which alice has 1000."""
    accounts: list[dict[str, Any]] = [
        {"type": "open-account.v1", "account": "world", "account_type": "external"},
        {"type": "open-account.v1", "account": "alice"},
    ]
    opened = [each | {"id": each["account"], "ledger": ledger} for each in accounts]
    return [{"type": "open-ledger.v1", "id": "ledger", "ledger": ledger}, *opened, deposit(ledger, "alice", 1000)]


async def send(house: House, loads: list[Load]) -> None:
    """Send some of each load."""
    await asyncio.gather(*(house.send(number, load.messages(EACH)) for number, load in enumerate(loads)))


async def decided(house: House) -> None:
    """Wait until all that was sent is decided."""
    for partition in range(house.partitions):
        await house.decided(partition)


async def dealt(writers: list[Process], count: int) -> None:
    """Wait until so many writers share all partitions out, none with two more than another."""
    async with asyncio.timeout(PATIENTLY_S):
        while True:
            shares = [owned(writer) for writer in writers]
            if sorted(one for share in shares for one in share) == list(range(PARTITIONS)) and all(
                len(share) - PARTITIONS // count in {0, 1} for share in shares
            ):
                return
            await asyncio.sleep(0.05)


def owned(writer: Process) -> set[int]:
    """Read which partitions a writer was last told to be its own."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", writer.said())
    told = re.findall(r"owned=\[([0-9, ]*)\]", plain)
    return {int(number) for number in told[-1].split(",") if number} if told else set()


def program(house: House, dsn: str = "") -> Program:
    """The program, with the settings of a house, or on another database."""
    return Program(
        {
            "DEFTER_DATABASE": dsn or house.dsn,
            "DEFTER_READ_DATABASE": dsn or house.read_dsn,
            "DEFTER_KAFKA": house.kafka.servers,
            "DEFTER_PREFIX": house.topics.prefix,
        }
    )


async def ok(defter: Program, *arguments: str, stdin: bytes = b"") -> str:
    return await asyncio.to_thread(lambda: defter.ok(*arguments, stdin=stdin))


async def said(defter: Program, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    return await asyncio.to_thread(lambda: defter.json(*arguments, code=code))


def shards_of(dsn: str) -> set[int]:
    """Tell which shards have a journal in a database."""
    with psycopg.connect(dsn) as connection:
        return {shard for (shard,) in connection.execute("select shard from journal.offsets")}


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL beside the one that all tests share; it may be stopped."""
    directory = tmp_path_factory.mktemp("second")
    server = Postgres(directory, ports.pick(), directory)
    server.run()
    yield server
    server.close()


@pytest.fixture
async def two_servers(
    installation: Addresses, second: Postgres, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    """An installation of four shards on two servers, not set up yet: a service file leads each to its own."""
    name = f"t_{secrets.token_hex(6)}"
    servers = (installation.database, second.dsn())
    for each in servers:
        with psycopg.connect(each, autocommit=True) as superuser:
            superuser.execute(f"create database {name}".encode())
    lines: list[str] = []
    for shard in range(PARTITIONS):
        for service, server in ((f"defter-{shard}", shard in THERE), (f"defter-read-{shard}", shard in HERE)):
            parts = conninfo_to_dict(servers[int(server)]) | {"dbname": name}
            lines += [f"[{service}]", *(f"{key}={value}" for key, value in parts.items())]
    file = tmp_path / "services.conf"
    file.write_text("\n".join(lines))
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    dsn, read_dsn = "service=defter-{shard}", "service=defter-read-{shard}"
    house = House(dsn, installation.kafka, prefix, tmp_path, PARTITIONS, read_dsn)
    yield house
    await house.close()
    await delete(house.kafka, house.topics.all())
    for each in servers:
        with psycopg.connect(each, autocommit=True) as superuser:
            superuser.execute(f"drop database {name} with (force)".encode())
