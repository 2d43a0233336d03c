"""The files that Kafka is made of: pinned in `jars.lock` by coordinates, size and SHA-256, fetched once for a user.

`jgo` is used as a downloader only, artifact by artifact: left to resolve versions it picks others than Kafka was
built with.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from services.errors import Away, Unexpected

LOCK_FILE = Path(__file__).with_name("jars.lock")
CONNECTIONS = 8


class Jar(NamedTuple):
    """One file, as it must be."""

    sha256: str
    size: int
    group: str
    artifact: str
    version: str
    name: str


def classpath(say: Callable[[str], None]) -> str:
    """Return Java's class path of Kafka, fetching what is missing.

    Args:
        say: told one sentence when there is something to fetch.

    Raises:
        Away: a file cannot be fetched.
        Unexpected: a file is not the one pinned.
    """
    directory = cache_directory() / "kafka"
    directory.mkdir(parents=True, exist_ok=True)
    jars = pinned()
    if not all(present(jar, directory) for jar in jars):
        with only_one(directory / "lock"):
            missing = [jar for jar in jars if not present(jar, directory)]
            if missing:
                size = sum(jar.size for jar in missing) // 1_000_000
                say(f"fetching Apache Kafka, once for this user: {len(missing)} files, {size} MB")
                fetch(missing, directory)
    return os.pathsep.join(str(directory / jar.name) for jar in jars)


def pinned() -> list[Jar]:
    """Return every file of the lock file."""
    lines = (line.split() for line in LOCK_FILE.read_text(encoding="ascii").splitlines())
    return [jar(sha256, int(size), path) for sha256, size, path in lines]


def jar(sha256: str, size: int, path: str) -> Jar:
    """Return the file at this path of a Maven repository: `org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar`."""
    *group, artifact, version, name = path.split("/")
    return Jar(sha256, size, ".".join(group), artifact, version, name)


def cache_directory() -> Path:
    """Return where downloads are kept for this user: `DEFTER_CACHE`, else `defter` in the user's cache directory."""
    if chosen := os.environ.get("DEFTER_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "defter"


def present(jar: Jar, directory: Path) -> bool:
    """Return whether the file is there, whole. Its bytes were checked before it came there."""
    try:
        return (directory / jar.name).stat().st_size == jar.size
    except FileNotFoundError:
        return False


def fetch(jars: list[Jar], directory: Path) -> None:
    """Fetch these files into the directory, checked, each in one step: a file is there whole or not at all."""
    with tempfile.TemporaryDirectory(dir=directory) as work, ThreadPoolExecutor(CONNECTIONS) as threads:
        for _ in threads.map(lambda jar: fetch_one(jar, Path(work), directory), jars):
            pass


def fetch_one(jar: Jar, work: Path, directory: Path) -> None:
    """Fetch one file and put it into the directory."""
    from jgo.maven import MavenContext

    component = MavenContext(repo_cache=work).project(jar.group, jar.artifact).at_version(jar.version)
    try:
        found = Path(component.artifact(packaging="jar").resolve())
    except (OSError, RuntimeError) as error:  # what cannot be reached, and what is not found there
        message = f"{jar.name} of Apache Kafka cannot be fetched: {error}"
        raise Away(message) from error
    sha256 = hashlib.sha256(found.read_bytes()).hexdigest()
    if sha256 != jar.sha256:
        raise Unexpected(f"{jar.name} of Apache Kafka has the SHA-256 {sha256}, not {jar.sha256}", "try again later")
    shutil.move(found, directory / jar.name)


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Let one process at a time in; the others wait."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
