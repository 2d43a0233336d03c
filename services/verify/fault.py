"""What `verify` finds wrong: where, and by which check."""

from enum import StrEnum
from typing import Any


class Check(StrEnum):
    """The checks, by the names under which they are told."""

    LEDGERS = "ledgers"
    SEQUENCES = "sequences"
    POSITIONS = "positions"
    COLUMNS = "columns"
    TIMES = "times"
    BYTES = "bytes"
    SEALS = "seals"
    TOTALS = "totals"
    SUMS = "sums"
    FLOORS = "floors"
    ACCOUNTS = "accounts"
    HOLDS = "holds"
    ADS = "ads"
    IDS = "ids"
    READ_MODELS = "read models"
    PUBLISHED = "published"
    DECISIONS = "decisions"


class Fault(Exception):
    """Something that is not as it must be.

    Args:
        check: which check found it.
        ledger: of the event, or None where it is of no ledger.
        sequence: of the event, or None; where several are in question the first.
        detail: what is so, and what should be.
        remedy: the command that mends it, where there is one.
    """

    def __init__(
        self, check: Check, ledger: str | None, sequence: int | None, detail: str, remedy: str | None = None
    ) -> None:
        super().__init__(check, ledger, sequence, detail, remedy)
        self.check = check
        self.ledger = ledger
        self.sequence = sequence
        self.detail = detail
        self.remedy = remedy

    def __str__(self) -> str:
        """Say it in one line."""
        where = f"ledger {self.ledger}" if self.ledger else "the journal"
        place = "" if self.sequence is None else f", sequence {self.sequence}"
        remedy = f"; remedy: `{self.remedy}`" if self.remedy else ""
        return f"{where}{place}: {self.detail} (found by: {self.check}{remedy})"

    @property
    def place(self) -> tuple[str, int]:
        """Where it is, to tell which comes first: by ledger and sequence, and what is of no ledger before all."""
        return self.ledger or "", self.sequence or 0

    def told(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        where = {"ledger": self.ledger, "sequence": self.sequence}
        said = {name: value for name, value in where.items() if value is not None}
        remedy = {"remedy": self.remedy} if self.remedy else {}
        return {"type": "fault", "check": str(self.check), **said, "detail": self.detail, **remedy}
