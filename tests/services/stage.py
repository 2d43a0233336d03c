"""A writer and a publisher in one process: topics that are lists, a journal in memory, a clock that stands still."""

import asyncio

import msgspec

from services.journal.memory import MemoryJournal, MemoryStore, Pause
from services.kafka.dispatch import Addressed
from services.kafka.lists import ListInbox, ListTopic
from services.kafka.ports import Message
from services.points import Point, no_point
from services.replies import Replies
from services.tallies import WriterTally
from services.writer import Writer

NOW_MS = 1_800_000_000_000


class Calm:
    """Readiness that is asked by nobody, and remembers what it was told."""

    def __init__(self) -> None:
        """Begin with nothing told."""
        self.told: list[str] = []

    def waits(self, part: str, why: str) -> None:
        """Note what is waited for."""
        self.told.append(f"{part}: {why}")

    def works(self, part: str) -> None:
        """Note that it goes on."""
        self.told.append(f"{part}: works")


class Stage:
    """One partition of `commands`, and the journal behind it."""

    def __init__(self) -> None:
        """Begin with an empty topic and an empty journal."""
        self.now_ms = self.own_ms = NOW_MS
        self.commands = ListTopic(lambda: self.now_ms)
        self.store = MemoryStore()
        self.readiness = Calm()
        self.replies: list[Addressed] = []

    def publish(self, *commands: dict[str, object] | bytes) -> None:
        """Put commands on the topic, as one batch of a producer."""
        self.commands.append([Message(None, _value(command), ()) for command in commands])

    def writer(self, *, pause: Pause | None = None, point: Point = no_point, overlap_from: int = 1) -> Writer:
        """Make a writer of the partition. Small as they are, its batches overlap, unless said otherwise."""
        journal = MemoryJournal(self.store, pause=pause)
        inbox, tally = ListInbox(self.commands), WriterTally()
        replies = Replies(ListInbox(self.commands), journal, self.send, tally, self.readiness)
        return Writer(
            inbox,
            journal,
            replies,
            1,
            self.readiness,
            tally=tally,
            now_ms=lambda: self.own_ms,
            point=point,
            poll_s=0.001,
            overlap_from=overlap_from,
        )

    async def send(self, replies: list[Addressed]) -> int:
        """Take in replies; nobody is there whose topic is called `nobody`."""
        known = [reply for reply in replies if reply.topic != "nobody"]
        ignored = len(replies) - len(known)
        self.replies += known
        replies.clear()
        return ignored

    async def write(self, writer: Writer | None = None) -> None:
        """Let a writer decide all that is on the topic, then stop it."""
        stop = asyncio.Event()
        running = asyncio.create_task((writer or self.writer()).run(stop))
        while self.store.standing.next < self.commands.bounds().end and not running.done():
            await asyncio.sleep(0)
        stop.set()
        await running

    def events(self) -> list[bytes]:
        """Give the journal's events, in order."""
        return [row.data for row in self.store.rows]

    def told(self, command: str) -> list[dict[str, object]]:
        """Give the events of a command."""
        events = (msgspec.json.decode(data) for data in self.events())
        return [event for event in events if event.get("command") == command]


class Holder:
    """Holds the journal at the nth time that it comes to a place, until told to go on."""

    def __init__(self, where: str, nth: int) -> None:
        self.where, self.nth = where, nth
        self.reached, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self, where: str) -> None:
        if where == self.where:
            self.nth -= 1
            if self.nth == 0:
                self.reached.set()
                await self.go.wait()


class Running:
    """A writer that runs beside the test."""

    def __init__(self, stage: Stage, *holders: Holder, overlap_from: int = 1) -> None:
        async def pause(where: str) -> None:
            await asyncio.sleep(0)
            for holder in holders:
                await holder(where)

        self.stage = stage
        self.stopping = asyncio.Event()
        self.writer = stage.writer(pause=pause, overlap_from=overlap_from)
        self.task = asyncio.create_task(self.writer.run(self.stopping))

    async def until(self, offset: int) -> None:
        """Wait until everything before `offset` is stored."""
        while self.stage.store.standing.next < offset and not self.task.done():
            await asyncio.sleep(0)

    async def stop(self) -> None:
        self.stopping.set()
        await self.task


async def let_run() -> None:
    """Let everything that can go on, go on."""
    for _ in range(200):
        await asyncio.sleep(0)


def opened() -> list[dict[str, object]]:
    """Give commands that open a ledger with two users, of whom alice has 1000 QAZ."""
    return [
        {"type": "open-ledger.v1", "id": "ledger"},
        {"type": "open-account.v1", "id": "world", "account": "world", "account_type": "external"},
        {"type": "open-account.v1", "id": "alice", "account": "alice"},
        {"type": "open-account.v1", "id": "bob", "account": "bob"},
        pay("deposit", "world", "alice", 1000, kind="deposit"),
    ]


def pay(command: str, source: str, destination: str, amount: int, **more: object) -> dict[str, object]:
    """Give a transfer of one movement in QAZ."""
    movement = {"source": source, "destination": destination, "unit": "QAZ", "amount": amount}
    return {"type": "transfer.v1", "id": command, "movements": [movement], **more}


def _value(command: dict[str, object] | bytes) -> bytes:
    return command if isinstance(command, bytes) else msgspec.json.encode(command)
