"""Waiting for what does not answer: for ever, with growing, capped, jittered pauses, and said once.

One policy for every dependency. Whoever waits is not ready meanwhile.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from services.errors import Away

_Answer = TypeVar("_Answer")

_log = structlog.get_logger()

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0

asked_again: Final[Counter[str]] = Counter()
"""How often each part of this process has asked again because nobody answered."""


class Readiness(Protocol):
    """Told whether a part of the process is able to work."""

    def waits(self, part: str, why: str) -> None:
        """The part waits, for this reason."""

    def works(self, part: str) -> None:
        """The part works."""


class Unheard:
    """Readiness of a part that nobody waits for: the log has it."""

    def waits(self, part: str, why: str) -> None:
        """Say nothing."""

    def works(self, part: str) -> None:
        """Say nothing."""


async def patiently(part: str, call: Callable[[], Awaitable[_Answer]], readiness: Readiness) -> _Answer:
    """Call until there is an answer.

    Args:
        part: who waits, as it appears in the log and in readiness.
        call: raises `Away` as long as there is no answer; anything else it raises is passed on.
        readiness: is told what is waited for, and when that ends.
    """
    try:
        # The answer of every day: whoever asks thousands of times a second does not pay for the patience not needed.
        return await call()
    except Away as away:
        return await _again(part, call, readiness, str(away))


async def _again(part: str, call: Callable[[], Awaitable[_Answer]], readiness: Readiness, first_why: str) -> _Answer:
    """Call again until there is an answer: at once, then after pauses."""
    waited_for: set[str] = set()

    def waits(why: str) -> None:
        readiness.waits(part, why)
        asked_again[part] += 1
        # The log hears once of each that is away, whatever it says in its turn; its name is the first word.
        who = why.partition(" ")[0]
        if who not in waited_for:
            waited_for.add(who)
            _log.warning("waiting", part=part, why=why)

    waits(first_why)
    attempts = AsyncRetrying(
        retry=retry_if_exception_type(Away),
        wait=wait_random_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
        before_sleep=lambda state: waits(why_of(state)),
        reraise=True,
    )
    async for attempt in attempts:
        with attempt:
            answer = await call()
    readiness.works(part)
    _log.info("back", part=part)
    return answer


def why_of(state: RetryCallState) -> str:
    """Tell what the last attempt failed with."""
    return str(state.outcome.exception()) if state.outcome else ""
