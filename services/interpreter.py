"""How our processes run: threads hand over soon, freed memory is kept, and in batches cycles are seldom looked for."""

import gc
import sys
from typing import Final

SELDOM: Final = (200_000, 20, 100)
"""What a batch makes is let go by counting references. To look for cycles several times a batch costs a tenth of the
time of a process and finds none. What is loaded once and stays, `services.writer` takes out of it altogether."""

SOON_S: Final = 0.001
"""A thread that has its answer from PostgreSQL waits no longer than this for the one that decides, or folds. Python's
own 5 ms are met several times a batch (docs/performance.md, `latency`, `rebuild`)."""

KEPT_BYTES: Final = 24 * 2**20
"""Every batch takes some megabytes and frees them. Given back to the system they come again page by page, each to be
zeroed first: of the publisher's time that was a fifth, of `verify` as much (docs/performance.md)."""


def tune() -> None:
    """Do what suits every process of ours."""
    sys.setswitchinterval(SOON_S)
    # Once a block of this size was freed, glibc asks the system for no smaller one by itself, and keeps up to twice as
    # much of what is free (mallopt(3), M_MMAP_THRESHOLD). Nothing is written to the block, so it costs nothing.
    bytes(KEPT_BYTES)


def collect_seldom() -> None:
    """Look for cycles as seldom as a process that works in batches should."""
    gc.set_threshold(*SELDOM)
