"""How figures are shown: for people, or one JSON object a figure.

Law: with `--json` stdout holds the figures and nothing else.
"""

from typing import Any

import click
import msgspec

from services.bench.options import Result

Surroundings = dict[str, Any]


def as_json(result: Result, told: Surroundings) -> None:
    """Print a figure as one JSON object, with what it was measured on."""
    click.echo(msgspec.json.encode(result | {"surroundings": told}))


def heading(told: Surroundings) -> None:
    """Print what is measured on."""
    versions = " · ".join(f"{name} {version}" for name, version in told["versions"].items())
    click.echo(f"{told['cores']} cores, {told['memory_gib']} GiB, {told['system']}\n{versions}")
    if postgresql := told.get("postgresql"):
        settings = " · ".join(f"{name} {value}" for name, value in postgresql.items() if name != "version")
        click.echo(f"PostgreSQL {postgresql['version']}: {settings}")


def for_people(result: Result) -> None:
    """Print a figure with all that it is made of."""
    spread = ", ".join(f"{name} {low:,}–{high:,}" for name, (low, high) in result["spread"].items())
    runs = f"the middle of {result['runs']} runs: {spread}" if result["runs"] > 1 else "one run"
    click.echo(f"\n{result['figure']:<10} {_headline(result)}   ({runs})")
    of = [f"{result['transfers']:,} transfers, {result['accounts']:,} accounts"]
    of += ["with types, books and home books"] if result.get("books") else []
    of += [f"in each of {result['partitions']} ledgers"] if "partitions" in result else []
    of += [f"{result[at_work]} {at_work}" for at_work in ("writers", "processes") if at_work in result]
    of += [f"{result['seconds']:,} s"] if "seconds" in result else []
    _line(", ".join(of))
    if "without_snapshot_s" in result:
        _line(
            f"{result['events']:,} events; without a snapshot {result['without_snapshot_s']:,} s; "
            f"it was made in {result['snapshot_made_s']:,} s and has {result['snapshot_bytes']:,} bytes"
        )
    if stages := result.get("stage_seconds"):
        _line("done after: " + _listed(stages, "s"))
    if costs := result.get("cpu_us"):
        _line(f"µs a transfer: {_listed(costs)}; in all {round(sum(costs.values()), 1):,}")
    if backends := result.get("postgresql_us"):
        _line("PostgreSQL works for: " + _listed(backends))
    for name in ("journal", "read_models"):
        if tables := result.get(name):
            _line(f"bytes a transfer, {name.replace('_', ' ')}: {_listed(tables)}")
    if "loop_ms" in result:
        _line(f"a loop beside it: {result['loop_ms']} ms, {result['loop_best_ms']} at its best")
    if "elsewhere" in result:
        _line(
            f"cores busy elsewhere: {result['elsewhere']}; stolen by other machines: {result['stolen']}; "
            f"load average before: {result['load_before']}"
        )


def _headline(result: Result) -> str:
    if "bytes" in result:
        return f"{result['bytes']:,} bytes a transfer, and {result['read_model_bytes']:,} in the read models"
    if "bytes_an_account" in result:
        return f"{result['seconds']:,} s, {result['bytes_an_account']:,} bytes an account"
    told = [f"{result['rate']:,} a second offered"] if "rate" in result else []
    told += [f"{result['per_s']:,} {result.get('of', 'transfers')}/s"] if "per_s" in result else []
    told += [f"{result['balances_per_s']:,} of balances alone"] if "balances_per_s" in result else []
    told += [f"{result['writer_per_s']:,} with all that a writer does"] if "writer_per_s" in result else []
    told += [f"{result['of_drain']} of drain"] if "of_drain" in result else []
    told += [f"{name[:-3]} {result[name]} ms" for name in ("p50_ms", "p99_ms", "p999_ms", "max_ms") if name in result]
    if "statement_p50_ms" in result:
        told += [f"a page of a statement p50 {result['statement_p50_ms']} ms, p99 {result['statement_p99_ms']} ms"]
    return " · ".join(told)


def _listed(numbers: dict[str, float], unit: str = "") -> str:
    return " · ".join(f"{name} {number:,}{' ' * bool(unit)}{unit}" for name, number in numbers.items())


def _line(text: str) -> None:
    click.echo(f"           {text}")
