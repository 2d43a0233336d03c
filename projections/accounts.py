"""Accounts: every version is kept, and the last one is the present state. And the units that are counted."""

from typing import Any, Final

from psycopg import Cursor

from projections.copying import copy, int8, row, text, texts
from schemas.events import AccountChanged

_COLUMNS: Final = "ledger, account, version, sequence, account_type, policy, floor, flags, book, alias, state"


class Accounts:
    """The changes of accounts of one page.

    Args:
        schema: of the generation, such as `read_1`.
    """

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._rows: list[bytes] = []

    def fold(self, event: AccountChanged) -> None:
        """Take in one version of an account."""
        self._rows.append(
            row(
                text(event.ledger),
                text(event.account),
                int8(event.version),
                int8(event.sequence),
                text(event.account_type),
                text(event.policy),
                text(None) if event.floor is None else int8(int(event.floor)),
                texts([text(flag) for flag in event.flags]),
                text(event.book),
                text(event.alias),
                text(event.state or "open"),
            )
        )

    def write(self, cursor: Cursor[Any]) -> None:
        """Store what was taken in, and forget it."""
        if self._rows:
            copy(cursor, f"{self._schema}.account_versions", _COLUMNS, self._rows)
            self._rows.clear()
