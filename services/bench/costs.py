"""Who uses the processors: each process of ours, PostgreSQL for each of them, Kafka, and whoever else is there.

Law: only what is seen is told. A server on another machine, or one whose processes cannot be found, has no cost here
rather than a wrong one.
"""

from collections.abc import Mapping
from typing import Any, Final

import psutil
import psycopg
from msgspec import Struct

from services.bench.grounds import NAME
from services.settings import Settings

_ROLES: Final = ("writer", "publisher", "projector")
_REST: Final = "rest"
_US: Final = 1_000_000

_BACKENDS: Final = """
select pid, application_name, coalesce(datname, '')
  from pg_stat_activity
 where backend_type = 'client backend'"""


class Costs(Struct, frozen=True):
    """Processor time between two looks, in µs of a transfer. What could not be seen is left out.

    `elsewhere` is how many cores were busy, on average, with anything but all this; `stolen`, how many a virtual
    machine had work for and did not get, because its host had given them to others.
    """

    cpu_us: dict[str, float]
    postgresql_us: dict[str, float]
    elsewhere: float
    stolen: float


class Look(Struct, frozen=True):
    """Processor time used so far, in seconds. PostgreSQL's is by process number: each with who it works for."""

    ours: dict[str, float]
    backends: dict[int, tuple[str, float]]
    kafka: float | None
    bench: float
    machine: float
    stolen: float


class Meter:
    """Looks at the processes of one measurement.

    Args:
        settings: of the installation.
        connection: to its database.
        pids: of our own processes, by name: `writer`, or `writer-1` where there are several.
    """

    def __init__(self, settings: Settings, connection: psycopg.Connection[Any], pids: Mapping[str, int]) -> None:
        self._connection = connection
        self._ours = {part: psutil.Process(pid) for part, pid in pids.items()}
        self._postmaster = _postmaster(connection)
        self._kafka = _listening({int(server.rpartition(":")[2]) for server in settings.brokers().servers.split(",")})
        self._bench = psutil.Process()

    def look(self) -> Look:
        """Look now. Blocks for some milliseconds."""
        times = psutil.cpu_times()
        return Look(
            ours={part: _used(process) + _ended_children(process) for part, process in self._ours.items()},
            backends=self._backends(),
            kafka=_used(self._kafka) if self._kafka else None,
            bench=_used(self._bench),
            machine=_busy(times),
            stolen=_stolen(times),
        )

    def _backends(self) -> dict[int, tuple[str, float]]:
        if self._postmaster is None:
            return {}
        roles = {}
        for pid, name, database in self._connection.execute(_BACKENDS):
            ours = database == self._connection.info.dbname
            roles[pid] = _role(name) if ours else None
        found = {self._postmaster.pid: (_REST, _used(self._postmaster) + _ended_children(self._postmaster))}
        for process in self._postmaster.children():
            role = roles.get(process.pid, _REST)
            if role is not None:
                try:
                    found[process.pid] = (role, _used(process))
                except psutil.NoSuchProcess:
                    continue
        return found


def between(before: Look, after: Look, transfers: int, seconds: float) -> Costs:
    """Return what was used between two looks, a transfer."""
    cpu: dict[str, float] = {}
    for name, used in after.ours.items():
        part = name.partition("-")[0]
        cpu[part] = cpu.get(part, 0) + used - before.ours[name]
    postgresql: dict[str, float] = {}
    for pid, (role, used) in after.backends.items():
        postgresql[role] = postgresql.get(role, 0) + used - before.backends.get(pid, (role, 0.0))[1]
    if postgresql:
        cpu["postgresql"] = sum(postgresql.values())
    if after.kafka is not None and before.kafka is not None:
        cpu["kafka"] = after.kafka - before.kafka
    known = sum(cpu.values()) + after.bench - before.bench
    return Costs(
        cpu_us={part: round(used / transfers * _US, 2) for part, used in cpu.items()},
        postgresql_us={role: round(postgresql[role] / transfers * _US, 2) for role in sorted(postgresql)},
        elsewhere=round(max(after.machine - before.machine - known, 0) / seconds, 2),
        stolen=round((after.stolen - before.stolen) / seconds, 2),
    )


def _role(name: str) -> str | None:
    """Return whom a connection works for, by the name that it gave; None where it is the measurement's own."""
    if name == NAME:
        return None
    return next((role for role in _ROLES if name.startswith(f"defter-{role}")), _REST)


def _postmaster(connection: psycopg.Connection[Any]) -> psutil.Process | None:
    """Return PostgreSQL's first process, where it runs on this machine and can be seen."""
    try:
        backend = psutil.Process(connection.info.backend_pid)
        # Elsewhere, or in a container, that number is somebody else's. A backend shows what it is connected to.
        return backend.parent() if connection.info.dbname in " ".join(backend.cmdline()) else None
    except psutil.Error:
        return None


def _listening(ports: set[int]) -> psutil.Process | None:
    """Return the process that listens on one of these ports, where there is one that can be seen."""
    for process in psutil.process_iter():
        try:
            if "java" in process.name() and any(
                connection.status == psutil.CONN_LISTEN and connection.laddr.port in ports
                for connection in process.net_connections("tcp")
            ):
                return process
        except psutil.Error:
            continue
    return None


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _ended_children(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.children_user + times.children_system)


def _busy(times: Any) -> float:
    """Return how long the cores of this machine have been busy, all together."""
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Linux counts what guests used twice; what a hypervisor took away was nobody's work here.
    return float(sum(times) - idle - _stolen(times) - getattr(times, "guest", 0) - getattr(times, "guest_nice", 0))


def _stolen(times: Any) -> float:
    """Return how long cores of this machine had work and were given to another one by the hypervisor, all together."""
    return float(getattr(times, "steal", 0))
