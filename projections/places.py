"""The number that stands for a ledger, an account and a unit in the large tables.

A row there would spend more on three texts than on all it says, and an index of numbers is smaller and quicker. Numbers
are given once, in the order of first appearance, and mean nothing outside their generation.
"""

from collections.abc import Mapping
from typing import Any, Final

from psycopg import Cursor

MOST: Final = 500_000
"""More places than this are not kept in memory: it is emptied, and what is needed is looked up again."""


class Place:
    """An account in a unit: its number, 0 until it is known, and the lines that a page brings to it."""

    __slots__ = ("lines", "number")

    def __init__(self) -> None:
        self.number = 0
        self.lines: list[bytes] | None = None


class Places:
    """The places that were met. Good until a page fails: it may have given numbers.

    Args:
        schema: of the generation, such as `read_1`.
        most: how many to keep in memory, more or less.
    """

    def __init__(self, schema: str, most: int = MOST) -> None:
        self._schema = schema
        self._most = most
        self._known: dict[tuple[str, str], dict[str, Place]] = {}

    def among(self, ledger: str, unit: str) -> dict[str, Place]:
        """Give the places of one ledger and unit, by account. New ones may be put in, and are then to be numbered."""
        return self._known.setdefault((ledger, unit), {})

    def number_of(self, cursor: Cursor[Any], ledger: str, unit: str, account: str) -> int:
        """Give the number of one place."""
        place = self.among(ledger, unit).setdefault(account, Place())
        if not place.number:
            self.number(cursor, ledger, unit, {account: place})
        return place.number

    def number(self, cursor: Cursor[Any], ledger: str, unit: str, places: Mapping[str, Place]) -> None:
        """Give places their numbers, those that they had before if they were only forgotten."""
        cursor.execute(
            f"select account, place from {self._schema}.places "
            "where ledger = %s and unit = %s and account = any(%s::text[])",
            (ledger, unit, list(places)),
        )
        for account, number in cursor:
            places[account].number = number
        if new := [account for account, place in places.items() if not place.number]:
            cursor.execute(
                f"insert into {self._schema}.places (ledger, account, unit) "
                "select %s, account, %s from unnest(%s::text[]) as told (account) returning account, place",
                (ledger, unit, new),
            )
            for account, number in cursor:
                places[account].number = number

    def shed(self) -> None:
        """Forget all places once they have become too many. Only between pages."""
        if sum(map(len, self._known.values())) > self._most:
            self._known.clear()
