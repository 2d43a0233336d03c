"""Ads: what is offered, and how much of it was taken.

An ad is posted once, may be taken from often, and is withdrawn at most once, in this order; so a page is stored in it.
"""

from typing import Any, Final

from psycopg import Cursor

from schemas.events import AdPosted, AdWithdrawn
from schemas.lean import LeanTransfer

_OF_AD: Final = 'ledger, ad, account, base, quote, rate, "limit", sequence, changed'

POSTINGS_A_HOP: Final = 4
"""A hop of an exchange moves base to the ad's account, and quote from there: two movements (SPEC 4.9)."""


class Ads:
    """What one page does to ads.

    Args:
        schema: of the generation, such as `read_1`.
    """

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._posted: list[AdPosted] = []
        self._taken: dict[tuple[str, str], tuple[int, int]] = {}
        self._withdrawn: list[AdWithdrawn] = []

    def post(self, event: AdPosted) -> None:
        """Take in an offer."""
        self._posted.append(event)

    def take(self, ledger: str, sequence: int, event: LeanTransfer) -> None:
        """Take in what an exchange took of its ads."""
        for hop, ad in enumerate(event.ads):
            before, _ = self._taken.get((ledger, ad), (0, 0))
            self._taken[ledger, ad] = (before + event.postings[POSTINGS_A_HOP * hop + 1].amount, sequence)

    def withdraw(self, event: AdWithdrawn) -> None:
        """Take in the end of an offer."""
        self._withdrawn.append(event)

    def write(self, cursor: Cursor[Any]) -> None:
        """Store what was taken in, and forget it."""
        if self._posted:
            cursor.executemany(
                f"insert into {self._schema}.ads ({_OF_AD}) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [_columns(event) for event in self._posted],
            )
        if self._taken:
            cursor.executemany(
                f"update {self._schema}.ads set taken = taken + %s, changed = %s where ledger = %s and ad = %s",
                [(*taken, *key) for key, taken in self._taken.items()],
            )
        if self._withdrawn:
            cursor.executemany(
                f"update {self._schema}.ads set state = 'withdrawn', changed = %s where ledger = %s and ad = %s",
                [(event.sequence, event.ledger, event.ad) for event in self._withdrawn],
            )
        self._posted.clear()
        self._taken.clear()
        self._withdrawn.clear()


def _columns(event: AdPosted) -> tuple[object, ...]:
    limit = None if event.limit is None else int(event.limit)
    offer = (event.ledger, event.ad, event.account, event.base, event.quote, event.rate, limit)
    return (*offer, event.sequence, event.sequence)
