"""One ledger, page by page: its rows followed, and what they say added up.

Law: the first fault is that of the first event to which either objects. Two processes that look at one each find
something wherever one that looks at both does; which of theirs is the first is asked of both together.
"""

from collections.abc import Sequence
from enum import StrEnum

from services.verify.audit import Audit
from services.verify.chain import Chain, Used

Stored = tuple[bytes, int, int, str, bytes]
"""An event as it is stored: the id of its ledger, its position, its sequence, its tag and its bytes."""


class Look(StrEnum):
    """What is looked at: how rows follow on one another, what their events add up to, or both."""

    ALL = "all"
    ROWS = "rows"
    SUMS = "sums"


class Inspection:
    """A ledger as far as it was looked at. `chain` or `audit` is None where the other is looked at alone.

    Args:
        ledger: its name.
        look: what is looked at.
    """

    def __init__(self, ledger: str, look: Look) -> None:
        self.ledger = ledger
        self.sequence = 0
        self.chain = None if look is Look.SUMS else Chain(ledger)
        self.audit = None if look is Look.ROWS else Audit(ledger)

    def take(self, rows: Sequence[Stored], seals: dict[int, bytes]) -> list[Used]:
        """Take in the next events.

        Args:
            rows: as they are stored, in the order of their sequences.
            seals: those stored of these sequences.

        Returns:
            The ids that they used up, where rows are looked at.

        Raises:
            Fault: something is not as it must be.
        """
        chain, audit, used = self.chain, self.audit, []
        for _, position, sequence, tag, data in rows:
            self.sequence = sequence
            if chain and (one := chain.follow(position, sequence, tag, data)):
                used.append(one)
            if audit:
                audit.take(sequence, tag, data)
            if chain and sequence in seals:
                chain.compare(seals[sequence])
        return used
