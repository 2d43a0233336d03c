"""A figure is of work that came out right, of a known size, and leaves nothing behind."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import psycopg
import pytest

from services.bench import afterwards, asked, drain, grounds, latency, load, main, rebuilt
from services.bench.checking import Wrong, check
from services.bench.options import Options
from services.bench.sampling import dearest, sampled
from services.bench.surroundings import cores
from services.dev import Addresses
from services.errors import Unexpected
from services.journal.postgres import PostgresJournal
from services.kafka.outbox import KafkaOutbox
from services.kafka.ports import Message
from services.kafka.topics import Topics
from services.settings import Settings

FEW = Options(transfers=300, accounts=10, rate=100, seconds=0.5)
STAGES = {"writer", "publisher", "projector"}


@pytest.fixture
def servers(installation: Addresses) -> Settings:
    return Settings(instance="bench").at(*installation)


def silently(_: str) -> None:
    """Say nothing."""


async def test_a_hot_pair_is_drained_tells_what_each_stage_took_and_leaves_nothing_behind(
    servers: Settings, superuser: psycopg.Connection
) -> None:
    databases = superuser.execute("select datname from pg_database where datname like 'bench_%'").fetchall()

    result = await drain.hot_pair(FEW, servers)

    assert (result["transfers"], result["accounts"]) == (300, 2)
    assert result["per_s"] > 0
    assert set(result["stage_seconds"]) == STAGES
    assert set(result["cpu_us"]) == STAGES | {"postgresql", "kafka"}
    assert set(result["postgresql_us"]) >= STAGES
    assert result["stolen"] >= 0
    assert superuser.execute("select datname from pg_database where datname like 'bench_%'").fetchall() == databases


async def test_replies_and_postings_go_out_beside_events_and_are_looked_at(servers: Settings) -> None:
    result = await drain.reply(msgspec.structs.replace(FEW, postings=True), servers)

    assert result["transfers"] == 300
    assert set(result["stage_seconds"]) == STAGES | {"replies"}


async def test_ledgers_in_partitions_of_their_own_are_drained_by_several_writers(servers: Settings) -> None:
    result = await drain.drain(msgspec.structs.replace(FEW, transfers=402, partitions=4, writers=2), servers)

    assert (result["transfers"], result["partitions"], result["writers"]) == (402, 4, 2)
    assert set(result["cpu_us"]) == STAGES | {"postgresql", "kafka"}


async def test_every_command_that_was_due_has_a_latency(servers: Settings) -> None:
    result = await latency.latency(FEW, servers)

    assert (result["rate"], result["transfers"]) == (100, 50)
    assert 0 < result["p50_ms"] <= result["p99_ms"] <= result["max_ms"]


async def test_the_journal_and_its_ids_take_room_and_so_do_the_read_models(servers: Settings) -> None:
    result = await drain.disk(FEW, servers)

    assert {"shard_0_events", "shard_0_ids"} <= result["journal"].keys()
    assert result["read_model_bytes"] > 0


async def test_read_models_are_made_anew_from_a_past_that_was_made_quickly(servers: Settings) -> None:
    result = await rebuilt.rebuild(FEW, servers)

    assert (result["of"], result["transfers"], result["accounts"]) == ("events", 300, 10)
    assert min(result["per_s"], result["balances_per_s"]) > 0
    assert set(result["cpu_us"]) == set(result["balances_cpu_us"]) == {"rebuild", "postgresql"}


async def test_what_was_so_at_any_sequence_is_asked_of_read_models_that_were_verified(servers: Settings) -> None:
    result = await asked.as_of(FEW, servers)

    assert (result["questions"], result["transfers"], result["events"]) == (300, 300, 313)
    assert 0 < result["p50_ms"] <= result["p99_ms"]
    assert 0 < result["statement_p50_ms"] <= result["statement_p99_ms"]


async def test_the_past_is_gone_through_again_and_taken_up_whole(servers: Settings) -> None:
    verified, replayed = await afterwards.verify(FEW, servers), await afterwards.replay(FEW, servers)
    started = await afterwards.start(FEW, servers)

    assert min(verified["per_s"], replayed["per_s"]) > 0
    assert (started["accounts"], started["events"]) == (10, 313)
    assert started["snapshot_bytes"] > 0


async def test_ledgers_in_partitions_of_their_own_are_verified_by_several_processes(servers: Settings) -> None:
    result = await afterwards.verify(msgspec.structs.replace(FEW, partitions=3), servers)

    assert (result["partitions"], result["processes"]) == (3, min(3, cores()))
    assert result["per_s"] > 0


def test_deciding_needs_no_servers_and_prints_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["decide", "--transfers", "500", "--accounts", "60", "--books", "--repeat", "3", "--json"])

    (line,) = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert code == 0
    assert (result["figure"], result["transfers"], result["books"], result["runs"]) == ("decide", 500, True, 3)
    for figure in ("per_s", "writer_per_s", "loop_ms"):
        assert 0 < result["spread"][figure][0] <= result[figure] <= result["spread"][figure][1]
    assert 0 < result["loop_best_ms"] <= result["loop_ms"]
    assert result["surroundings"]["cores"] >= 1


async def test_events_that_are_not_as_many_as_the_commands_are_no_figure(servers: Settings) -> None:
    async with settled(servers) as stage:
        await publish(stage, stage.events)

        with pytest.raises(Wrong, match=f"{stage.commands + 1} commands brought {stage.commands} events"):
            await check(stage.settings, stage.connection, stage.commands + 1)


async def test_read_models_that_lag_are_no_figure(servers: Settings) -> None:
    async with settled(servers) as stage:
        await publish(stage, stage.events)

        with pytest.raises(Wrong, match="ids, dead letters and accepted outcomes"):
            await check(stage.settings, stage.connection, stage.commands)


@pytest.mark.parametrize(
    ("published", "told"),
    [
        (lambda events: events[:-1], "is not on the topic"),
        (lambda events: [*events, events[-1]], "the topic holds more events than the journal"),
        (lambda events: [*events[:-1], events[-1] + b" "], "the topic has other bytes than the journal"),
    ],
    ids=["one too few", "one too many", "other bytes"],
)
async def test_a_topic_that_is_not_the_journal_is_no_figure(
    servers: Settings, published: Callable[[list[bytes]], list[bytes]], told: str
) -> None:
    async with settled(servers) as stage:
        await publish(stage, published(stage.events))

        with pytest.raises(Wrong, match=told):
            await check(stage.settings, stage.connection, stage.commands)


async def test_servers_that_may_lose_what_they_acknowledge_are_refused(
    servers: Settings, superuser: psycopg.Connection
) -> None:
    async with grounds.fresh(servers) as own:
        name = psycopg.conninfo.conninfo_to_dict(own.database(0))["dbname"]
        superuser.execute(f"alter database {name} set synchronous_commit = off")

        with pytest.raises(Unexpected, match="synchronous_commit off"), grounds.servers(own, silently):
            pass


def test_every_transfer_has_an_id_of_its_own_and_two_accounts() -> None:
    commands = [json.loads(value) for value in load.transfers(1000, 2)]

    assert len({command["id"] for command in commands}) == 1000
    assert {(one["source"], one["destination"]) for command in commands for one in command["movements"]} == {
        ("account-000000", "account-000001"),
        ("account-000001", "account-000000"),
    }


def test_the_same_work_is_made_every_time() -> None:
    assert list(load.transfers(50, 10)) == list(load.transfers(50, 10))
    assert list(load.transfers(50, 10)) != list(load.transfers(50, 10, Random(1)))


def test_percentiles_are_samples_that_really_were() -> None:
    samples = [number / 1000 for number in range(1, 101)]

    assert latency.percentiles(samples) == {"p50_ms": 50.0, "p99_ms": 99.0, "p999_ms": 100.0, "max_ms": 100.0}
    assert set(latency.percentiles([0.007]).values()) == {7.0}


def test_a_profile_names_what_the_processor_was_busy_with(tmp_path: Path) -> None:
    with sampled(tmp_path / "stacks"):
        busy()

    functions = [function for function, _, _ in dearest(tmp_path / "stacks", 3)]
    assert any("busy" in function for function in functions)


class Stage(NamedTuple):
    """A journal that holds a ledger with some accounts, and nothing behind it."""

    settings: Settings
    connection: psycopg.Connection[Any]
    commands: int
    events: list[bytes]


@asynccontextmanager
async def settled(servers: Settings) -> AsyncIterator[Stage]:
    async with grounds.fresh(servers) as own:
        commands = await load.settle(own, 5)
        journal = PostgresJournal(own.database(0), 0)
        events = [row.data async for rows in journal.load() for row in rows]
        await journal.close()
        with grounds.connected(own) as connection:
            yield Stage(own, connection, commands, events)


async def publish(stage: Stage, events: list[bytes]) -> None:
    outbox = KafkaOutbox(stage.settings.brokers(), Topics(stage.settings.prefix).events, 0)
    await outbox.send([Message(b"main", event, ()) for event in events])
    await outbox.close()


def busy() -> int:
    return sum(number * number % 7 for number in range(3_000_000))
