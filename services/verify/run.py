"""Verifies an installation: its shards divided among processes, and what they find put together.

A ledger that is larger than a process's share is looked at by two, one at its rows and one at its sums.

Law: every process looks at the same moment of a shard, and the faults are told in the order of ledger and sequence,
however the work was divided.
"""

import multiprocessing
import os
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from multiprocessing.sharedctypes import Synchronized
from typing import Any, Final, NamedTuple
from uuid import UUID

from services.interpreter import tune
from services.settings import Settings
from services.verify import ids, stretch, whole
from services.verify.fault import Fault
from services.verify.inspection import Look
from services.verify.moment import Moment
from services.verify.stretch import Found, Stretch

Progress = Callable[[int, int], None]
"""Told how many events have come, and how many there are."""

_Place = tuple[int, UUID, Look]
"""Which stretch: of which shard, where it begins, and what is looked at."""

_PARTS_A_JOB: Final = 4
_LARGE: Final = 1.25
"""So many shares of a process are waited for longer than reading them twice takes."""

_WORTH_SHARING: Final = 50_000
_ENDLESS: Final = 2**63
_KEY_BITS: Final = 62
_LOOK_EVERY_S: Final = 0.25

_count: "Synchronized[int]"


class Verified(NamedTuple):
    """What was looked at, and what is wrong with it, the first fault first."""

    shards: int
    ledgers: int
    events: int
    faults: list[Fault]


