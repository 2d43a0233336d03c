"""What a process tells Prometheus, at `/metrics`: its own counts, and how far behind its parts are.

Law: everything is read when it is asked for (`services.tallies`), so that counting costs nothing besides. What cannot
be looked up within `LOOKS_WITHIN_S` is left out: a number is never made up, and `defter_ready` is 0 then.

What each number means and what to do about it: docs/watching.md. It stands there under the names that stand here, and a
test compares them.
"""

import asyncio
import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from schemas.reasons import DeadReason
from services.errors import Away, Unexpected
from services.health import STANDS_BY, STARTING, Answer, Health, Page
from services.patience import asked_again
from services.settings import Settings
from services.tallies import Behind, Look, Spread, Tallies, WriterTally

KIND: Final = "text/plain; version=0.0.4; charset=utf-8"
LOOKS_WITHIN_S: Final = 3.0

Place = tuple[str, int]
"""A part, and the number of its shard."""


def page(name: str, settings: Settings, health: Health, tallies: Tallies) -> Page:
    """Return the page `/metrics` of a process."""

    async def metrics() -> Answer:
        looks = {place: look for place, look in tallies.live.items() if look is not None}
        found = await asyncio.gather(*(_looked(look) for look in looks.values()))
        behind = {place: one for place, one in zip(looks, found, strict=True) if one is not None}
        return _answer(
            itertools.chain(
                _of_process(name, settings, health),
                _of_parts(tallies, behind),
                _of_writers(tallies.writers),
                _of_others(tallies),
                ProcessCollector(registry=None).collect(),
            )
        )

    return metrics


def merged(told: Mapping[str, str]) -> Answer:
    """Return what several processes tell as one answer, each number with the name of its process.

    Args:
        told: what each told, by its name.
    """
    families: dict[str, Metric] = {}
    for process, text in told.items():
        for family in text_string_to_metric_families(text):
            known = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            known.samples += [sample._replace(labels=sample.labels | {"process": process}) for sample in family.samples]
    return _answer(families.values())


class _Given(Collector):
    """Numbers that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Give them."""
        return self._families


def _answer(families: Iterable[Metric]) -> Answer:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given([family for family in families if family.samples]))
    return Answer("200 OK", KIND, generate_latest(registry))


async def _looked(look: Look) -> Behind | None:
    with suppress(Away, Unexpected, TimeoutError):
        async with asyncio.timeout(LOOKS_WITHIN_S):
            return await look()
    return None


def _of_process(name: str, settings: Settings, health: Health) -> Iterator[Metric]:
    labels = {"version": version("defter"), "process": name, "instance_name": settings.instance}
    info = GaugeMetricFamily("defter_build_info", "Which release runs here, as what.", labels=list(labels))
    info.add_metric(list(labels.values()), 1)
    yield info
    reasons = list(health.waiting.values())
    standing_by = sum(why.endswith(STANDS_BY) for why in reasons)
    # Who stands by from the beginning has not begun to work, which is no trouble of its own.
    begins = standing_by and reasons.count(STARTING)
    yield GaugeMetricFamily("defter_ready", "1 while the process waits for nothing.", value=0 if reasons else 1)
    yield GaugeMetricFamily("defter_standing_by", "Parts that wait while another does the work.", value=standing_by)
    yield GaugeMetricFamily(
        "defter_waiting", "Parts that wait for what should be there.", value=len(reasons) - standing_by - begins
    )


def _of_parts(tallies: Tallies, behind: Mapping[Place, Behind]) -> Iterator[Metric]:
    names = ["part", "shard"]
    live = GaugeMetricFamily("defter_live", "1 while this process is the one at work on the shard.", labels=names)
    messages = GaugeMetricFamily("defter_lag_messages", "Messages that wait for this part.", labels=names)
    seconds = GaugeMetricFamily("defter_lag_seconds", "Age of the oldest message that waits, else 0.", labels=names)
    retries = CounterMetricFamily(
        "defter_retries_total", "Questions asked again because a dependency did not answer.", labels=names
    )
    letters = GaugeMetricFamily(
        "defter_dead_letters_unpublished", "Dead letters stored and not published yet.", labels=["shard"]
    )
    oldest = GaugeMetricFamily(
        "defter_oldest_unpublished_seconds",
        "Age of the oldest event or dead letter that is not published yet, else 0.",
        labels=["shard"],
    )
    for part, shard in tallies.live:
        live.add_metric([part, str(shard)], 1)
    for asker in {f"{part} {shard}" for part, shard in tallies.live} | asked_again.keys():
        part, _, number = asker.partition(" ")
        retries.add_metric([part, number], asked_again[asker])
    for (part, shard), (lag, dead) in behind.items():
        messages.add_metric([part, str(shard)], lag.messages)
        seconds.add_metric([part, str(shard)], lag.seconds)
        if dead is not None:
            letters.add_metric([str(shard)], dead.messages)
            oldest.add_metric([str(shard)], max(lag.seconds, dead.seconds))
    yield from (live, messages, seconds, retries, letters, oldest)


def _of_writers(writers: Mapping[int, WriterTally]) -> Iterator[Metric]:
    commands = CounterMetricFamily(
        "defter_commands_total", "Commands decided, by what came of them.", labels=["shard", "outcome", "reason"]
    )
    sizes = HistogramMetricFamily("defter_batch_commands", "Commands decided together.", labels=["shard"])
    commits = HistogramMetricFamily(
        "defter_commit_duration_seconds", "From handing a batch to PostgreSQL until it is durable.", labels=["shard"]
    )
    for shard, tally in writers.items():
        for outcome, reason, count in _outcomes(tally):
            commands.add_metric([str(shard), outcome, reason], count)
        for family, spread in ((sizes, tally.sizes), (commits, tally.commits)):
            _add(family, shard, spread)
    yield from (commands, sizes, commits)
    yield _counted("defter_stored_events_total", "Events stored in the journal.", writers, "events")
    yield _counted("defter_replies_total", "Replies sent, some twice.", writers, "replies")
    yield _counted(
        "defter_ignored_replies_total", "Replies asked for that could not be sent.", writers, "ignored_replies"
    )


def _outcomes(tally: WriterTally) -> Iterator[tuple[str, str, int]]:
    yield "accepted", "", tally.accepted
    yield "duplicate", "", tally.duplicates
    yield "tick", "", tally.ticks
    for reason, count in sorted(tally.refused.items()):
        yield "refused", reason, count
    # All of these from 0 on: a counter that begins with its first letter hides that one from `increase`.
    for dead in DeadReason:
        yield "dead-letter", dead, tally.dead[dead]


def _of_others(tallies: Tallies) -> Iterator[Metric]:
    yield _counted("defter_published_events_total", "Events sent, some twice.", tallies.publishers, "events")
    yield _counted(
        "defter_published_dead_letters_total", "Dead letters sent, some twice.", tallies.publishers, "dead_letters"
    )
    yield _counted("defter_projected_events_total", "Events taken in, some twice.", tallies.projectors, "events")
    yield _counted("defter_ticks_total", "Ticks sent for holds that are due.", tallies.tickers, "ticks")


def _counted(name: str, meaning: str, tallies: Mapping[int, object], count: str) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=["shard"])
    for shard, tally in tallies.items():
        family.add_metric([str(shard)], getattr(tally, count))
    return family


def _add(family: HistogramMetricFamily, shard: int, spread: Spread) -> None:
    family.add_metric([str(shard)], spread.up_to(), spread.sum)
