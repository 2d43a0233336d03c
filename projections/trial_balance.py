"""The trial balance: what left accounts and what arrived, for each ledger and unit."""

from collections.abc import Mapping
from typing import Any

from psycopg import Cursor

from projections.postings import Moved, Scope


class TrialBalance:
    """What one page adds to it.

    Args:
        schema: of the generation, such as `read_1`.
        moved: what the page moved.
    """

    def __init__(self, schema: str, moved: Mapping[Scope, Moved]) -> None:
        self._schema = schema
        self._moved = moved

    def write(self, cursor: Cursor[Any]) -> None:
        """Add what was moved."""
        if self._moved:
            cursor.execute(
                f"insert into {self._schema}.trial_balance as known (ledger, unit, debits, credits) "
                "select * from unnest(%s::text[], %s::text[], %s::numeric[], %s::numeric[]) "
                "on conflict (ledger, unit) do update "
                "set debits = known.debits + excluded.debits, credits = known.credits + excluded.credits",
                (
                    [ledger for ledger, _ in self._moved],
                    [unit for _, unit in self._moved],
                    [moved.debits for moved in self._moved.values()],
                    [moved.credits for moved in self._moved.values()],
                ),
            )
