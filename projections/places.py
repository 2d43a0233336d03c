"""The number that stands for a ledger, an account and a unit in the large tables.

A row there would spend more on three texts than on all it says, and an index of numbers is smaller and quicker. Numbers
are given once, in the order of first appearance, and mean nothing outside their generation.
"""

from collections.abc import Collection
from typing import Any, Final

from psycopg import Cursor

MOST: Final = 1_000_000
"""More places than this are not kept in memory: it is emptied, and what is needed is looked up again."""


class Places:
    """The numbers of places, as far as they were asked for. Good until a page fails: it may have given numbers.

    Args:
        schema: of the generation, such as `read_1`.
        most: how many to keep in memory, more or less.
    """

    def __init__(self, schema: str, most: int = MOST) -> None:
        self._schema = schema
        self._most = most
        self._known: dict[tuple[str, str], dict[str, int]] = {}

    def of(self, cursor: Cursor[Any], ledger: str, unit: str, accounts: Collection[str]) -> list[int]:
        """Give the numbers of accounts in one ledger and unit, in the order given. New ones are made."""
        known = self._known.setdefault((ledger, unit), {})
        if missing := [account for account in accounts if account not in known]:
            known.update(self._learnt(cursor, ledger, unit, missing))
        return [known[account] for account in accounts]

    def _learnt(self, cursor: Cursor[Any], ledger: str, unit: str, missing: list[str]) -> dict[str, int]:
        cursor.execute(
            f"select account, place from {self._schema}.places "
            "where ledger = %s and unit = %s and account = any(%s::text[])",
            (ledger, unit, missing),
        )
        learnt: dict[str, int] = dict(cursor.fetchall())
        if new := [account for account in missing if account not in learnt]:
            cursor.execute(
                f"insert into {self._schema}.places (ledger, account, unit) "
                "select %s, account, %s from unnest(%s::text[]) as told (account) returning account, place",
                (ledger, unit, new),
            )
            learnt.update(cursor.fetchall())
        return learnt

    def shed(self) -> None:
        """Forget all numbers once they have become too many."""
        if sum(map(len, self._known.values())) > self._most:
            self._known.clear()
