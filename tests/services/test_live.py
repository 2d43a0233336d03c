"""Who asks gets an answer of what is live: one generation, one moment, and late enough when that was asked for."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from projections import generations
from schemas.events import Event, TransferPosted
from services.errors import Unexpected
from services.migrations import allow_read_models
from services.projector import connected
from services.reads import Behind, Reads
from tests.services.models import CASH, MAIN, hot, take_in


@pytest.fixture
async def reads(prepared: str) -> AsyncIterator[Reads]:
    """Read models of two accounts that were posted to again and again, whole."""
    take_in(prepared, hot(), page=200)
    reads = Reads(prepared)
    yield reads
    await reads.close()


@pytest.mark.parametrize("kept", [True, False])
async def test_an_answer_comes_from_the_generation_that_is_live(reads: Reads, prepared: str, *, kept: bool) -> None:
    before = await reads.balances(MAIN, CASH)
    with connected(prepared, "defter-test") as connection, connection.cursor() as cursor:
        generations.swap(cursor, generations.begin(cursor))
        if not kept:
            generations.drop(cursor, 1)
    take_in(prepared, hot()[:3], page=3)

    after = await reads.balances(MAIN, CASH)

    assert (before.as_of.sequence, after.as_of.sequence) == (503, 3)


async def test_the_sums_of_now_are_those_of_the_sequence_that_they_are_told_with(prepared: str) -> None:
    moved = {0: 0}
    for event in hot():
        moved[event.sequence] = moved[event.sequence - 1] + _debited(event)
    reads = Reads(prepared, min_sequence=1)
    taking_in = asyncio.create_task(asyncio.to_thread(take_in, prepared, hot(), page=1))
    seen = set()
    while not taking_in.done():
        answer = await reads.trial_balance(MAIN)

        assert sum(one.debits for one in answer.units) == moved[answer.as_of.sequence]
        seen.add(answer.as_of.sequence)
    assert len(seen) > 1
    await taking_in
    await reads.close()


def _debited(event: Event) -> int:
    postings = event.postings if isinstance(event, TransferPosted) else ()
    return sum(max(-int(posting.amount), 0) for posting in postings)


async def test_who_has_just_written_waits_until_the_answer_has_it(prepared: str) -> None:
    reads = Reads(prepared, min_sequence=3)
    asking = asyncio.create_task(reads.balances(MAIN, CASH))
    await asyncio.sleep(0.05)
    assert not asking.done()

    await asyncio.to_thread(take_in, prepared, hot()[:2], 2)
    await asyncio.to_thread(take_in, prepared, hot()[:3], 1)

    assert (await asking).as_of.sequence == 3
    await reads.close()


async def test_who_waits_too_long_is_told_how_far_the_read_models_are(prepared: str) -> None:
    take_in(prepared, hot()[:2], 2)
    reads = Reads(prepared, min_sequence=3, wait_s=0.05)

    with pytest.raises(Behind, match="ledger main are at sequence 2, not yet at 3"):
        await reads.balances(MAIN, CASH)
    await reads.close()


async def test_a_database_without_read_models_names_the_remedy(database: str) -> None:
    allow_read_models(database)
    reads = Reads(database)

    with pytest.raises(Unexpected, match="defter setup"):
        await reads.trial_balance(MAIN)
    await reads.close()


async def test_a_connection_that_was_cut_is_made_anew(reads: Reads, prepared: str) -> None:
    before = await reads.balances(MAIN, CASH)
    with psycopg.connect(prepared) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = 'defter-reads' and datname = current_database()"
        )

    with pytest.raises(RuntimeError):
        await reads.balances(MAIN, CASH)

    assert await reads.balances(MAIN, CASH) == before
