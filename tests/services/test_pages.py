"""What is loaded once and stays lies in large pages, where the system has any."""

import asyncio
import platform
import re
from pathlib import Path

import pytest

import services.writer
from services.pages import enlarge, given
from tests.services.stage import Stage, opened, pay

RELEASE = tuple(int(part) for part in re.findall("[0-9]+", platform.release())[:2])
pytestmark = [
    pytest.mark.xfail(given() != "madvise", reason="nobody has large pages, or everybody without asking", run=False),
    pytest.mark.xfail(RELEASE < (6, 1), reason="the system gives them by and by", run=False),
]
LOADED = 64 * 2**20
"""Bytes. Of so many each block is mapped by itself, and never one that was in large pages before."""


def in_large_pages() -> int:
    """Tell how many bytes of this process are."""
    told = re.search(r"AnonHugePages: +([0-9]+) kB", Path("/proc/self/smaps_rollup").read_text())
    assert told
    return int(told[1]) * 1024


def test_what_is_loaded_is_moved_and_is_what_it_was() -> None:
    loaded = b"account " * (LOADED // 8)
    before = in_large_pages()

    enlarge()

    assert in_large_pages() - before >= LOADED // 2
    assert loaded == b"account " * (LOADED // 8)


async def test_a_writer_of_many_accounts_moves_them_while_it_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.publish(*opened())
    await stage.write()
    loaded = b"account " * (LOADED // 8)
    before = in_large_pages()
    monkeypatch.setattr(services.writer, "MANY", 2)
    stage.publish(pay("pay", "alice", "bob", 300))

    await stage.write()

    assert stage.told("pay")
    async with asyncio.timeout(20):
        while in_large_pages() - before < len(loaded) // 2:
            await asyncio.sleep(0.05)
