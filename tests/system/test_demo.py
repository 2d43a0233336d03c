"""`defter demo`, and `make demo` of README.md: the first thing that anybody sees of Defter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil

DEFTER = Path(sys.executable).with_name("defter")


def test_the_demo_tells_its_story_and_leaves_nothing_behind(tmp_path: Path) -> None:
    # What is set for another installation is none of the demo's business.
    settings = {"TMPDIR": str(tmp_path), "DEFTER_KAFKA": "127.0.0.1:1", "DEFTER_PREFIX": "other."}

    done = subprocess.run([DEFTER, "demo"], env=os.environ | settings, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    story = done.stdout
    sent = int(re.search(r"(\d+) messages are published", story)[1])  # type: ignore[index]
    rows = [list(map(int, row)) for row in re.findall(r" (\d+) +(\d+) +(\d+) +(\d+)(?:  \S|\n)", story)]
    assert sum(row[0] for row in rows) == sent > 300
    assert all(row[0] == sum(row[1:]) for row in rows)
    for reason in ("INSUFFICIENT_FUNDS", "ACCOUNT_NOT_FOUND", "ID_REUSED", "MALFORMED", "UNKNOWN_LEDGER"):
        assert reason in story
    assert "byte for byte what the journal holds" in story
    assert "the balances sum to zero" in story
    assert re.findall(r"(?:QAZ|RICE) .* (\S+)\n", story.partition("sum to zero")[2]) == ["0", "0"]
    assert [process for process in psutil.process_iter(["cmdline"]) if belongs(process, tmp_path)] == []
    assert list(tmp_path.iterdir()) == []


def belongs(process: psutil.Process, directory: Path) -> bool:
    """Tell whether a process has to do with what is in a directory."""
    return any(str(directory) in argument for argument in process.info["cmdline"] or ())