def verify(
    settings: Settings,
    partitions: int,
    *,
    jobs: int | None = None,
    read_models: bool = True,
    progress: Progress | None = None,
) -> Verified:
    """Verify all shards. Blocks.

    Args:
        settings: where they are.
        partitions: how many.
        jobs: how many processes work at once; with one it is this process. If not said, as many as there are cores,
            where the journal is long enough to be worth starting them.
        read_models: compare them too.
        progress: is told how far it is, now and then.

    Raises:
        Away: PostgreSQL does not answer.
    """
    with ExitStack() as stack:
        # Read models first: they never show what the journal has not, as of a later moment.
        shards = range(partitions)
        reads = [_opened(stack, settings.read_database(shard)) if read_models else None for shard in shards]
        moments = [_opened(stack, settings.database(shard)) for shard in shards]
        total = sum(part.events for shard in shards for part in whole.divided(moments[shard], shard, _ENDLESS))
        jobs = jobs or (os.cpu_count() or 1 if total > _WORTH_SHARING else 1)
        sources = zip(shards, moments, reads, strict=True)
        stretches = [one for source in sources for one in _stretches(settings, partitions, *source, total // jobs)]
        key = secrets.randbits(_KEY_BITS)
        holes, sums = _asked(stack.enter_context(ThreadPoolExecutor(1)), moments, key)
        parts, unlike = _audited(stretches, key, sums, jobs, lambda events: progress and progress(events, total))
        faults = [fault for part in parts.values() for fault in part.faults]
        for shard, moment in enumerate(moments):
            used = ids.too_many(moment, shard, _ids(parts, shard)) if shard in unlike else ()
            faults += _news([*holes[shard].result(), *used], faults)
    return _together(partitions, parts.values(), faults)


def _asked(
    thread: ThreadPoolExecutor, moments: list[Moment], key: int
) -> tuple[list[Future[list[Fault]]], list[Future[int]]]:
    """Let PostgreSQL look for holes and add up the ids of each shard, while others audit."""
    holes = [thread.submit(list, whole.positions(moment, shard)) for shard, moment in enumerate(moments)]
    return holes, [thread.submit(ids.sum_of_all, moment, shard, key) for shard, moment in enumerate(moments)]


def _together(shards: int, parts: Collection[Found], faults: list[Fault]) -> Verified:
    ledgers, events = sum(part.ledgers for part in parts), sum(part.events for part in parts)
    return Verified(shards, ledgers, events, sorted(faults, key=lambda fault: fault.place))


def _audited(
    stretches: list[Stretch], key: int, sums: Sequence[Future[int]], jobs: int, progress: Callable[[int], Any]
) -> tuple[dict[_Place, Found], set[int]]:
    """Audit all stretches, and once more those of shards of which more is to be told: there each id is looked up.

    Args:
        stretches: all there are.
        key: that of the numbers that stand for ids.
        sums: those of each shard's ids, under that key.
        jobs: how many processes work at once.
        progress: is told how many events have come.

    Returns:
        What was found, and which shards those are.
    """
    parts = dict(_all([one._replace(key=key) for one in stretches], jobs, progress))
    unlike = {shard for shard, told in enumerate(sums) if told.result() != _ids(parts, shard)}
    # Each of two that looked at one ledger found a fault: which is the first shows where one looks for both.
    found = Counter((shard, fault.ledger) for (shard, _, _), part in parts.items() for fault in part.faults)
    unlike |= {shard for (shard, _), faults in found.items() if faults > 1}
    again = [one._replace(look=Look.ALL) for one in stretches if one.shard in unlike and one.look is not Look.ROWS]
    parts = {place: part for place, part in parts.items() if place[0] not in unlike}
    return parts | dict(_all(again, jobs, progress)), unlike


def _ids(parts: dict[_Place, Found], shard: int) -> int:
    return sum(part.ids for place, part in parts.items() if place[0] == shard)


def _opened(stack: ExitStack, dsn: str) -> Moment:
    return stack.enter_context(closing(Moment(dsn)))


def _stretches(
    settings: Settings, partitions: int, shard: int, moment: Moment, reads: Moment | None, share: int
) -> Iterator[Stretch]:
    """Divide a shard into stretches, several for a process's share, so that none waits long for the others."""
    snapshot, read_snapshot = moment.shown(), reads.shown() if reads else ""
    read_dsn = settings.read_database(shard) if reads else None
    for first, last, events in whole.divided(moment, shard, max(share // _PARTS_A_JOB, 1)):
        one = Stretch(shard, partitions, first, last, settings.database(shard), snapshot, read_dsn, read_snapshot)
        if events > share * _LARGE:
            yield one._replace(look=Look.ROWS, read_dsn=None)
            yield one._replace(look=Look.SUMS)
        else:
            yield one


def _all(stretches: list[Stretch], jobs: int, progress: Callable[[int], Any]) -> Iterator[tuple[_Place, Found]]:
    if jobs == 1 or len(stretches) <= 1:
        done = 0

        def come(events: int) -> None:
            nonlocal done
            done += events
            progress(done)

        yield from ((_place(one), stretch.verify(one, come)) for one in stretches)
        return
    context = multiprocessing.get_context("spawn")
    count: Synchronized[int] = context.Value("q", 0)
    with ProcessPoolExecutor(jobs, context, _begin, (count,)) as pool:
        pending = {pool.submit(_work, one): _place(one) for one in stretches}
        while pending:
            done_now, _ = wait(pending, _LOOK_EVERY_S, FIRST_COMPLETED)
            progress(count.value)
            for future in done_now:
                yield pending.pop(future), future.result()


def _place(one: Stretch) -> _Place:
    return one.shard, one.first, one.look


def _begin(count: "Synchronized[int]") -> None:
    global _count  # noqa: PLW0603 - a process of the pool is told once what all of its work shares
    _count = count
    tune()


def _work(one: Stretch) -> Found:
    return stretch.verify(one, _come)


def _come(events: int) -> None:
    with _count.get_lock():
        _count.value += events


def _news(found: Iterable[Fault], known: Iterable[Fault]) -> Iterator[Fault]:
    """Give what was found of ledgers of which no fault is known: what follows of one is no news."""
    ledgers = {fault.ledger for fault in known}
    for fault in found:
        if fault.ledger not in ledgers and (fault.ledger or not ledgers):
            ledgers.add(fault.ledger)
            yield fault
