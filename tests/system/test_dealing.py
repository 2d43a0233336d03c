"""A writer gives partitions up and takes others, and none waits for another's server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from services.health import Health
from services.kafka.membership import Membership
from services.kafka.topics import delete
from services.processes import writer
from tests.services.journal.wire import Wire
from tests.system.house import House
from tests.system.processes import PATIENTLY_S

OURS = "setup"
"""The instance that the settings of a house name."""

NEAR, FAR = frozenset({0}), frozenset({1})


class Table:
    """A writer of two shards in its group, which is dealt what the test says. The server of the second is away."""

    def __init__(self, house: House, database: str, wire: Wire) -> None:
        self.wire = wire
        self.share = FAR
        self.health = Health("writer")
        self.stop = asyncio.Event()
        self._house = house
        self._database = database
        self._others = AsyncExitStack()

    async def sit_down(self) -> None:
        """Begin with the far shard, and wait for its server."""
        self.wire.down = True
        self.writing = asyncio.create_task(writer(self._house.settings, self.health, self.stop))
        await self.until(lambda: "PostgreSQL" in self.health.waiting.get("writer 1", ""))

    async def dealt(self, share: frozenset[int]) -> None:
        """Have all dealt anew: somebody joins."""
        self.share = share
        name = f"other-{sorted(share)}"
        other = Membership(self._house.kafka, self._house.topics.writers, self._house.topics.commands, 2, name)
        await anext((await self._others.enter_async_context(other)).changes())

    def by_hand(self, _: int, owned: Mapping[str, frozenset[int]]) -> dict[str, frozenset[int]]:
        """Deal: what is not for the writer is for whoever sits there."""
        rest = (NEAR | FAR) - self.share
        return {member: self.share if member.startswith(OURS) else rest for member in owned}

    def epochs(self) -> list[int]:
        """Tell how often each shard was claimed."""
        with psycopg.connect(self._database) as connection:
            return [epoch for (epoch,) in connection.execute("select epoch from journal.offsets order by shard")]

    async def until(self, so: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(PATIENTLY_S):
            while not so():
                assert not self.writing.done(), self.writing
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        """End everybody."""
        self.writing.cancel()
        await asyncio.wait({self.writing})
        await self._others.aclose()


@pytest.fixture
async def table(
    database: str, kafka: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Table]:
    async with Wire(database).open() as wire:
        file = tmp_path / "services.conf"
        file.write_text("\n".join(f"[shard-{shard}]\n{_lines(dsn)}" for shard, dsn in enumerate([database, wire.dsn])))
        monkeypatch.setenv("PGSERVICEFILE", str(file))
        house = House("service=shard-{shard}", kafka, prefix, tmp_path, 2)
        await house.set_up()
        table = Table(house, database, wire)
        monkeypatch.setattr("services.kafka.membership.deal", table.by_hand)
        await table.sit_down()
        yield table
        await table.close()
        await house.close()
        await delete(house.kafka, house.topics.all())


async def test_a_shard_whose_server_is_away_holds_up_no_other_and_is_taken_again_when_that_is_back(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.processes._LEAVES_WITHIN_S", PATIENTLY_S)

    await table.dealt(NEAR)
    await table.until(lambda: table.epochs() == [1, 0])
    await table.dealt(NEAR | FAR)
    table.wire.down = False

    await table.until(lambda: table.epochs() == [1, 1] and not table.health.waiting)


async def test_whoever_gave_a_shard_up_does_not_wait_for_its_server_for_ever(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.processes._LEAVES_WITHIN_S", 0.5)

    await table.dealt(NEAR)
    await table.until(lambda: table.epochs() == [1, 0] and not table.health.waiting)
    await table.dealt(FAR)
    await table.until(lambda: "writer 1" in table.health.waiting)
    table.stop.set()

    async with asyncio.timeout(PATIENTLY_S):
        await table.writing


def _lines(dsn: str) -> str:
    return "\n".join(f"{key}={value}" for key, value in conninfo_to_dict(dsn).items())
