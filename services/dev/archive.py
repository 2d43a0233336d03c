"""Java's archive of Kafka's classes, read and checked beforehand: with it a broker starts in half the time.

It is made once for a user and a Java, by whoever starts Kafka often, as the tests do. Everything works without it,
and Java itself ignores one that does not fit.
"""

import hashlib
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from services.dev import jars, java


@cache
def path() -> Path:
    """Return where the archive for this Java and these jars is, or would be."""
    fits = hashlib.sha256(java.about(java.executable()).encode() + jars.LOCK_FILE.read_bytes()).hexdigest()
    return jars.cache_directory() / "kafka" / f"classes-{fits[:16]}.jsa"


def make(say: Callable[[str], None] = lambda _: None) -> None:
    """Make the archive, if it is not there: run a broker once, note which classes it loads, and write them down.

    Args:
        say: told one sentence when there is something to do.

    Raises:
        Away: what Kafka is made of cannot be fetched.
        Unexpected: Kafka cannot be started.
    """
    from services.dev import kafka, ports

    classpath = jars.classpath(say)
    with jars.only_one(path().with_name("lock")), tempfile.TemporaryDirectory(dir=path().parent) as directory:
        if path().exists():
            return
        say("preparing Apache Kafka, once for this user")
        classes, unfinished = Path(directory, "classes"), Path(directory, "archive")
        options = (f"-XX:DumpLoadedClassList={classes}",)
        broker = kafka.Kafka(Path(directory), ports.pick(), ports.pick(), options=options)
        broker.run()
        broker.stop()
        dump = [*kafka.JVM, "-Xshare:dump", f"-XX:SharedClassListFile={classes}", "-cp", classpath]
        command = [java.executable(), *dump, f"-XX:SharedArchiveFile={unfinished}"]
        done = subprocess.run(command, check=False, capture_output=True)
        if done.returncode == 0:
            unfinished.replace(path())
