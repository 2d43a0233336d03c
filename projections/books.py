"""Books: every version is kept, and the last one is the present one."""

from typing import Any, Final

from psycopg import Cursor

from projections.copying import copy, int8, row, text, texts
from schemas.events import BookDefined

_COLUMNS: Final = "ledger, book, version, sequence, name, units, flags, accounts"


class Books:
    """The books that one page brings.

    Args:
        schema: of the generation, such as `read_1`.
    """

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._rows: list[bytes] = []

    def fold(self, event: BookDefined) -> None:
        """Take in one version of a book."""
        lists = (texts([text(one) for one in said]) for said in (event.units, event.flags, event.accounts))
        place = (text(event.ledger), text(event.book), int8(event.version), int8(event.sequence))
        self._rows.append(row(*place, text(event.name), *lists))

    def write(self, cursor: Cursor[Any]) -> None:
        """Store what was taken in, and forget it."""
        if self._rows:
            copy(cursor, f"{self._schema}.book_versions", _COLUMNS, self._rows)
            self._rows.clear()
