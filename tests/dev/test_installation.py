"""The local installation, with real servers: it starts whatever happened before, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.dev import Installation, archive, find, ports
from services.dev.installation import pick_ports
from services.errors import Unexpected

OWNER = """
import sys, time
from pathlib import Path
from services.dev import Installation

it = Installation(Path(sys.argv[1]), keep=sys.argv[2] == "keep")
it.start()
print(it.postgres.pid, it.kafka.pid, flush=True)
time.sleep(1000)
"""


@pytest.fixture(scope="module", autouse=True)
def quick() -> None:
    archive.make()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dev") / "installation"


@pytest.fixture(scope="module")
def installation_here(directory: Path) -> Iterator[Installation]:
    with Installation(directory) as started:
        yield started


def rows(installation: Installation) -> list[tuple[int]]:
    with psycopg.connect(installation.addresses.database) as connection:
        connection.execute("create table if not exists a (b int)")
        return connection.execute("insert into a select count(*) from a returning b").fetchall()


async def topics(installation: Installation) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=installation.addresses.kafka)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


async def make_topic(installation: Installation, name: str, **configs: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=installation.addresses.kafka)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(name, 1, 1, topic_configs=configs)])
        assert [error for _, error, *_ in answer.topic_errors] == [0]
    finally:
        await admin.close()


def owner_of(directory: Path, *, keep: bool) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start an installation in a process of its own; return the process, and its two servers."""
    command = [sys.executable, "-c", OWNER, str(directory), "keep" if keep else "trash"]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    return owner, [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]


def end(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.communicate()


def test_postgres_is_as_durable_as_a_ledger_needs(installation_here: Installation) -> None:
    with psycopg.connect(installation_here.addresses.database) as connection:
        settings = dict[str, str](connection.execute("select name, setting from pg_settings").fetchall())

    assert [settings[name] for name in ("fsync", "synchronous_commit", "full_page_writes")] == ["on", "on", "on"]
    assert settings["data_checksums"] == "on"


def test_only_this_machine_is_answered(installation_here: Installation) -> None:
    servers = [installation_here.postgres, installation_here.kafka]

    listening = [
        connection.laddr.ip
        for server in servers
        for connection in psutil.Process(server.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]

    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_who_asks_is_told_where_it_runs(installation_here: Installation, directory: Path) -> None:
    assert find(directory) == installation_here.addresses


def test_a_directory_has_one_owner_at_a_time(installation_here: Installation, directory: Path) -> None:
    for attempt in (Installation(directory).start, Installation(directory).reset):
        with pytest.raises(Unexpected, match="in use by another process"):
            attempt()

    assert find(directory) == installation_here.addresses


@pytest.mark.parametrize("how", ["kill", "stop_at_once", "stop"])
def test_postgres_starts_again_however_it_ended(installation_here: Installation, how: str) -> None:
    before, address = rows(installation_here), installation_here.addresses

    getattr(installation_here.postgres, how)()
    assert not installation_here.postgres.running
    installation_here.postgres.run()

    assert rows(installation_here) == [(before[0][0] + 1,)]
    assert installation_here.addresses == address


def test_postgres_starts_again_when_its_process_number_belongs_to_someone_else(installation_here: Installation) -> None:
    installation_here.postgres.kill()
    stale = installation_here.postgres.data / "postmaster.pid"
    noted = stale.read_text(encoding="utf-8").split("\n")

    stale.write_text("\n".join([str(os.getpid()), *noted[1:]]), encoding="utf-8")
    installation_here.postgres.run()

    assert rows(installation_here)


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_kafka_starts_again_however_it_ended(installation_here: Installation, how: str) -> None:
    await make_topic(installation_here, f"kept-{how}")
    address = installation_here.addresses

    getattr(installation_here.kafka, how)()
    assert not installation_here.kafka.running
    installation_here.kafka.run()

    assert f"kept-{how}" in await topics(installation_here)
    assert installation_here.addresses == address


async def test_a_topic_may_take_messages_twice_as_large_as_the_others(installation_here: Installation) -> None:
    await make_topic(installation_here, "large", **{"max.message.bytes": str(2 * 1_048_588)})
    bootstrap = installation_here.addresses.kafka
    message = os.urandom(2 * 1_048_588 - 1_000)

    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=len(message) * 2) as producer:
        await producer.send_and_wait("large", message)
    async with AIOKafkaConsumer("large", bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        received = await consumer.getone()

    assert received.value == message


def test_a_start_cut_short_is_begun_again(tmp_path: Path) -> None:
    for server in ("postgres", "kafka"):
        unfinished = tmp_path / server / "data.new"
        unfinished.mkdir(parents=True)
        (unfinished / "PG_VERSION").write_text("half", encoding="ascii")
        (unfinished / "meta.properties").write_text("half", encoding="ascii")

    with Installation(tmp_path) as it:
        assert rows(it)


@pytest.mark.parametrize("keep", [True, False])
def test_servers_end_with_their_owner_even_when_it_is_killed(tmp_path: Path, keep: bool) -> None:
    directory = tmp_path / "installation"
    owner, servers = owner_of(directory, keep=keep)
    assert all(server.is_running() for server in servers)

    end(owner)

    assert psutil.wait_procs(servers, timeout=30)[1] == []
    assert find(directory) is None
    while not keep and directory.exists():
        time.sleep(0.01)


def test_servers_left_behind_by_a_killed_owner_and_keeper_are_ended_by_the_next_start(tmp_path: Path) -> None:
    owner, servers = owner_of(tmp_path, keep=True)
    for keeper in [server.parent() for server in servers]:
        assert keeper
        keeper.send_signal(signal.SIGKILL)
    end(owner)
    assert all(server.is_running() for server in servers)

    with Installation(tmp_path) as it:
        assert [server.is_running() for server in servers] == [False, False]
        assert rows(it)


def test_a_port_that_somebody_else_has_taken_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    before = pick_ports(tmp_path)

    with socket.create_server((ports.HOST, before.kafka)):
        after = pick_ports(tmp_path)

    assert after.kafka != before.kafka
    assert after == pick_ports(tmp_path) == before._replace(kafka=after.kafka)


def test_ports_given_one_after_the_other_are_never_the_same() -> None:
    given = [ports.pick() for _ in range(1000)]

    assert len(set(given)) == len(given)


def test_a_reset_deletes_everything(tmp_path: Path) -> None:
    directory = tmp_path / "installation"
    (directory / "postgres" / "data").mkdir(parents=True)

    Installation(directory).reset()

    assert not directory.exists()
