"""Who follows a shard is woken by its commits, on PostgreSQL and in memory alike."""

import asyncio

from services.journal.ports import Journal
from tests.services.journal.batches import after, batch, entry, letter, opening
from tests.services.journal.conftest import Shard

RULES = "1"


async def test_who_waits_is_woken_by_a_commit(shard: Shard) -> None:
    journal, reader = shard.open(), shard.open()
    standing = await journal.claim(RULES)
    await reader.changed(3600)

    waiting = asyncio.ensure_future(reader.changed(3600))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await journal.append(batch(standing, dead_letters=[letter(0)]))

    await waiting


async def test_a_commit_between_two_waits_is_not_slept_over(shard: Shard) -> None:
    journal, reader = shard.open(), shard.open()
    standing = await journal.claim(RULES)
    await reader.changed(3600)

    await journal.append(opening(standing))

    await reader.changed(3600)


async def test_a_burst_of_commits_does_not_wake_once_for_each(shard: Shard) -> None:
    journal, reader = shard.open(), shard.open()
    standing = await journal.claim(RULES)
    await reader.changed(3600)
    for sequence in range(1, 21):
        following = batch(standing, [entry(sequence)], opened=["main"] if sequence == 1 else [])
        await journal.append(following)
        standing = after(following, standing)

    woken = 0
    while await woken_by_a_commit(reader):
        woken += 1

    assert 1 <= woken < 20


async def woken_by_a_commit(reader: Journal) -> bool:
    """Whether there was a commit to be woken by, or nothing but time passed."""
    began = asyncio.get_running_loop().time()
    await reader.changed(1)
    return asyncio.get_running_loop().time() < began + 1


async def test_waiting_without_a_commit_ends_by_itself(shard: Shard) -> None:
    await shard.open().changed(0.01)
