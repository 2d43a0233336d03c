"""When holds expire: which are due, however many there are."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from operator import itemgetter
from typing import Final

Expiry = tuple[str, str]
"""When a hold expires, and its id."""

_NEVER: Final = "~"
"""Later than every time."""


class Expiries:  # noqa: PLW1641 - they change, so they have no hash
    """The open holds that expire, the earliest first, then by id.

    `first` is when the first of them does. However many come due at once, none costs more for it: those that leave at
    the beginning are cut off only when they are half of all.
    """

    __slots__ = ("_all", "_gone", "first")

    def __init__(self, expiries: Iterable[Expiry] = ()) -> None:
        """Begin with these, in any order."""
        self._all = sorted(expiries)
        self._gone = 0
        self._see_first()

    def __eq__(self, other: object) -> bool:
        """Tell whether the same holds expire."""
        return isinstance(other, Expiries) and self.due(_NEVER) == other.due(_NEVER)

    def add(self, expiry: Expiry) -> None:
        """Let one more expire."""
        insort(self._all, expiry, lo=self._gone)
        self._see_first()

    def remove(self, expiry: Expiry) -> None:
        """Let one of them go."""
        place = bisect_left(self._all, expiry, lo=self._gone)
        if place > self._gone:
            del self._all[place]
            return
        self._gone += 1
        if self._gone * 2 > len(self._all):
            del self._all[: self._gone]
            self._gone = 0
        self._see_first()

    def due(self, at: str, most: int | None = None) -> list[Expiry]:
        """Give those whose time has come; where `most` is said, only so many of the first."""
        end = len(self._all) if most is None else min(self._gone + most, len(self._all))
        return self._all[self._gone : bisect_right(self._all, at, lo=self._gone, hi=end, key=itemgetter(0))]

    def _see_first(self) -> None:
        self.first = self._all[self._gone][0] if self._gone < len(self._all) else _NEVER
