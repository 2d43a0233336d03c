"""One process of an installation, as it is shipped, started for a measurement: `python -m services.bench.process`.

    python -m services.bench.process writer --gate FD --profile FILE

Law: nothing of the process is changed. It tells on stdout which shards it works on, and which it has given up. A writer
can be held there, just before its first fetch, until the other end of the pipe FD is closed.
"""

import argparse
import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from services import processes
from services.bench.sampling import sampled
from services.cli.serving import serve
from services.kafka.inbox import KafkaInbox
from services.kafka.ports import Record
from services.patience import Readiness
from services.settings import Kafka, Settings

Work = Callable[[Settings, Readiness, asyncio.Event], Awaitable[None]]

PARTS: Final = ("writer", "publisher", "projector")
WORKS: Final = "works"
LEFT: Final = "left"


def main() -> None:
    """Run the part that the arguments name, until SIGTERM or the end of whoever measures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--gate", type=int)
    parser.add_argument("--profile", type=Path)
    said = parser.parse_args()
    works: dict[str, Work] = {
        "writer": partial(_writer, gate=said.gate),
        "publisher": _telling(processes.publisher, "publisher"),
        "projector": _telling(processes.projector, "projector"),
    }
    with sampled(said.profile):
        serve(said.part, works[said.part])


async def _writer(settings: Settings, readiness: Readiness, stop: asyncio.Event, *, gate: int) -> None:
    opened = asyncio.Event()
    loop = asyncio.get_running_loop()

    def opens() -> None:
        loop.remove_reader(gate)
        opened.set()

    loop.add_reader(gate, opens)
    await processes.writer(settings, readiness, stop, inbox=partial(_Held, opened))


class _Held(KafkaInbox):
    """An inbox that is empty until the gate is opened. Whoever takes from it lives meanwhile, and hears of others.

    Args:
        opened: the gate.
        kafka: as for any inbox; the others, too.
    """

    def __init__(self, opened: asyncio.Event, kafka: Kafka, topic: str, partition: int) -> None:
        super().__init__(kafka, topic, partition)
        self._opened = opened
        self._told = False

    async def take(self, most: int, most_bytes: int, wait_s: float) -> list[Record]:
        """Take nothing before the gate is opened."""
        if not self._opened.is_set():
            if not self._told:
                self._told = True
                _tell(WORKS, self.partition)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._opened.wait(), wait_s)
            return []
        return await super().take(most, most_bytes, wait_s)

    async def close(self) -> None:
        """Say that the partition is another's, or nobody's."""
        await super().close()
        if self._told:
            _tell(LEFT, self.partition)


def _telling(work: Work, part: str) -> Work:
    async def told(settings: Settings, readiness: Readiness, stop: asyncio.Event) -> None:
        await work(settings, _Telling(readiness, part), stop)

    return told


class _Telling:
    """Readiness that tells whoever measures when the part works on a shard, once for each."""

    def __init__(self, readiness: Readiness, part: str) -> None:
        self._readiness = readiness
        self._part = part
        self._told: set[str] = set()

    def waits(self, part: str, why: str) -> None:
        self._readiness.waits(part, why)

    def works(self, part: str) -> None:
        self._readiness.works(part)
        name, _, shard = part.rpartition(" ")
        if name == self._part and part not in self._told:
            self._told.add(part)
            _tell(WORKS, int(shard))


def _tell(what: str, shard: int) -> None:
    print(what, shard, flush=True)


if __name__ == "__main__":
    main()
