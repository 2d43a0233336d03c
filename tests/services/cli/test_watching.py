"""What an installation tells whoever watches it: `status`, `doctor`, and Prometheus, asked for what there is."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from services.supervisor import PARTS
from tests.services.cli.program import PATIENTLY_S, Program

NOT_EXPECTED = 3

DOCS = Path(__file__).parents[3] / "docs"
ALERTS = DOCS / "watching" / "alerts.yml"
DASHBOARD = DOCS / "watching" / "grafana-dashboard.json"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
Metrics = Callable[[], Samples]


@pytest.fixture(scope="module")
def metrics(defter: Program, running: tuple[object, int]) -> Metrics:
    """Asks for what all processes tell; some of every kind of command were sent before."""
    commands = [
        {"type": "open-ledger.v1", "id": "ledger", "ledger": "shop"},
        *(
            {"type": "open-account.v1", "id": name, "ledger": "shop", "account": name, "account_type": kind}
            for name, kind in (("bank", "external"), ("alice", "user"))
        ),
        *(pay(f"in-{number}", "bank", "alice", kind="deposit") for number in range(3)),
        pay("too-much", "alice", "bank", amount=1000, kind="withdrawal"),
        pay("nobody", "alice", "nobody"),
        {"type": "no-such.v1", "id": "what", "ledger": "shop"},
    ]
    lines = "".join(json.dumps(command) + "\n" for command in commands).encode()
    defter.run("send", "-", "--ledger", "shop", stdin=lines)
    defter.run("transfer", "bank", "alice", "QAZ", "1", "--kind", "deposit", "--id", "in-0", "--ledger", "shop")
    return lambda: told(running[1])


def pay(command: str, source: str, destination: str, amount: int = 1, **more: str) -> dict[str, Any]:
    movement = {"source": source, "destination": destination, "unit": "QAZ", "amount": amount}
    return {"type": "transfer.v1", "id": command, "ledger": "shop", "movements": [movement], **more}


def told(port: int) -> Samples:
    """Read the page as Prometheus does."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, metric: str, **labels: str) -> float:
    """Add up what has these labels."""
    return sum(
        value for (name, given), value in samples.items() if name == metric and labels.items() <= dict(given).items()
    )


def until(metrics: Metrics, so: Callable[[Samples], bool]) -> Samples:
    """Ask until it is so."""
    by = time.monotonic() + PATIENTLY_S
    while not so(samples := metrics()):
        assert time.monotonic() < by, samples
        time.sleep(0.1)
    return samples


def test_commands_are_counted_by_what_came_of_them_and_why(metrics: Metrics) -> None:
    done = {"projected_events": 8, "published_events": 8, "published_dead_letters": 1}
    samples = until(
        metrics, lambda now: all(total(now, f"defter_{what}_total") >= count for what, count in done.items())
    )

    by_outcome = {
        (outcome, reason): total(samples, "defter_commands_total", outcome=outcome, reason=reason)
        for outcome, reason in (
            ("accepted", ""),
            ("duplicate", ""),
            ("refused", "INSUFFICIENT_FUNDS"),
            ("refused", "ACCOUNT_NOT_FOUND"),
            ("dead-letter", "MALFORMED"),
        )
    }
    assert list(by_outcome.values()) == [6, 1, 1, 1, 1]
    assert total(samples, "defter_commands_total") == total(samples, "defter_batch_commands_sum") == 10
    batches = total(samples, "defter_batch_commands_count")
    assert 1 <= batches == total(samples, "defter_commit_duration_seconds_count")
    assert total(samples, "defter_commit_duration_seconds_sum") > 0
    assert total(samples, "defter_stored_events_total") == 8
    assert total(samples, "defter_published_events_total") == total(samples, "defter_projected_events_total") == 8
    assert total(samples, "defter_published_dead_letters_total") == 1


def test_each_process_says_that_it_is_ready_and_which_shards_it_works_on(metrics: Metrics) -> None:
    samples = metrics()

    for process in ("writer", "publisher", "projector", "ticker"):
        assert total(samples, "defter_ready", process=process) == 1
        assert total(samples, "process_resident_memory_bytes", process=process) > 2**20
        for shard in ("0", "1"):
            assert total(samples, "defter_live", part=process, shard=shard) == 1


