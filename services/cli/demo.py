"""`defter demo`: a short story with real PostgreSQL, real Kafka and Defter's own processes. It leaves nothing behind.

Each chapter is a function. What is published: `services.cli.demo_messages`.
"""

import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

import click

from schemas.codec import decode_event
from services.cli import NO, rows, screen
from services.cli.demo_messages import LEDGER, PEOPLE, SHOP, Group, groups
from services.cli.screen import Column, amount
from services.cli.telling import sentence
from services.dev import Installation
from services.errors import Unexpected
from services.journal.postgres import PostgresJournal
from services.kafka.partition import Partition
from services.kafka.topics import Topics
from services.migrations.run import READER
from services.reads import Reads, TrialBalance
from services.sending import ACCEPTED, DEAD_LETTER, REFUSED, Line, Outcome, Place, Sending
from services.settings import Settings
from services.setup import setup
from services.supervisor import Supervisor

Told = list[tuple[Group, list[Outcome]]]

PATIENCE_S: Final = 60.0
"""How long anything may take without getting on, on however slow a machine."""

_LOOK_EVERY_S: Final = 0.05
_INDENT: Final = "   "
_SCALES: Final = {"QAZ": 2, "RICE": 3}


def tell_story() -> None:
    """Tell it. Exits 1 if anything in it is not as it should be."""
    begun = time.monotonic()
    screen.say("Defter, a ledger fed by Kafka. Everything in this story is real.\n")
    with tempfile.TemporaryDirectory(prefix="defter-demo-", ignore_cleanup_errors=True) as directory:
        installation = Installation(Path(directory) / "installation", keep=False)
        _chapter("1  PostgreSQL and Kafka start, in a directory of their own …")
        installation.start(lambda said: screen.say(f"{_INDENT}{said}"))
        try:
            settings = Settings(instance="demo").at(*installation.addresses)
            good = asyncio.run(_story(settings, Path(directory) / "processes.log"))
        finally:
            _chapter("8  Everything is stopped, and nothing is left behind.")
            installation.stop()
    screen.say(f"\nThat took {time.monotonic() - begun:.1f} s. To keep a ledger of your own:")
    screen.say("  defter dev                    PostgreSQL, Kafka and all processes, until Ctrl-C")
    screen.say(
        "  defter open-ledger main       then, in another terminal, the first command; defter --help has the rest"
    )
    if not good:
        raise click.exceptions.Exit(NO)


async def _story(settings: Settings, log: Path) -> bool:
    _chapter("2  Topics and tables are made; writer, publisher and projector start …")
    await setup(settings)
    stop = asyncio.Event()
    supervisor = Supervisor(settings, ("writer", "publisher", "projector"), log=log)
    running = asyncio.create_task(supervisor.run(stop))
    sending = Sending(settings, 1, PATIENCE_S)
    models = Reads(settings.read_database(0), wait_s=PATIENCE_S)
    try:
        await _all_ready(supervisor, log)
        told = await _publish(sending)
        _tell_outcomes(told)
        events = await _compare(settings)
        models = Reads(settings.read_database(0), min_sequence=events, wait_s=PATIENCE_S)
        await _tell_balances(models)
        return _tell_sums(await models.trial_balance(LEDGER))
    finally:
        await asyncio.gather(sending.close(), models.close())
        stop.set()
        await running


async def _all_ready(supervisor: Supervisor, log: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while not await supervisor.ready():
        if time.monotonic() > until:
            said = await asyncio.to_thread(log.read_text, encoding="utf-8", errors="replace")
            raise Unexpected(f"the processes do not get ready:\n{said[-2000:]}", "see what they say")
        await asyncio.sleep(_LOOK_EVERY_S)


async def _publish(sending: Sending) -> Told:
    """Publish everything at once, as many producers would, and wait for what becomes of it."""
    told = groups()
    lines: list[Line] = [line for group in told for line in group.lines]
    _chapter(f"3  {len(lines)} messages are published to the topic `defter.commands`, as any Kafka producer does it …")
    places: list[Place] = await sending.send(lines)
    outcomes = iter(await sending.outcomes(lines, places))
    return [(group, [next(outcomes) for _ in group.lines]) for group in told]


def _tell_outcomes(told: Told) -> None:
    _chapter("4  Every message has its outcome, and none has two:")
    table = []
    for group, outcomes in told:
        counts = Counter(outcome.outcome for outcome in outcomes)
        reasons = Counter(outcome.reason for outcome in outcomes if outcome.reason)
        why = ", ".join(reason + (f" × {count}" if count > 1 else "") for reason, count in reasons.items())
        table.append((group.title, len(outcomes), counts[ACCEPTED], counts[REFUSED], counts[DEAD_LETTER], why))
    titles = ("sent", "accepted", "refused", "dead letter")
    screen.table([Column("what"), *map(amount, titles), Column("why")], table, _INDENT)
    screen.say()
    screen.say("   A refusal is an event like any other. A dead letter is kept with its bytes; it uses up no id.")
    screen.say("   What was sent again is answered as it was the first time, and moved nothing.\n")
    _, payments = told[2]
    short = payments[0].event
    if short is not None:
        screen.say("   The first payment, as it was sent, in the short form, and as it was decided:")
        screen.say(f"   {told[2][0].lines[0].value.decode()}")
        screen.say(f"   {sentence(short, _SCALES)}")


async def _compare(settings: Settings) -> int:
    """Read the topic of events to its end and compare it with the journal; return the last sequence."""
    topic = Topics(settings.prefix).events
    journal, partition = PostgresJournal(settings.database(0), 0, READER), Partition(settings.brokers(), topic, 0)
    try:
        stored = [row.data async for page in journal.load() for row in page]
        published: list[bytes | None] = []
        while len(published) < len(stored):
            published += [record.value for record in (await partition.after(len(published))).records]
    finally:
        await asyncio.gather(journal.close(), partition.close())
    same = "byte for byte what the journal holds" if published == stored else "NOT what the journal holds"
    _chapter(f"5  Subscribers of `{topic}` have received {len(published)} events, {same}.")
    if published != stored:
        raise Unexpected("published and stored events differ", "this is a fault of Defter's: report it")
    return decode_event(stored[-1]).sequence


async def _tell_balances(models: Reads) -> None:
    _chapter("6  What everybody has now, in minimal parts and in whole units:")
    table = []
    for account in ("world", *PEOPLE, SHOP, "treasury"):
        found = await models.balances(LEDGER, account)
        table += [(account, *row[:3]) for row in rows.balance_rows(found)]
    screen.table([Column("account"), Column("unit"), amount("balance"), amount("in whole units")], table, _INDENT)


def _tell_sums(found: TrialBalance) -> bool:
    good = all(one.debits == one.credits for one in found.units)
    _chapter(
        f"7  Nothing appeared and nothing vanished: the balances {'sum to zero' if good else 'DO NOT SUM TO ZERO'}."
    )
    screen.table([Column("unit"), *map(amount, rows.SUMS)], rows.sum_rows(found), _INDENT)
    return good


def _chapter(said: str) -> None:
    screen.say(f"\n{said}")
