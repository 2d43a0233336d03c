"""What the parts of a process count while they work: plain numbers, for whoever asks (`services.metrics`).

Law: counting costs a batch some additions, and a command that is accepted nothing. Nobody waits for who asks: what must
be looked up (how far behind a part is) is looked up when it is asked for. A shard that is given up and comes back goes
on counting where it was, for these are the counts of the process.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple

COMMANDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
"""Steps by which the sizes of batches are told apart."""

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Steps by which durations are told apart."""


class Lag(NamedTuple):
    """How far behind a part is: so many messages wait for it, the oldest for so many seconds."""

    messages: int
    seconds: float


class Behind(NamedTuple):
    """What waits for a part of a shard; for a publisher dead letters too."""

    lag: Lag
    dead_letters: Lag | None = None


Look = Callable[[], Awaitable[Behind]]


class Spread:
    """How values lie: how many came up to each bound, how many there are, and their sum.

    >>> spread = Spread((1, 10))
    >>> for value in (1, 7, 8, 2000):
    ...     spread.add(value)
    >>> spread.up_to(), spread.sum
    ([('1', 1), ('10', 3), ('+Inf', 4)], 2016.0)
    """

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def up_to(self) -> list[tuple[str, int]]:
        """Give for each bound how many values came up to it; the last has no bound."""
        return list(zip([*map(str, self._bounds), "+Inf"], accumulate(self._counts), strict=True))


@dataclass(slots=True)
class WriterTally:
    """What a writer has done, and where it goes on: at the offset `next`, which only moves with a commit."""

    next: int = 0
    batches: int = 0
    commands: int = 0
    events: int = 0
    accepted: int = 0
    ticks: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    replies: int = 0
    ignored_replies: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    sizes: Spread = field(default_factory=lambda: Spread(COMMANDS))
    commits: Spread = field(default_factory=lambda: Spread(SECONDS))


@dataclass(slots=True)
class PublisherTally:
    """What a publisher has sent, be it twice."""

    events: int = 0
    dead_letters: int = 0


@dataclass(slots=True)
class ProjectorTally:
    """What a projector has taken in, be it in a page that was undone."""

    events: int = 0


@dataclass(slots=True)
class TickerTally:
    """How many ticks a ticker has sent."""

    ticks: int = 0


class Tallies:
    """All that one process counts, by the number of the shard."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self.writers: dict[int, WriterTally] = {}
        self.publishers: dict[int, PublisherTally] = {}
        self.projectors: dict[int, ProjectorTally] = {}
        self.tickers: dict[int, TickerTally] = {}
        self.live: dict[tuple[str, int], Look | None] = {}

    def writer(self, shard: int) -> WriterTally:
        """Give the tally of the writer of a shard."""
        return self.writers.setdefault(shard, WriterTally())

    def publisher(self, shard: int) -> PublisherTally:
        """Give the tally of the publisher of a shard."""
        return self.publishers.setdefault(shard, PublisherTally())

    def projector(self, shard: int) -> ProjectorTally:
        """Give the tally of the projector of a shard."""
        return self.projectors.setdefault(shard, ProjectorTally())

    def ticker(self, shard: int) -> TickerTally:
        """Give the tally of the ticker of a shard."""
        return self.tickers.setdefault(shard, TickerTally())

    @contextmanager
    def at_work(self, part: str, shard: int, look: Look | None = None) -> Iterator[None]:
        """Say that a part of this process is the live one of a shard, and how to see what waits for it."""
        self.live[part, shard] = look
        try:
            yield
        finally:
            self.live.pop((part, shard), None)
