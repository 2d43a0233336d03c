"""What a process tells Prometheus of itself, whoever else is away."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services import metrics
from services.errors import Away
from services.health import Answer, Health
from services.settings import Settings
from services.tallies import Behind, Lag, Tallies

STANDS_BY = "another publisher is the live one"


async def told(health: Health, tallies: Tallies | None = None) -> dict[str, float]:
    answer = metrics.page("publisher", Settings(instance="here"), health, tallies or Tallies())()
    assert not isinstance(answer, Answer)
    return numbers((await answer).body.decode())


def numbers(text: str) -> dict[str, float]:
    """Read what is told: names, and all labels but the shard's, as they are written."""
    return {
        sample.name + "".join(f" {value}" for label, value in sorted(sample.labels.items()) if label != "shard"): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("waiting", "ready", "in_trouble", "standing_by"),
    [
        ({}, 1, 0, 0),
        ({"publisher": "Kafka at k:1 does not answer"}, 0, 1, 0),
        ({"publisher 0": STANDS_BY, "publisher 1": STANDS_BY}, 0, 0, 2),
        ({"publisher 0": STANDS_BY, "journal 1": "PostgreSQL: the disk is full"}, 0, 1, 1),
    ],
)
async def test_who_stands_by_is_told_from_who_is_in_trouble(
    waiting: dict[str, str], ready: int, in_trouble: int, standing_by: int
) -> None:
    health = Health("publisher")
    if not waiting:
        health.works("publisher 0")
    for part, why in waiting.items():
        health.waits(part, why)

    said = await told(health)

    assert (said["defter_ready"], said["defter_waiting"]) == (ready, in_trouble)
    assert said["defter_standing_by"] == standing_by


async def test_a_lag_that_cannot_be_looked_up_is_left_out_and_never_made_up() -> None:
    async def away() -> Behind:
        raise Away("PostgreSQL: gone")

    async def far() -> Behind:
        return Behind(Lag(7, 2.5), dead_letters=Lag(1, 60.0))

    tallies = Tallies()
    with tallies.at_work("publisher", 0, far), tallies.at_work("projector", 0, away):
        said = await asyncio.wait_for(told(Health("publisher"), tallies), 5)
    afterwards = await told(Health("publisher"), tallies)

    assert (said["defter_lag_messages publisher"], said["defter_lag_seconds publisher"]) == (7, 2.5)
    assert (said["defter_dead_letters_unpublished"], said["defter_oldest_unpublished_seconds"]) == (1, 60)
    assert said["defter_live projector"] == 1
    assert "defter_lag_messages projector" not in said
    assert not [name for name in afterwards if name.startswith(("defter_live", "defter_lag"))]


def test_what_several_processes_tell_is_one_answer_with_their_names() -> None:
    counted = '# HELP defter_ticks_total t\n# TYPE defter_ticks_total counter\ndefter_ticks_total{shard="0"} 3\n'

    answer = metrics.merged({"one": counted, "two": counted}).body.decode()

    assert numbers(answer) == {"defter_ticks_total one": 3, "defter_ticks_total two": 3}
    assert answer.count("# TYPE defter_ticks_total counter") == 1


async def test_the_first_dead_letter_is_seen_to_be_one_more() -> None:
    tallies = Tallies()
    tally = tallies.writer(0)
    before = await told(Health("writer"), tallies)
    tally.dead["ID_REUSED"] += 1

    after = await told(Health("writer"), tallies)

    name = "defter_commands_total dead-letter ID_REUSED"
    assert (before[name], after[name]) == (0, 1)
