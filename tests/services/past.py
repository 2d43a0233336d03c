"""A journal with a past: two ledgers to which everything happened, decided batch by batch into a real PostgreSQL.

The commands stay on a list, so that they can be decided again.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import psycopg

from schemas.commands import Command
from services.journal.ports import Row
from services.journal.postgres import PostgresJournal
from services.kafka.lists import ListInbox, ListTopic
from services.kafka.ports import Message
from services.migrations import allow_read_models, migrate
from services.projector import connected, prepare
from services.reading import time_of
from services.replies import Replies
from services.tallies import WriterTally
from services.writer import BeginWith, Writer, no_snapshot
from tests.domain.load import OPENING, Load
from tests.projections.stream import project
from tests.services.partition import BEGINNING_MS, Partition
from tests.services.stage import Calm, Stage

LEDGERS = ("main", "shop")
STEPS = 25
A_STEP_MS = 7000
CLUSTER = "a cluster"
PREFIX = "past."


@dataclass
class Past:
    """What was asked, and where what came of it is stored."""

    dsn: str
    commands: ListTopic = field(default_factory=lambda: ListTopic(lambda: 0))
    now_ms: int = BEGINNING_MS

    async def happen(self, ledgers: Sequence[str] = LEDGERS, steps: int = STEPS, seed: int = 11) -> None:
        """Let the writer decide so many batches, and take what came of them into the read models.

        The same happens to every ledger.
        """
        migrate(self.dsn, [0])
        allow_read_models(self.dsn)
        prepare(self.dsn)
        self.commands = ListTopic(lambda: self.now_ms)
        journal, stop = PostgresJournal(self.dsn, 0), asyncio.Event()
        running = asyncio.create_task(self.writer(journal).run(stop))
        for batch in batches(ledgers, steps, seed):
            self.now_ms += A_STEP_MS
            self.commands.append([Message(None, value, ()) for value in batch])
            while (await journal.standing()).next < self.commands.bounds().end:
                assert not running.done(), running.result()
        stop.set()
        await running
        await journal.close()
        self._install()
        self.project()

    def writer(self, journal: PostgresJournal, begin_with: BeginWith = no_snapshot) -> Writer:
        """Make a writer of the partition."""
        inbox, replies = ListInbox(self.commands), Stage().send
        answering = Replies(inbox, journal, replies, WriterTally(), Calm())
        return Writer(
            inbox, journal, answering, 1, Calm(), now_ms=lambda: self.now_ms, poll_s=0.001, begin_with=begin_with
        )

    def rows(self) -> list[Row]:
        """Give the journal."""
        with psycopg.connect(self.dsn) as connection:
            rows = connection.execute(
                "select notification_id, name, originator_version, topic, state from journal.shard_0_events "
                "join journal.ledgers using (originator_id) order by notification_id"
            )
            return [Row(*row) for row in rows]

    def project(self) -> None:
        """Bring the read models up to the journal."""
        with connected(self.dsn, "test") as connection:
            project(connection, self.rows(), page=70)

    def _install(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = (PREFIX, CLUSTER, "c", "e", "d")
            connection.execute("insert into journal.installation values (true, %s, 1, %s, %s, %s, %s, null)", row)


def batches(ledgers: Sequence[str], steps: int, seed: int) -> Iterator[list[bytes]]:
    """Make commands, most of them sensible: they know what came of those before."""
    partition, load = Partition(), Load(random.Random(seed))
    for step in range(steps):
        at_ms = BEGINNING_MS + (step + 1) * A_STEP_MS
        commands: list[Command] = [load.command(time_of(at_ms)) for _ in range(12)] if step else list(OPENING)
        load.hear(partition.send(*commands, at_ms=at_ms))
        yield [
            *(
                msgspec.json.encode(msgspec.structs.replace(command, ledger=ledger))
                for ledger in ledgers
                for command in commands
            ),
            b"not a command",
        ]


async def with_a_past() -> Stage:
    """Play a past of two ledgers."""
    stage = Stage()
    for batch in batches(LEDGERS, steps=8, seed=11):
        stage.publish(*batch)
        await stage.write()
    return stage
