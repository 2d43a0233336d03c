"""The figures there are. Each is warmed up, measured as often as asked for, and told by the run in the middle.

Law: a figure is one run that really was, not a mixture of several; beside it stands how far the others were from it.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import msgspec

from services.bench import afterwards, asked, decide, drain, latency, rebuilt
from services.bench.options import Options, Result
from services.settings import Settings

Measure = Callable[[Options, Settings], Awaitable[Result]]

_WARM_TRANSFERS: Final = 20_000
_WARM_ACCOUNTS: Final = 10_000
_WARM_S: Final = 2.0


class Figure(NamedTuple):
    """One figure: how it is measured, by what its runs are ranked, and whether it needs servers.

    One that is `steady` comes out the same every time: it is measured once.
    """

    measure: Measure
    ranked_by: str
    spread_of: tuple[str, ...]
    servers: bool = True
    steady: bool = False


FIGURES: Final = {
    "drain": Figure(drain.drain, "per_s", ("per_s",)),
    "hot-pair": Figure(drain.hot_pair, "per_s", ("per_s",)),
    "reply": Figure(drain.reply, "per_s", ("per_s",)),
    "postings": Figure(drain.postings, "per_s", ("per_s",)),
    "latency": Figure(latency.latency, "p99_ms", ("p50_ms", "p99_ms")),
    "lone": Figure(latency.lone, "p50_ms", ("per_s", "p50_ms", "p99_ms")),
    "decide": Figure(decide.decide, "per_s", ("per_s", "writer_per_s", "loop_ms"), servers=False),
    "rebuild": Figure(rebuilt.rebuild, "per_s", ("per_s", "balances_per_s")),
    "as-of": Figure(asked.as_of, "p99_ms", ("p50_ms", "p99_ms", "statement_p50_ms", "statement_p99_ms")),
    "replay": Figure(afterwards.replay, "per_s", ("per_s",)),
    "verify": Figure(afterwards.verify, "per_s", ("per_s",)),
    "start": Figure(afterwards.start, "seconds", ("seconds", "without_snapshot_s", "bytes_an_account")),
    "disk": Figure(drain.disk, "bytes", ("bytes", "read_model_bytes"), steady=True),
}


async def measured(name: str, options: Options, servers: Settings, say: Callable[[str], None]) -> Result:
    """Measure a figure.

    Args:
        name: which.
        options: how much, and how often.
        servers: where.
        say: told what goes on.

    Returns:
        What `--json` prints.

    Raises:
        Away: a server does not answer.
        Unexpected: a server or a process is not as it should be.
        Wrong: what was measured did not come out right.
    """
    figure = FIGURES[name]
    repeat = 1 if figure.steady else options.repeat
    if not figure.steady:
        say(f"{name}: warming up …")
        await figure.measure(_warm(options), servers)
    runs = []
    for number in range(1, repeat + 1):
        say(f"{name}: run {number} of {repeat} …")
        load = round(os.getloadavg()[0], 2)
        runs.append(await figure.measure(options, servers) | {"load_before": load})
    return {"figure": name} | _middle(runs, figure) | {"runs": len(runs)}


def _middle(runs: list[Result], figure: Figure) -> Result:
    """Return the run in the middle, and between which ends all runs lie."""
    ranked = sorted(runs, key=lambda run: float(run[figure.ranked_by]))
    spread = {name: [min(run[name] for run in runs), max(run[name] for run in runs)] for name in figure.spread_of}
    return ranked[(len(ranked) - 1) // 2] | {"spread": spread}


def _warm(options: Options) -> Options:
    """Return the same, but short: files are in memory after it, and code has run once."""
    return msgspec.structs.replace(
        options,
        transfers=min(options.transfers, _WARM_TRANSFERS),
        accounts=min(options.accounts, _WARM_ACCOUNTS),
        seconds=min(options.seconds, _WARM_S),
        profiles={},
    )
