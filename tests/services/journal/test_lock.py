"""Of several publishers, projectors or tickers one is live; the others wait until it is gone."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from services.errors import Unexpected
from services.journal.lock import Held, Taken, only_one
from tests.services.journal.wire import Wire

GIVEN_UP_AFTER_S = 9
"""When a server that hears nothing of a client lets go of what that one held: see `services.journal.connection`."""


class Candidate:
    """Somebody who wants to be the only one, and is from `live` on."""

    def __init__(self, dsn: str, what: str = "publisher", number: int = 0) -> None:
        self.live = asyncio.Event()
        self.told: list[str] = []
        self.held: Held | None = None
        self._leave = asyncio.Event()
        self._task = asyncio.create_task(self._run(dsn, what, number))

    async def _run(self, dsn: str, what: str, number: int) -> None:
        async with only_one(dsn, what, number, self.told.append) as self.held:
            self.live.set()
            await self._leave.wait()

    async def leave(self) -> None:
        self._leave.set()
        await self._task

    async def die(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


@pytest.fixture
async def wire(database: str) -> AsyncIterator[Wire]:
    async with Wire(database).open() as wire:
        yield wire


async def test_the_second_is_live_when_the_first_has_left(database: str) -> None:
    first = Candidate(database)
    await first.live.wait()
    second = Candidate(database)
    await asyncio.sleep(0.6)
    assert not second.live.is_set()

    await first.leave()

    await second.live.wait()
    assert first.held
    assert first.held.lost.is_set()
    await second.leave()


async def test_the_lock_is_free_when_its_holder_dies(database: str) -> None:
    first = Candidate(database)
    await first.live.wait()
    second = Candidate(database)

    await first.die()

    await second.live.wait()
    await second.leave()


async def test_whoever_does_not_want_to_wait_is_told_that_it_is_taken(database: str) -> None:
    first = Candidate(database)
    await first.live.wait()

    with pytest.raises(Taken):
        async with only_one(database, "publisher", 0, within_s=0):
            pass

    await first.leave()


async def test_each_shard_and_each_kind_has_its_own(database: str) -> None:
    candidates = [Candidate(database), Candidate(database, number=1), Candidate(database, "projector")]

    for candidate in candidates:
        await candidate.live.wait()
    for candidate in candidates:
        await candidate.leave()


async def test_whoever_loses_the_connection_is_told_and_the_next_is_live(database: str, wire: Wire) -> None:
    first = Candidate(wire.dsn)
    await first.live.wait()
    assert first.held
    assert not first.held.lost.is_set()

    wire.drop()
    await first.held.lost.wait()

    second = Candidate(database)
    await second.live.wait()
    await first.leave()
    await second.leave()


async def test_whoever_hears_nothing_any_more_is_told_before_the_server_gives_the_lock_to_another(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.journal.lock._LOOK_TIMEOUT_S", 0.2)
    first = Candidate(wire.dsn)
    await first.live.wait()
    assert first.held

    wire.cut = lambda _data, _from_client: b""

    async with asyncio.timeout(GIVEN_UP_AFTER_S):
        await first.held.lost.wait()
        await first.leave()


async def test_a_server_that_is_away_is_waited_for_and_told_from_another_who_is_live(database: str, wire: Wire) -> None:
    live = Candidate(database)
    await live.live.wait()
    wire.down = True
    candidate = Candidate(wire.dsn)
    await asyncio.sleep(0.3)
    assert candidate.told
    assert all(why.startswith("PostgreSQL: ") for why in candidate.told)

    wire.down = False
    while candidate.told[-1] != "another publisher is the live one":
        await asyncio.sleep(0.01)
    assert not candidate.live.is_set()
    await live.leave()

    await candidate.live.wait()
    await candidate.leave()


async def test_one_who_waits_does_not_keep_vacuum_from_cleaning_up(database: str) -> None:
    first = Candidate(database)
    await first.live.wait()
    second = Candidate(database)
    await asyncio.sleep(0.6)

    with psycopg.connect(database) as connection:
        waiting = connection.execute(
            "select state, backend_xmin from pg_stat_activity "
            "where application_name = 'defter-publisher-0-lock' and datname = current_database()"
        ).fetchall()

    assert waiting == [("idle", None)] * 2
    await first.leave()
    await second.leave()


async def test_a_wrong_login_is_named(database: str) -> None:
    with pytest.raises(Unexpected, match="does not exist"):
        async with only_one(database + "_not_there", "publisher", 0):
            pass