def test_nothing_waits_in_a_quiet_house_and_every_part_says_so(metrics: Metrics) -> None:
    samples = until(metrics, lambda now: not total(now, "defter_lag_messages"))

    lags = [labels for name, labels in samples if name == "defter_lag_seconds"]
    assert len(lags) == 3 * 2
    for metric in ("defter_lag_seconds", "defter_oldest_unpublished_seconds", "defter_dead_letters_unpublished"):
        assert total(samples, metric) == 0


def test_status_tells_on_a_terminal_how_far_all_has_come(defter: Program, metrics: Metrics) -> None:
    until(metrics, lambda now: not total(now, "defter_lag_messages"))

    shards = [one for one in defter.json("status") if one["type"] == "shard"]

    assert sum(one["next"] for one in shards) == 10
    assert sum(one["dead_letters"].get("MALFORMED", 0) for one in shards) == 1
    shown = defter.ok("status")
    assert "oldest, s" in shown
    assert "dead letters: 1 MALFORMED\n" in shown


def asked_for(expression: str) -> Iterator[str]:
    """Give the names of the metrics in an expression of Prometheus' language; it fails where that is none."""

    def names(node: Any) -> Iterator[str]:
        if isinstance(node, promql_parser.VectorSelector):
            yield str(node.name)
        for part in ("expr", "lhs", "rhs", "param", "vector_selector"):
            inner = getattr(node, part, None)
            if isinstance(inner, promql_parser.Expr):
                yield from names(inner)
        for argument in getattr(node, "args", None) or ():
            yield from names(argument)

    return names(promql_parser.parse(expression))


def expressions_of_alerts() -> list[str]:
    return [rule["expr"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def expressions_of_dashboard() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    said = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [expression.replace("$__rate_interval", "5m").replace("$job", ".*") for expression in said]


def test_the_dashboard_and_the_alerts_ask_for_what_is_told(metrics: Metrics) -> None:
    expressions = expressions_of_alerts() + expressions_of_dashboard()
    assert len(expressions) > 20

    known = {name for name, _ in metrics()}
    found = {expression: set(asked_for(expression)) for expression in expressions}

    assert all(found.values())
    assert {
        expression: sorted(names - known - {"up"}) for expression, names in found.items() if names - known - {"up"}
    } == {}


def test_the_guide_explains_every_number_that_is_told_and_every_alert(metrics: Metrics) -> None:
    guide = (DOCS / "watching.md").read_text()
    families = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name, _ in metrics()}

    assert sorted(name for name in families if name.startswith("defter_") and f"`{name}`" not in guide) == []
    alerts = [rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    assert [alert for alert in alerts if f"`{alert}`" not in guide] == []


def test_status_knows_how_far_everything_has_come_and_who_is_at_work(defter: Program, ledger: str) -> None:
    told = defter.json("status")
    shards = [one for one in told if one["type"] == "shard"]
    processes = [one for one in told if one["type"] == "process"]

    assert [one["shard"] for one in shards] == [0, 1]
    assert all(one["lag"] == one["publisher_lag"] == one["projector_lag"] == 0 for one in shards)
    assert sum(one["next"] for one in shards) >= 5
    assert [(one["shard"], one["process"], one["live"]) for one in processes] == [
        *((0, process, True) for process in PARTS),
        *((1, process, True) for process in PARTS if process != "ticker"),
    ]


def test_the_doctor_finds_nothing_wrong_and_tells_no_password(defter: Program) -> None:
    dsn = defter.environment["DEFTER_DATABASE"].replace("postgres@", "postgres:hunter2@")

    done = Program(defter.environment | {"DEFTER_DATABASE": dsn}).run("doctor")

    assert done.code == 0, done.stdout
    assert "WRONG" not in done.stdout
    assert "password=***" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


def test_the_doctor_names_what_is_wrong_and_the_remedy(defter: Program) -> None:
    done = Program(defter.settings | {"DEFTER_PREFIX": "wrong."}).run("doctor")

    assert done.code == NOT_EXPECTED
    assert f"WRONG the database serves the topics {defter.settings['DEFTER_PREFIX']}…, not wrong.…" in done.stdout
    assert f"remedy: set DEFTER_PREFIX={defter.settings['DEFTER_PREFIX']}" in done.stdout
