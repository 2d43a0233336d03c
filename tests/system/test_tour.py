"""The README's tour, taken as it is written, on a local installation of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import commands

README = Path(__file__).parents[2] / "README.md"
BIN = Path(sys.executable).parent
NO_FOR_AN_ANSWER = {"defter transfer bob alice QAZ 2501"}
"""The tour says of these that they are refused."""


def test_every_command_of_the_tour_does_what_the_readme_says(home: dict[str, str], tmp_path: Path) -> None:
    typed = tour()

    told = {command: run(command, home, tmp_path) for command in typed}

    assert len(typed) > 15
    exits = {command: it.returncode for command, it in told.items()}
    assert exits == {command: int(command in NO_FOR_AN_ANSWER) for command in typed}, [
        (command, it.stdout, it.stderr) for command, it in told.items() if it.returncode
    ]
    assert "97500" in told["defter balance alice"].stdout
    assert "INSUFFICIENT_FUNDS" in told["defter transfer bob alice QAZ 2501"].stdout
    assert re.search(r"\b400\b", told["defter balance bob"].stdout)


def tour() -> list[str]:
    """Give the commands of the README's tour."""
    first, *typed = [command.text for command in commands(README, "tests/system/test_tour.py")]
    assert first == ".venv/bin/defter dev"
    return [text for text in typed if not text.startswith("export PATH")]


def run(command: str, home: dict[str, str], where: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-c", command], env=home, cwd=where, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Somebody's environment, with `defter dev` running in another terminal."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("DEFTER_")}
    home = outer | {"XDG_DATA_HOME": str(tmp_path / "data"), "PATH": f"{BIN}:{os.environ['PATH']}"}
    with subprocess.Popen(
        ["defter", "dev"], env=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as dev:
        try:
            wait_until_ready(dev)
            yield home
        finally:
            dev.send_signal(signal.SIGINT)
            dev.communicate(timeout=30)
    assert dev.returncode == 0


def wait_until_ready(dev: "subprocess.Popen[str]") -> None:
    assert dev.stdout is not None
    said = []
    for line in dev.stdout:
        said.append(line)
        if "ready" in line.lower() or "ctrl-c" in line.lower():
            return
    pytest.fail("defter dev ended: " + "".join(said))
