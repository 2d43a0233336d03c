"""Who follows a shard is woken by its commits, on PostgreSQL and in memory alike."""

import asyncio

from services.journal.ports import Journal
from tests.services.journal.batches import after, batch, entry, letter, opening
from tests.services.journal.conftest import Shard

RULES = "1"


# Longer than any wake-up takes. Only a test that fails waits for so long.
LONG_S = 30


async def test_who_waits_is_woken_by_a_commit(shard: Shard) -> None:
    journal, reader = shard.open(), shard.open()
    standing = await journal.claim(RULES)
    await reader.changed(LONG_S)

    waiting = asyncio.ensure_future(woken(reader))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await journal.append(batch(standing, dead_letters=[letter(0)]))

    assert await waiting


async def test_a_commit_between_two_waits_is_not_slept_over(shard: Shard) -> None:
    journal, reader = shard.open(), shard.open()
    standing = await journal.claim(RULES)
    await reader.changed(LONG_S)

    await journal.append(opening(standing))

    assert await woken(reader)


async def test_a_burst_of_commits_does_not_wake_once_for_each(shard: Shard) -> None:
    journal, reader = shard.open(), shard.open()
    standing = await journal.claim(RULES)
    await reader.changed(LONG_S)
    for sequence in range(1, 21):
        following = batch(standing, [entry(sequence)], opened=["main"] if sequence == 1 else [])
        await journal.append(following)
        standing = after(following, standing)

    times = 0
    while await woken(reader, 1):
        times += 1

    assert 1 <= times < 20


async def test_waiting_without_a_commit_ends_by_itself(shard: Shard) -> None:
    await shard.open().changed(0.01)


async def woken(reader: Journal, wait_s: float = LONG_S) -> bool:
    """Whether there was a commit to be woken by, or nothing but time passed."""
    began = asyncio.get_running_loop().time()
    await reader.changed(wait_s)
    return asyncio.get_running_loop().time() < began + wait_s
