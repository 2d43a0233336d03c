"""A journal full of everything that can happen: the events of every scenario, each scenario in ledgers of its own."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

import msgspec
import psycopg

from domain.ledger import apply
from domain.state import Ledger
from projections import generations
from projections.checkpoint import Stored
from projections.projection import Projection
from schemas.codec import decode_event, encode_events
from schemas.events import AccountOpened, Event, LedgerOpened, Posting, TransferPosted
from schemas.values import Policy
from tests.domain.scenarios import Scenario, scenarios
from tests.domain.test_vectors import play

SHARD: Final = 0


@cache
def events() -> tuple[Event, ...]:
    """Give the events of all scenarios, those of different scenarios taking turns."""
    with ThreadPoolExecutor(1) as thread:  # a scenario is played in a loop of its own, and a test may be in another
        told = list(thread.map(_events, scenarios()))
    longest = max(map(len, told))
    return tuple(one[turn] for turn in range(longest) for one in told if turn < len(one))


def _events(scenario: Scenario) -> list[Event]:
    happened = [decode_event(text) for text, _ in play(scenario).events()]
    return [msgspec.structs.replace(event, ledger=f"{scenario.id}-{event.ledger}"[:63].lower()) for event in happened]


def busy(pairs: Iterable[int]) -> list[Event]:
    """Give the events of a ledger in which `cash` pays `shop` again and again, so many times 1 in each transfer."""
    at = "2026-11-21T09:30:00.125Z"
    happened: list[Event] = [LedgerOpened(ledger="main", sequence=1, at=at, command="ledger")]
    for account in ("cash", "shop"):
        said: Any = {"account": account, "account_type": "system", "policy": Policy.SYSTEM, "version": 1}
        happened.append(AccountOpened(ledger="main", sequence=len(happened) + 1, at=at, command=account, **said))
    total = 0
    for number, count in enumerate(pairs, start=len(happened) + 1):
        postings: list[Posting] = []
        for _ in range(count):
            total += 1
            postings += [Posting("cash", "QAZ", "-1", str(total), "0"), Posting("shop", "QAZ", "1", "0", str(total))]
        said = {"command": f"t-{number}", "kind": "transfer", "postings": tuple(postings)}
        happened.append(TransferPosted(ledger="main", sequence=number, at=at, **said))
    return happened


def stored(happened: Iterable[Event]) -> list[Stored]:
    """Store events in a journal whose positions skip now and then."""
    events = list(happened)
    return [
        (number * 3, event.ledger, event.sequence, str(type(event).__struct_config__.tag), data)
        for number, (event, data) in enumerate(zip(events, encode_events(events), strict=True), start=1)
    ]


def folded(happened: Iterable[Event]) -> dict[str, Ledger]:
    """Fold events as the writer does."""
    ledgers: dict[str, Ledger] = {}
    for event in happened:
        apply(ledgers.setdefault(event.ledger, Ledger(event.ledger)), event)
    return ledgers


def begin(connection: psycopg.Connection[Any]) -> Projection:
    """Go on from wherever the read models of the live generation stand."""
    with connection.cursor() as cursor:
        generation = generations.find(cursor)
    connection.commit()
    return Projection(connection, generation, SHARD)


def project(connection: psycopg.Connection[Any], rows: Sequence[Stored], page: int = 1000) -> None:
    """Take rows into the read models, in pages of this size."""
    projection = begin(connection)
    for start in range(0, len(rows), page):
        projection.fold(rows[start : start + page])
        projection.write()
        projection.commit()


def shown(connection: psycopg.Connection[Any], view: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """Give all rows of a view of `read`, sorted."""
    return connection.execute(f"select {columns} from read.{view} as row order by row::text").fetchall()


def everything(connection: psycopg.Connection[Any]) -> dict[str, list[tuple[Any, ...]]]:
    """Give all rows of all views of `read`."""
    return {view: shown(connection, view) for view in generations.VIEWS}
