"""The examples in other languages, on real servers with a real writer and publisher.

The topics have three partitions: no power of two, for which many a wrong partitioner is right. The names of the pages'
ledgers are such that the wrong ones that are at hand (CRC-32 in librdkafka, murmur2 with its sign bit in TypeScript)
put them elsewhere.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from services import processes
from services.dev import Addresses
from services.dev.jars import cache_directory
from services.kafka.outbox import KafkaOutbox
from services.kafka.ports import Message
from services.kafka.topics import Topics, delete, partition_of
from services.settings import Kafka, Secret, Settings
from services.setup import setup
from tests.docs.pages import PATIENTLY_S, ROOT, run
from tests.node import NODE, NPM
from tests.services.stage import Calm

PARTITIONS: Final = 3
EXAMPLES: Final = ROOT / "docs" / "examples"
LANGUAGES: Final = ("java", "typescript")


async def works(settings: Settings, stop: threading.Event, ready: threading.Event) -> None:
    """Be all the processes that an example needs."""
    await setup(settings, PARTITIONS)
    ended = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for work in (processes.writer, processes.publisher):
            tasks.create_task(work(settings, Calm(), ended))
        ready.set()
        while not stop.is_set():
            await asyncio.sleep(0.05)
        ended.set()
    await delete(settings.brokers(), Topics(settings.prefix).all())


@pytest.fixture(scope="module")
def settings(installation: Addresses, superuser: psycopg.Connection) -> Iterator[Settings]:
    """An installation with its processes at work, for all examples."""
    name = f"t_examples_{os.getpid()}"
    superuser.execute(f"create database {name}".encode())
    dsn = Secret(installation.database.rpartition("/")[0] + f"/{name}")
    settings = Settings(
        instance="examples", dsn=dsn, read_dsn=dsn, kafka=Kafka(servers=installation.kafka), prefix=f"{name}."
    )
    stop, ready = threading.Event(), threading.Event()
    working = threading.Thread(target=asyncio.run, args=(works(settings, stop, ready),))
    working.start()
    assert ready.wait(PATIENTLY_S)
    yield settings
    stop.set()
    working.join()
    superuser.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def environment(settings: Settings, tmp_path: Path) -> dict[str, str]:
    """A reader's shell: `defter`, `java`, `node` and `kcat` are there, and the jars of the local installation."""
    home, programs = tmp_path / "home", tmp_path / "bin"
    (home / ".cache").mkdir(parents=True)
    (home / ".cache" / "defter").symlink_to(cache_directory())
    programs.mkdir()
    there = {"node": f"{NODE}", "npm": f"{NODE} {NPM}"}
    if not shutil.which("kcat"):
        there["kcat"] = f"{sys.executable} {Path(__file__).with_name('kcat.py')}"
    for name, command in there.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("DEFTER_", "XDG_"))}
    # What npm was told, and what it has fetched, is the user's own.
    npm = {"NPM_CONFIG_USERCONFIG": str(Path.home() / ".npmrc"), "NPM_CONFIG_CACHE": str(Path.home() / ".npm")}
    return (
        npm
        | outer
        | {
            "DEFTER_DATABASE": settings.database(0),
            "DEFTER_KAFKA": settings.brokers().servers,
            "DEFTER_PREFIX": settings.prefix,
            "HOME": str(home),
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            # A program that runs for a second is not worth the compiler of a server.
            "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        }
    )


@pytest.fixture(autouse=True)
def compiler(request: pytest.FixtureRequest) -> None:
    """What Java's examples need and no package brings: a compiler. With `CI=true` it is a failure to have none."""
    if "java" in request.node.name and not shutil.which("javac"):
        pytest.skip("the examples in Java need a JDK, 17 or newer, on the PATH")


@pytest.mark.parametrize("page", ["java", "typescript", "kcat"])
def test_every_command_of_the_page_prints_what_the_page_says(
    page: str, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()

    ran = run(EXAMPLES / f"{page}.md", environment, tmp_path / "there")

    assert len(ran) > 3
    for command, code, lines in ran:
        assert (code, command.told(lines)) == (0, True), (command.line, command.text, code, lines)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_subscriber_that_is_killed_and_told_twice_counts_once_and_stops_at_a_gap(
    language: str, settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    ledger, kept = f"killed-{language}", tmp_path / "balances.json"
    follow = example(language, "Subscriber", environment, tmp_path, ledger, str(kept))
    publish(settings, Topics(settings.prefix).commands, ledger, orders(ledger))

    with subprocess.Popen(follow, env=environment, cwd=tmp_path) as killed:
        until_kept(kept, killed)
        killed.kill()
    once_more(settings, ledger)
    told = subprocess.run(
        follow, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENTLY_S, check=False
    )

    assert (told.returncode, f"{ledger}: {LAST + 2} comes after {LAST}: an event is missing" in told.stderr) == (
        1,
        True,
    )
    assert json.loads(kept.read_text())["sequence"] == LAST
    assert json.loads(kept.read_text())["balances"] == {
        "bank QAZ": str(-ORDERS * LARGE),
        "alice QAZ": str(ORDERS * LARGE),
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_order_without_an_id_is_not_sent_for_it_would_be_for_ever(
    language: str, environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("order-1,bank,alice,QAZ,1\norder 2,bank,alice,QAZ,1\n")

    told = subprocess.run(
        example(language, "Producer", environment, tmp_path, "nowhere", str(file)),
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENTLY_S,
        check=False,
    )

    assert (told.returncode, told.stdout) == (1, "")
    assert "no id of a command: order 2" in told.stderr


ORDERS: Final = 20
LAST: Final = 3 + ORDERS
LARGE: Final = 2**53 + 1


def orders(ledger: str) -> list[bytes]:
    """Give commands whose amounts no floating point number holds."""
    movement = {"source": "bank", "destination": "alice", "unit": "QAZ", "amount": str(LARGE)}
    lines: list[dict[str, Any]] = [
        {"type": "open-ledger.v1", "id": "open"},
        {"type": "open-account.v1", "id": "bank", "account": "bank", "account_type": "external"},
        {"type": "open-account.v1", "id": "alice", "account": "alice"},
        *({"type": "transfer.v1", "id": f"order-{number}", "movements": [movement]} for number in range(ORDERS)),
    ]
    return [json.dumps(line | {"ledger": ledger}).encode() for line in lines]


def example(language: str, program: str, environment: dict[str, str], where: Path, *arguments: str) -> list[str]:
    """Give the command line of an example, with all that it needs put in place."""
    if language == "java":
        jars = Path(environment["HOME"]) / ".cache" / "defter" / "kafka"
        return ["java", "-cp", f"{jars}/*", str(EXAMPLES / "java" / f"{program}.java"), *arguments]
    script = f"{program.lower()}.ts"
    for name in ("package.json", "package-lock.json", script):
        shutil.copy(EXAMPLES / "typescript" / name, where)
    subprocess.run(
        ["npm", "ci", "--omit=optional", "--ignore-scripts", "--silent"], env=environment, cwd=where, check=True
    )
    return ["node", script, *arguments]


def until_kept(kept: Path, running: "subprocess.Popen[bytes]") -> None:
    """Wait until something is kept."""
    until = time.monotonic() + PATIENTLY_S
    while not kept.exists():
        assert running.poll() is None, "it has ended by itself"
        assert time.monotonic() < until, "it keeps nothing"
        time.sleep(0.005)


def once_more(settings: Settings, ledger: str) -> None:
    """Publish all events of a ledger again, as after a crash, and then one that leaves one out."""
    events = stored(settings, ledger)
    while len(events) < LAST:
        events = stored(settings, ledger)
    early = events[-1].replace(f'"sequence":{LAST}'.encode(), f'"sequence":{LAST + 2}'.encode())
    publish(settings, Topics(settings.prefix).events, ledger, [*events, early])


def stored(settings: Settings, ledger: str) -> list[bytes]:
    """Give the events of a ledger."""
    table = f"journal.shard_{partition_of(ledger, PARTITIONS)}_events"
    with psycopg.connect(settings.database(0)) as connection:
        rows = connection.execute(f"select state from {table} order by notification_id".encode()).fetchall()
    return [bytes(state) for (state,) in rows if json.loads(bytes(state))["ledger"] == ledger]


def publish(settings: Settings, topic: str, ledger: str, values: Sequence[bytes]) -> None:
    """Write to the partition that a ledger lives in."""

    async def send() -> None:
        outbox = KafkaOutbox(settings.brokers(), topic, partition_of(ledger, PARTITIONS))
        await outbox.send([Message(ledger.encode(), value, ()) for value in values])
        await outbox.close()

    asyncio.run(send())
