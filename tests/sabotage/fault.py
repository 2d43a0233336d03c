"""What a fault is: a change of the source by which Defter would be less safe, and the tests that must notice."""

from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]


class Fault(NamedTuple):
    """`search` stands in the file exactly once. Of `tests`, at least one must turn red."""

    name: str
    path: str
    search: str
    replace: str
    tests: tuple[str, ...]

    def planted(self) -> str:
        """Return the source with the fault in it.

        Raises:
            ValueError: what is searched for does not stand there exactly once.
        """
        source = (ROOT / self.path).read_text(encoding="utf-8")
        if (times := source.count(self.search)) != 1:
            raise ValueError(f"{self.name}: {self.path} has {self.search!r} {times} times, not once")
        return source.replace(self.search, self.replace)
