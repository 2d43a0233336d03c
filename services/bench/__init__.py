"""`defter bench`: what Defter does a second, and what each stage of it costs (SPEC 15).

Law: nothing is measured that was not checked. The servers are real and durable, every process runs, the database and
the topics are fresh and are taken away again, and a figure is printed only when what it measured came out right.

    command       the command line · report: how figures are shown
    figures       which there are: warmed up, repeated, the median
    drain         N commands lie in the topic: `drain`, `hot-pair`, `reply`, `postings`, `disk`
    latency       one event after its command: `latency`, `lone`
    afterwards    the past gone through again: `replay`, `verify`, `start`
    decide        from record bytes to event bytes, one core, no I/O: `decide`

    grounds       the servers, and a fresh installation on them · surroundings: versions, cores, settings
    load          the work: accounts that are rich enough, commands that are all accepted
    crew          the processes, and `process`, which one of them runs · sampling: where it spends its time
    finish        when it is done, stage by stage · costs: who used the processors · checking: whether it came out right
    beside        what goes out beside events: replies, postings one by one
"""

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Measure, as the arguments of `defter bench` say, and return the exit code."""
    from services.bench.command import bench  # noqa: PLC0415 - who only looks at this package needs no click

    code = bench.main(arguments, "defter bench", standalone_mode=False)
    return code if isinstance(code, int) else 0
