"""The tests' own way into the shipped processes: `python -m tests.system.entry writer --kill-at committed:7`.

It hands in what the shipped program has no switch for: what happens at the named points of the way (`services.writer`,
`services.publisher`, `services.projector`). And it has a writer that asks nobody whether a partition is its own.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections import Counter
from functools import partial

from services.cli.serving import Work, serve
from services.errors import Unexpected
from services.health import Health
from services.journal.ports import OtherWriter
from services.journal.postgres import PostgresJournal
from services.kafka.dispatch import Dispatch
from services.kafka.inbox import KafkaInbox
from services.kafka.topics import Topics
from services.points import Point
from services.processes import projector, publisher, writer
from services.replies import Replies
from services.settings import Settings
from services.setup import check_installation
from services.tallies import WriterTally
from services.writer import Writer

BAD_SETTING = 3


def main() -> int:
    """Run a process until it is told to stop, or is killed at its point."""
    options = _options()
    point = signalled(_places(options.kill_at), _places(options.stop_at))
    works: dict[str, Work] = {
        "writer": partial(writer, point=point),
        "publisher": partial(publisher, point=point),
        "projector": partial(projector, point=point),
        "usurper": partial(usurper, partition=options.partition, point=point),
    }
    try:
        serve(options.process, works[options.process])
    except Unexpected as error:
        print(error, file=sys.stderr)
        return BAD_SETTING
    return 0


def signalled(kill_at: Counter[str], stop_at: Counter[str]) -> Point:
    """Make a point at which the process kills or stops itself, when it comes to a place for the nth time."""
    passed: Counter[str] = Counter()

    async def point(place: str) -> None:
        passed[place] += 1
        for number, places in ((signal.SIGKILL, kill_at), (signal.SIGSTOP, stop_at)):
            if places[place] == passed[place]:
                os.kill(os.getpid(), number)

    return point


async def usurper(settings: Settings, health: Health, stop: asyncio.Event, *, partition: int, point: Point) -> None:
    """Write a partition whoever else does, and take it back whenever another took it."""
    installed = await check_installation(settings)
    while not stop.is_set():
        kafka, topics = settings.brokers(), Topics(settings.prefix)
        inbox, again = (KafkaInbox(kafka, topics.commands, partition) for _ in range(2))
        dispatch = Dispatch(kafka, topics.all(postings=True))
        journal = PostgresJournal(settings.database(partition), partition)
        try:
            health.works("usurper")
            replies = Replies(again, journal, dispatch.send, WriterTally(), health)
            await Writer(inbox, journal, replies, installed.partitions, health, point=point).run(stop)
        except OtherWriter as other:
            print("usurped:", other, file=sys.stderr, flush=True)
        finally:
            for opened in (inbox, again, dispatch):
                await opened.close()
            await journal.close()


def _places(said: list[str]) -> Counter[str]:
    return Counter({place: int(number) for place, _, number in (text.partition(":") for text in said)})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("process", choices=["writer", "publisher", "projector", "usurper"])
    parser.add_argument("--kill-at", action="append", default=[], metavar="POINT:N")
    parser.add_argument("--stop-at", action="append", default=[], metavar="POINT:N")
    parser.add_argument("--partition", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
