"""The program `defter`, as a person runs it: at a prompt, in a pipe, on a terminal.

Most commands are run in this process, by the very function that the installed program calls, for starting an
interpreter takes longer than most commands do. Where it matters (pipes, terminals, signals) it is the installed one.
"""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from services.cli import run

DEFTER = Path(sys.executable).with_name("defter")
PATIENTLY_S = 90

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Done(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str


class Program:
    """The program, with the settings of one installation.

    Args:
        settings: variables; what our own environment says of Defter is not passed on.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("DEFTER_")}
        self.settings = dict(settings)
        self.environment = {**ours, **settings}

    def run(self, *arguments: str, stdin: bytes = b"") -> Done:
        """Run a command to its end."""
        others = {name: None for name in os.environ if name.startswith("DEFTER_")}
        with CliRunner().isolation(input=stdin, env={**others, **self.settings}) as (stdout, stderr, _):
            code = run(list(arguments))
            return Done(code, stdout.getvalue().decode(), stderr.getvalue().decode())

    def ok(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run a command that must succeed, and return what it prints."""
        done = self.run(*arguments, stdin=stdin)
        assert done.code == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str, stdin: bytes = b"", code: int = 0) -> list[dict[str, Any]]:
        """Run a command with `--json`, and return the objects that it prints: nothing else may be there."""
        done = self.run(*arguments, "--json", stdin=stdin)
        assert done.code == code, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def installed(self, *arguments: str, stdin: bytes = b"") -> Done:
        """Run the installed program to its end, in pipes."""
        running = self.start(*arguments)
        stdout, stderr = running.communicate(stdin, PATIENTLY_S)
        return Done(running.returncode, stdout.decode(), stderr.decode())

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the installed program."""
        pipe = subprocess.PIPE
        return subprocess.Popen([DEFTER, *arguments], env=self.environment, stdin=pipe, stdout=pipe, stderr=pipe)

    def on_a_terminal(self, *arguments: str, columns: int) -> str:
        """Run the installed program, which must succeed, on a terminal of this width, and return what appears there."""
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        running = subprocess.Popen([DEFTER, *arguments], env=self.environment, stdout=its, stderr=its, stdin=its)
        os.close(its)
        shown = shown_on(ours)
        assert running.wait(PATIENTLY_S) == 0, shown
        return _COLOURS.sub("", shown)


def deposit(ledger: str, account: str, amount: int) -> dict[str, Any]:
    """Return a command that brings QAZ into an account from the account `world`."""
    movements = [move("world", account, amount)]
    return {"type": "transfer.v1", "id": "deposit", "ledger": ledger, "kind": "deposit", "movements": movements}


def move(source: str, destination: str, amount: int) -> dict[str, Any]:
    """Return a movement of QAZ."""
    return {"source": source, "destination": destination, "unit": "QAZ", "amount": amount}


def as_lines(lines: list[dict[str, Any]]) -> bytes:
    """Return commands as JSON Lines."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def shown_on(terminal: int) -> str:
    """Return all that appears on a terminal until its other end is closed, and close it."""
    shown = b""
    while data := _read(terminal):
        shown += data
    os.close(terminal)
    return shown.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    """Read what appears; nothing when the other end is closed, which Linux calls an error."""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""
