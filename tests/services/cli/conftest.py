"""One installation for all tests of a file, with all its processes: starting them is what takes time."""

import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import psycopg
import pytest

from services.dev import Addresses, ports
from services.supervisor import SUPERVISED
from tests.services.cli.program import DEFTER, PATIENTLY_S, Program, as_lines, deposit

PARTITIONS = "2"


@pytest.fixture(scope="module")
def bare(installation: Addresses, superuser: psycopg.Connection) -> Iterator[Program]:
    """The program on a database and a prefix of its own, not set up yet."""
    name = f"t_{secrets.token_hex(6)}"
    superuser.execute(f"create database {name}".encode())
    database = installation.database.rpartition("/")[0] + f"/{name}"
    prefix = f"t{secrets.token_hex(6)}."
    yield Program({"DEFTER_DATABASE": database, "DEFTER_KAFKA": installation.kafka, "DEFTER_PREFIX": prefix})
    superuser.execute(f"drop database {name} with (force)".encode())


@pytest.fixture(scope="module")
def running(bare: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`defter run` on it, ready, and its port."""
    bare.ok("setup", "--partitions", PARTITIONS)
    port = ports.pick()
    said = tmp_path_factory.mktemp("run") / "run.log"
    # Should this run of tests be killed, its pipe is closed, and with it all this ends.
    environment = bare.environment | {"DEFTER_PORT": str(port), SUPERVISED: "1"}
    with (
        said.open("wb") as log,
        subprocess.Popen([DEFTER, "run"], env=environment, stdin=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            until = time.monotonic() + PATIENTLY_S
            while not ready(port):
                assert process.poll() is None, said.read_text()
                assert time.monotonic() < until, said.read_text()
                time.sleep(0.05)
            yield process, port
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def defter(bare: Program, running: object) -> Program:
    """The program on an installation that is set up and at work, of two partitions."""
    return bare


@pytest.fixture
def ledger(defter: Program) -> str:
    """A ledger of one's own, in which alice has 1000 from the account `world`, and bob has nothing."""
    name = f"l{secrets.token_hex(4)}"
    lines = [
        {"type": "open-ledger.v1", "id": "ledger", "ledger": name},
        {"type": "open-account.v1", "id": "world", "ledger": name, "account": "world", "account_type": "external"},
        {"type": "open-account.v1", "id": "alice", "ledger": name, "account": "alice"},
        {"type": "open-account.v1", "id": "bob", "ledger": name, "account": "bob"},
        deposit(name, "alice", 1000),
    ]
    defter.ok("send", stdin=as_lines(lines))
    return name


def ready(port: int) -> bool:
    """Return whether a process says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
