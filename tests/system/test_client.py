"""The examples in Python, killed again and again: what the subscriber has added up is what Defter has, to the unit.

`DEFTER_FULL=1` sends 100,000 commands and kills more often, `DEFTER_CLIENT_SEED=1` kills at other moments.
"""

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest

from services.kafka.topics import delete
from tests.system.conftest import MakeHouse
from tests.system.house import House
from tests.system.processes import PATIENTLY_S, ROOT

FULL = os.environ.get("DEFTER_FULL") == "1"
COMMANDS, KILLS = (100_000, 20) if FULL else (5_000, 2)
SEED = int(os.environ.get("DEFTER_CLIENT_SEED", "20261121"))
ACCOUNTS = 40


async def test_a_killed_producer_and_a_killed_subscriber_lose_nothing_and_count_nothing_twice(
    make_house: MakeHouse, make_example: Callable[..., "Example"], tmp_path: Path, tell: Callable[[str], None]
) -> None:
    house, chance = await make_house(), random.Random(SEED)
    for name in ("writer", "publisher", "projector"):
        house.start(name)
    (orders := tmp_path / "orders.jsonl").write_text("".join(json.dumps(order) + "\n" for order in asked(chance)))
    producer = make_example(house, "producer", orders)
    subscriber = make_example(house, "subscriber", balances := tmp_path / "balances.db")
    outcomes = tmp_path / "orders.jsonl.outcomes"

    await asyncio.gather(
        producer.suffer(chance, lambda: lines(outcomes)), subscriber.suffer(chance, lambda: sequence_of(balances))
    )
    assert await producer.ended() == 0
    await house.settled()
    await until(lambda: sequence_of(balances) == COMMANDS)

    tell(f"seed {SEED}: {house.sent[0]} sent for {COMMANDS}; killed at {producer.killed_at}, {subscriber.killed_at}")
    told = [json.loads(line) for line in outcomes.read_text().splitlines()]
    assert [(one["command"], one["sequence"]) for one in told] == [(f"c{n}", n) for n in range(1, COMMANDS + 1)]
    assert Counter(one["outcome"] for one in told).keys() == {"accepted", "refused"}
    assert balances_of(balances) == await balances_in(house)
    await delete(house.kafka, [f"{house.topics.prefix}replies.producer"])


def asked(chance: random.Random) -> Iterator[dict[str, object]]:
    """Ask for a ledger, some accounts, and transfers among them, of which some are refused."""
    yield {"type": "open-ledger.v1", "id": "c1"}
    yield {"type": "open-account.v1", "id": "c2", "account": "bank", "account_type": "external"}
    for number in range(ACCOUNTS):
        yield {"type": "open-account.v1", "id": f"c{number + 3}", "account": f"a{number}"}
    for number in range(ACCOUNTS + 3, COMMANDS + 1):
        source, destination = chance.sample(range(ACCOUNTS), 2)
        kind = "deposit" if chance.random() < 0.1 else "transfer"
        move = {
            "source": "bank" if kind == "deposit" else f"a{source}",
            "destination": f"a{destination}",
            "unit": "QAZ",
            "amount": chance.randint(1, 1000),
        }
        yield {"type": "transfer.v1", "id": f"c{number}", "kind": kind, "movements": [move]}


class Example:
    """One of the programs in `docs/examples/python`, running.

    Args:
        house: the installation that it is told of.
        name: of the program.
        argument: its own file.
    """

    def __init__(self, house: House, name: str, argument: Path) -> None:
        self.killed_at: list[int] = []
        self._command = [sys.executable, str(ROOT / "docs" / "examples" / "python" / f"{name}.py"), str(argument)]
        self._environment = {
            **os.environ,
            "DEFTER_KAFKA": house.kafka.servers,
            "DEFTER_PREFIX": house.topics.prefix,
            "PYTHONPATH": str(ROOT / "clients" / "python"),
        }
        self._log = argument.with_name(f"{name}.log")
        self._start()

    def _start(self) -> None:
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    async def suffer(self, chance: random.Random, come: Callable[[], int]) -> None:
        """Be killed and started again, so many times, each time after it has got on, but before it is done."""
        for number in range(KILLS):
            before = come()
            share = COMMANDS * (number + chance.random()) / (KILLS + 1)
            await until(lambda before=before, share=share: come() > max(before, share))  # type: ignore[misc]
            self.kill()
            self.killed_at.append(come())
            self._start()

    async def ended(self) -> int:
        """Wait until it has ended by itself."""
        return await asyncio.to_thread(self._running.wait, PATIENTLY_S)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._running.kill()
        self._running.wait()


@pytest.fixture
def make_example() -> Iterator[Callable[..., Example]]:
    """Starts examples, and ends them with the test."""
    made: list[Example] = []

    def make(house: House, name: str, argument: Path) -> Example:
        made.append(Example(house, name, argument))
        return made[-1]

    yield make
    for example in made:
        example.kill()


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENTLY_S):
        while not done():
            await asyncio.sleep(0.1)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def sequence_of(database: Path) -> int:
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reading:
        return next((int(sequence) for (sequence,) in reading.execute("select sequence from progress")), 0)
    return 0


def balances_of(database: Path) -> list[tuple[str, str, int]]:
    with closing(sqlite3.connect(database)) as reading:
        return reading.execute("select account, unit, balance from balances order by account, unit").fetchall()


async def balances_in(house: House) -> list[tuple[str, str, int]]:
    async with await psycopg.AsyncConnection.connect(house.dsn) as connection:
        rows = await connection.execute(
            'select account, unit, balance from read.balances order by account collate "C", unit'
        )
        return [(account, unit, int(balance)) for account, unit, balance in await rows.fetchall()]
