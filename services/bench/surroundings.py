"""On what it was measured: versions, cores, memory, and how PostgreSQL is set."""

import os
import platform
from importlib.metadata import version
from typing import Any, Final

import psutil

from services.bench.grounds import connected
from services.pages import given
from services.settings import Settings

PACKAGES: Final = ("defter", "msgspec", "psycopg", "eventsourcing", "aiokafka", "uvloop")

_SETTINGS: Final = (
    "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers", "max_wal_size",
)  # fmt: skip


def surroundings(servers: Settings | None) -> dict[str, Any]:
    """Tell what this machine is and what runs on it. Blocks. Without servers, nothing is told of them.

    Raises:
        Away: PostgreSQL does not answer.
    """
    told = {
        "versions": {"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "large_pages": given(),
    }
    if servers is not None:
        with connected(servers) as connection:
            found = dict(
                connection.execute(
                    "select name, current_setting(name) from unnest(%s::text[]) as name", (list(_SETTINGS),)
                )
            )
            told["postgresql"] = {"version": connection.info.server_version // 10000} | found
    return told


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
