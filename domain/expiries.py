"""When holds expire: which are due, however many there are."""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Final

Expiry = tuple[str, str]
"""When a hold expires, and its id."""

_NEVER: Final = "~"
"""Later than every time."""


class Expiries:  # noqa: PLW1641 - they change, so they have no hash
    """The open holds that expire, the earliest first, then by id. `first` is when the first of them does.

    A heap, so that a hold costs the same whether it ends before millions of others or after them. One that ended
    before its time stays in the heap until it comes up, or until those like it are half of all.
    """

    __slots__ = ("_heap", "_open", "first")

    def __init__(self, expiries: Iterable[Expiry] = ()) -> None:
        """Begin with these, in any order."""
        self._open = set(expiries)
        self._tidy_up()

    def __eq__(self, other: object) -> bool:
        """Tell whether the same holds expire."""
        return isinstance(other, Expiries) and self._open == other._open

    def add(self, expiry: Expiry) -> None:
        """Let one more expire, which never did before: an id is used once."""
        self._open.add(expiry)
        heappush(self._heap, expiry)
        self._see_first()

    def remove(self, expiry: Expiry) -> None:
        """Let one of them go."""
        self._open.remove(expiry)
        if len(self._heap) > 2 * len(self._open):
            self._tidy_up()
        else:
            self._see_first()

    def due(self, at: str, most: int | None = None) -> list[Expiry]:
        """Give those whose time has come; where `most` is said, only so many of the first."""
        found: list[Expiry] = []
        while self.first <= at and len(found) != most:
            found.append(heappop(self._heap))
            self._see_first()
        for expiry in found:
            heappush(self._heap, expiry)
        self._see_first()
        return found

    def _tidy_up(self) -> None:
        self._heap = list(self._open)
        heapify(self._heap)
        self._see_first()

    def _see_first(self) -> None:
        heap = self._heap
        while heap and heap[0] not in self._open:
            heappop(heap)
        self.first = heap[0][0] if heap else _NEVER
