"""On servers that let in nobody without TLS and a password, each process works with the rights of docs/security.md."""

import asyncio
import json
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import defter_client as client
from defter_client import Client, Login
from defter_client.schemas.commands import OpenLedger
from services.dev import archive, ports
from services.errors import Unexpected
from services.kafka.outbox import KafkaOutbox
from services.kafka.partition import Partition
from services.kafka.ports import Message
from services.supervisor import PARTS, SUPERVISED
from tests.services.cli.conftest import ready
from tests.services.cli.program import PATIENTLY_S, Done, Program
from tests.system.processes import ROOT
from tests.system.secured import ADMIN, Servers

WRONG = "hunter2-is-wrong"
REPLIES = "defter.replies.shop"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Both servers, with an installation on them, and everybody's rights granted as the guide says."""
    archive.make()
    servers = Servers(tmp_path_factory.mktemp("secured"))
    try:
        servers.start()
        asyncio.run(servers.prepare_kafka(REPLIES))
        servers.run_sql(0, ADMIN)
        done = Program(servers.settings("ledger_setup")).run("setup")
        assert done.code == 0, done.stderr
        servers.run_sql(1, "ledger")
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="module")
def logs(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All processes at work, each as its own user; where their logs are."""
    logs = tmp_path_factory.mktemp("logs")
    places = {part: ports.pick() for part in PARTS}
    with ExitStack() as ending:
        processes = []
        for part, port in places.items():
            processes.append(ending.enter_context(start(part, servers, port, logs / f"{part}.log")))
            ending.callback(processes[-1].terminate)
        until = time.monotonic() + PATIENTLY_S
        while not all(map(ready, places.values())):
            assert time.monotonic() < until, said(logs)
            assert not any(process.poll() for process in processes), said(logs)
            time.sleep(0.05)
        yield logs


def start(part: str, servers: Servers, port: int, log: Path) -> "subprocess.Popen[bytes]":
    """Start a process. Should this test be killed, its pipe is closed, and with it the process ends."""
    settings = servers.settings(f"ledger_{part}")
    if part == "projector":
        settings = {name: value for name, value in settings.items() if "KAFKA" not in name}
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "services.cli", part],
            env=os.environ | settings | {"DEFTER_PORT": str(port), SUPERVISED: "1"},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
        )


def said(logs: Path) -> str:
    return "".join(log.read_text() for log in sorted(logs.glob("*.log")))


def test_the_whole_way_is_gone_with_the_least_rights_and_no_password_shows(servers: Servers, logs: Path) -> None:
    cli = Program(servers.settings("ledger_cli"))
    soon = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    hold = {"type": "place-hold.v1", "id": "hold", "expires_at": soon, "movements": [moved(40)]}

    done = [
        cli.run("open-ledger", "main"),
        cli.run("open", "bank", "--type", "external"),
        cli.run("open", "alice"),
        cli.run("transfer", "bank", "alice", "QAZ", "100", "--kind", "deposit"),
        cli.run("send", stdin=json.dumps(hold).encode() + b"\n"),
        cli.run("transfer", "alice", "bank", "QAZ", "101", "--kind", "withdrawal"),
        cli.run("watch", "--beginning", "--count", "7", "--json", "--timeout", "60"),
        cli.run("balance", "alice", "--json", "--min-sequence", "7"),
        cli.run("status", "--json"),
        Program(servers.settings("ledger_setup")).run("doctor"),
    ]

    assert [one.code for one in done] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0], done
    events, balance, status = (lines(one) for one in done[6:9])
    assert sorted(event["type"] for event in events[5:]) == ["command-refused.v1", "hold-expired.v1"]
    assert (balance[0]["balance"], balance[0]["available"]) == ("100", "100")
    live = [one for one in status if one["type"] == "process" and one["live"]]
    assert [(one["process"], one["host"]) for one in live] == [(part, "127.0.0.1") for part in PARTS]
    everything = said(logs) + str(done)
    assert [name for name, password in servers.passwords.items() if password in everything] == []


def moved(amount: int) -> dict[str, Any]:
    return {"source": "alice", "destination": "bank", "unit": "QAZ", "amount": amount}


def lines(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_a_producer_may_write_commands_and_a_subscriber_read_events_and_no_more(
    servers: Servers, logs: Path
) -> None:
    shop, billing, admin = (servers.access(user) for user in ("shop", "billing", ADMIN))
    commands = KafkaOutbox(shop, "defter.commands", 0)
    events, replies = Partition(billing, "defter.events", 0), Partition(admin, REPLIES, 0)
    asked = {"type": "open-ledger.v1", "id": "of-the-shop", "ledger": "shop"}
    try:
        await commands.send([Message(b"shop", json.dumps(asked).encode(), [("reply-to", REPLIES.encode())])])

        (reply,) = (await replies.after(0)).records
        assert json.loads(reply.value or b"")["outcome"] == "accepted"
        heard = await events.after(0)
        assert heard.records
        for user, topic in ((billing, "defter.commands"), (shop, "defter.events")):
            forbidden = Partition(user, topic, 0)
            with pytest.raises(Unexpected, match=r"refuses(.|\n)*docs/security.md"):
                await forbidden.after(0)
            await forbidden.close()
    finally:
        for each in (commands, events, replies):
            await each.close()


async def test_the_client_for_python_gets_along_with_these_rights(servers: Servers, logs: Path) -> None:
    def connect(user: str, password: str | None = None, replies: str | None = None) -> Client:
        login = Login(user, password or servers.passwords[user], "SCRAM-SHA-256")
        tls = ssl.create_default_context(cafile=servers.ca)
        return Client.connect(servers.kafka.bootstrap, tls=tls, login=login, replies=replies)

    async with connect("shop", replies="shop") as shop, connect("billing") as billing:
        reply = await shop.send(OpenLedger(id="1", ledger="of-the-client"))
        event = await anext(billing.subscribe("of-the-client"))
    with pytest.raises(client.Unexpected, match="refuses the login") as refused:
        await connect("shop", WRONG).__aenter__()
    with pytest.raises(client.Unexpected, match=r"refuses.*Topic"):
        await connect("billing", replies="shop").__aenter__()

    assert (reply.outcome, reply.sequence, event.command) == ("accepted", 1, "1")
    assert WRONG not in str(refused.value)


@pytest.mark.parametrize(
    ("setting", "right", "wrong", "told"),
    [
        ("DEFTER_KAFKA_PASSWORD", ".*", WRONG, r"Kafka at .* refuses the login(.|\n)*DEFTER_KAFKA_PASSWORD"),
        ("DEFTER_KAFKA_CA", r"ca\.pem", "other-ca.pem", r"certificate verify failed(.|\n)*DEFTER_KAFKA_CA"),
        ("DEFTER_KAFKA_USER", ".*", "billing", r"refuses the login(.|\n)*DEFTER_KAFKA_USER"),
        ("DEFTER_DATABASE", "pw-[^@]*", WRONG, r'failed for user "ledger_writer"(.|\n)*DEFTER_DATABASE'),
        ("DEFTER_DATABASE", r"ca\.pem", "other-ca.pem", r"verify failed(.|\n)*sslrootcert in DEFTER_DATABASE"),
        ("DEFTER_DATABASE", r"ca\.pem", "no-ca.pem", r"no-ca.pem(.|\n)*sslrootcert in DEFTER_DATABASE"),
    ],
)
def test_a_wrong_password_and_a_wrong_authority_are_told_with_their_setting(
    servers: Servers, setting: str, right: str, wrong: str, told: str
) -> None:
    settings = servers.settings("ledger_writer")
    settings[setting] = re.sub(right, wrong, settings[setting], count=1)

    done = Program(settings).run("writer")

    assert done.code == 3
    assert re.search(told, done.stderr), done.stderr
    assert not [secret for secret in (WRONG, *servers.passwords.values()) if secret in done.stdout + done.stderr]


@pytest.mark.parametrize(
    ("part", "setting", "told"),
    [
        ("writer", "DEFTER_DATABASE", r'set role "defter_writer"(.|\n)*grant the user of DEFTER_DATABASE that role'),
        ("writer", "DEFTER_KAFKA", r"DEFTER_KAFKA_USER has no right(.|\n)*docs/security.md"),
    ],
)
def test_a_missing_right_is_told_with_what_to_grant(servers: Servers, part: str, setting: str, told: str) -> None:
    others = servers.settings("ledger_ticker" if setting == "DEFTER_DATABASE" else "shop")
    settings = servers.settings(f"ledger_{part}") | {
        name: value for name, value in others.items() if name.startswith(setting)
    }

    done = Program(settings).run(part)

    assert done.code == 3
    assert re.search(told, done.stderr), done.stderr
