"""Where the world can be stopped: named points on the way of whoever works until told not to."""

from collections.abc import Awaitable, Callable
from typing import Final

POLL_S: Final = 0.25
"""How long to wait for work before looking whether to stop."""

Point = Callable[[str], Awaitable[None]]
"""Called at named points of the way, so that a test can stop the world there."""


async def no_point(_: str) -> None:
    """Pass by."""
