"""How Python runs our processes: soon handing over between threads, and in batches seldom looking for cycles."""

import gc
import sys
from typing import Final

SELDOM: Final = (200_000, 20, 100)
"""What a batch makes is let go by counting references. To look for cycles several times a batch costs a tenth of the
time of a process and finds none. What is loaded once and stays, `services.writer` takes out of it altogether."""

SOON_S: Final = 0.001
"""A thread that has its answer from PostgreSQL waits no longer than this for the one that decides, or folds. Python's
own 5 ms are met several times a batch (docs/performance.md, `latency`, `rebuild`)."""


def collect_seldom() -> None:
    """Look for cycles as seldom as a process that works in batches should."""
    gc.set_threshold(*SELDOM)


def hand_over_soon() -> None:
    """Let threads that wait for each other do so briefly."""
    sys.setswitchinterval(SOON_S)
