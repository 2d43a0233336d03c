"""Large pages for what is loaded once and stays.

Where an account lies in memory no cache knows; to find out where its page lies costs as much again, and there are 512
times fewer pages of 2 MiB than of 4 KiB (docs/performance.md, `decide`).

Law: nothing depends on it. Where the system gives no large pages, everything is as right, and slower.
"""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LARGE: Final = 2 * 2**20
"""Bytes of a large page, on x86-64, and on ARM with small ones of 4 KiB."""

MANY: Final = 50_000
"""Accounts. With as many a twentieth of the time is spared; the fewer, the more of them the caches hold."""

_GIVEN: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_HUGEPAGE: Final = 14
_COLLAPSE: Final = 25
"""From Linux 6.1 on. Without it the system does by and by what the other has asked for (madvise(2))."""


def enlarge() -> None:
    """Move what this process has in memory into large pages. It takes some 4 ms a MiB, and other threads go on."""
    if sys.platform == "linux":
        madvise = ctypes.CDLL(None).madvise
        madvise.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)
        for first, size in _own():
            # Memory that was given back meanwhile, or for which there is no large page, stays as it is.
            madvise(first, size, _HUGEPAGE)
            madvise(first, size, _COLLAPSE)


def given() -> str:
    """Tell whom the system gives large pages: `always` everybody, `madvise` who asks, as we do, `never` nobody."""
    return _GIVEN.read_text().partition("[")[2].partition("]")[0] if _GIVEN.exists() else "never"


def _own() -> Iterator[tuple[int, int]]:
    """Find the memory that belongs to this process alone and to no file: where it begins, and its bytes."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        where, rights, _, _, _, *name = line.split(maxsplit=5)
        first, end = (int(address, 16) for address in where.split("-"))
        if rights == "rw-p" and name in ([], ["[heap]"]) and end - first >= _LARGE:
            yield first, end - first
