"""How long an answer about the past takes: a balance, and the statement that a person is shown, as of any sequence.

Law: the questions are those that every reader of read models asks (`services.reads`), one after the other, each of an
account and a sequence by chance. The read models are verified against the journal before there is a figure.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any, Final

from services.bench import load
from services.bench.checking import Wrong
from services.bench.grounds import begin_alike, connected, fresh
from services.bench.latency import percentiles
from services.bench.options import Options, Result
from services.bench.past import happened
from services.bench.rebuilt import end_of
from services.bench.surroundings import cores
from services.building import Building
from services.reads import Reads
from services.settings import Settings
from services.verify import run

_LIVE: Final = 1
_MOST_QUESTIONS: Final = 2000

_LINES: Final = 50
"""As many postings as `defter statement` shows where nobody says how many."""


async def as_of(options: Options, servers: Settings) -> Result:
    """Measure once.

    Raises:
        Away: a server does not answer.
        Unexpected: a server is not as it should be.
        Wrong: the read models are not the journal's.
    """
    async with fresh(servers) as settings:
        events = await happened(settings, options)
        with connected(settings) as connection:
            await Building(settings, settings.read_database(0), _LIVE).to({0: end_of(connection, events)})
            connection.execute("vacuum analyze")
        found = await asyncio.to_thread(run.verify, settings, 1, jobs=cores())
        if found.faults or found.events != events:
            raise Wrong(f"of {events} events {found.events} were verified: {found.faults[:1]}")
        await begin_alike(settings)
        reads = Reads(settings.read_database(0))
        try:
            questions = _questions(min(options.transfers, _MOST_QUESTIONS), options.accounts, events)
            balance = await _timed(reads.balances, questions)
            statement = await _timed(partial(reads.statement, most=_LINES), questions)
        finally:
            await reads.close()
    work = {"transfers": options.transfers, "accounts": options.accounts, "events": events}
    of_statement = {f"statement_{name}": ms for name, ms in statement.items()}
    return balance | of_statement | work | {"questions": len(questions)}


def _questions(count: int, accounts: int, events: int) -> list[tuple[str, int]]:
    """Give accounts and sequences by chance."""
    random = Random(load.SEED)
    return [(load.account(random.randrange(accounts)), random.randrange(events) + 1) for _ in range(count)]


async def _timed(ask: Callable[..., Awaitable[Any]], questions: list[tuple[str, int]]) -> dict[str, float]:
    samples = []
    for account, sequence in questions:
        begun = time.perf_counter()
        await ask(load.LEDGER, account, as_of=sequence)
        samples.append(time.perf_counter() - begun)
    return percentiles(samples)
