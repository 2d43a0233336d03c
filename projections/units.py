"""Units: what may be counted, and where the point stands."""

from typing import Any, Final

from psycopg import Cursor

from schemas.events import LedgerOpened, UnitDefined

BUILT_IN: Final = (("QAZ", 2),)
"""The units and scales that every ledger begins with (SPEC 3)."""


class Units:
    """The units that one page brings.

    Args:
        schema: of the generation, such as `read_1`.
    """

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._rows: list[tuple[str, str, int, str | None, int]] = []

    def fold(self, event: LedgerOpened | UnitDefined) -> None:
        """Take in the units that a ledger has from now on."""
        if isinstance(event, UnitDefined):
            self._rows.append((event.ledger, event.unit, event.scale, event.name, event.sequence))
        else:
            self._rows += [(event.ledger, unit, scale, None, event.sequence) for unit, scale in BUILT_IN]

    def write(self, cursor: Cursor[Any]) -> None:
        """Store what was taken in, and forget it."""
        if self._rows:
            cursor.executemany(
                f"insert into {self._schema}.units (ledger, unit, scale, name, sequence) values (%s, %s, %s, %s, %s)",
                self._rows,
            )
            self._rows.clear()
