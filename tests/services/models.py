"""Read models for whoever asks them: of all that can happen, and of two accounts that are posted to again and again."""

from collections.abc import Sequence
from functools import cache
from typing import Final

from schemas.events import Event
from services.projector import connected
from tests.projections.stream import busy, events, project, stored

MAIN: Final = "main"
CASH: Final = "cash"
SHOP: Final = "shop"


def take_in(dsn: str, happened: Sequence[Event], page: int) -> None:
    with connected(dsn, "defter-test") as connection:
        project(connection, stored(happened), page)


@cache
def hot() -> list[Event]:
    """The events of the ledger `MAIN`, in which `CASH` and `SHOP` are posted to again and again."""
    return busy(1 + number % 3 for number in range(500))


def longest() -> list[Event]:
    """The events of the ledger that holds and posts most."""
    by_ledger: dict[str, list[Event]] = {}
    for event in events():
        by_ledger.setdefault(event.ledger, []).append(event)
    return max(by_ledger.values(), key=lambda some: sum(type(event).__name__.startswith("Hold") for event in some))
