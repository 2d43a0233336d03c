"""How often Python looks for cycles in processes that work in batches.

What a batch makes is let go by counting references. To look for cycles several times a batch costs a tenth of the time
of a process and finds none. What is loaded once and stays, `services.writer` takes out of it altogether.
"""

import gc
from typing import Final

SELDOM: Final = (200_000, 20, 100)


def collect_seldom() -> None:
    """Look for cycles as seldom as a process that works in batches should."""
    gc.set_threshold(*SELDOM)
