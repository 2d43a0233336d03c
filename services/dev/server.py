"""One server process under a keeper: started, stopped, killed and started again, and never left behind.

What a server is made of (its command, its files) is told by `services.dev.postgres` and `services.dev.kafka`; who
keeps it alive no longer than its owner is `services.dev.keeper`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from services.dev import keeper
from services.errors import Unexpected

READY_S = 120.0


class Plan(NamedTuple):
    """How one server is run."""

    name: str
    directory: Path
    """Where its files are, and what the keeper notes."""

    log: Path
    polite: signal.Signals
    """Stops it with everything put away."""

    abrupt: signal.Signals
    """Stops it at once, for when its files are thrown away anyway."""

    stale: Path | None = None
    """A file that a killed server leaves behind and stumbles over."""

    user: str | None = None
    """The user to run it as, when it is not the owner's own."""


class Server:
    """One server process. Blocking; any method may be called at any time, in any order.

    Args:
        plan: how it is run.
        trash: a directory to delete when the owner is gone; without one everything is kept.
    """

    def __init__(self, plan: Plan, trash: Path | None) -> None:
        self.plan = plan
        self.trash = trash
        self.pid: int | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the server's process is there; it may not answer yet."""
        return self._keeper is not None and self._keeper.poll() is None

    def start(self, command: Sequence[str], ready: Callable[[int], bool]) -> None:
        """Start the server and wait until it answers. What an earlier, killed owner left behind is ended first.

        Args:
            command: the server's own.
            ready: whether the server of this process number answers.

        Raises:
            Unexpected: the server ended, or does not answer.
        """
        assert not self.running, f"{self.plan.name} runs already"
        self.plan.directory.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + READY_S
        with self.plan.log.open("ab") as log:
            self._keeper = subprocess.Popen(
                [*self._keeper_command(), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the owner, which stops its servers in good order
            )
        assert self._keeper.stdout
        self.pid = int(self._keeper.stdout.readline() or 0)
        while self.pid == 0 or not ready(self.pid):
            if self.pid == 0 or not self.running:
                raise self._failure("ended as it started")
            if time.monotonic() > deadline:
                raise self._failure("does not answer")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server with everything put away. It can be started again."""
        self.signal(self.plan.polite)
        self.wait()

    def kill(self) -> None:
        """Kill the server's process with SIGKILL."""
        self.signal(signal.SIGKILL)
        self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server's process, if it runs."""
        if self.running and self.pid:
            with contextlib.suppress(ProcessLookupError):  # it may end at this very moment
                os.kill(self.pid, number)

    def wait(self) -> None:
        """Wait until the server's process has ended."""
        if self._keeper:
            self._keeper.wait()
            self.close()

    def close(self) -> None:
        """Leave the server to its keeper, which stops it: what happens too when the owner is killed."""
        if self._keeper:
            for pipe in (self._keeper.stdin, self._keeper.stdout):
                if pipe:
                    pipe.close()
            self._keeper.wait()
            self._keeper = None
            self.pid = None

    def _keeper_command(self) -> list[str]:
        plan = self.plan
        # An isolated interpreter and a path, not a module's name: it starts in 20 ms and imports nothing of the
        # project.
        command = [sys.executable, "-I", "-S", keeper.__file__]
        command += ["--lock", str(plan.directory / "lock"), "--pid", str(plan.directory / "pid")]
        command += ["--signal", str(int(plan.abrupt if self.trash else plan.polite))]
        command += ["--trash", str(self.trash)] if self.trash else []
        command += ["--stale", str(plan.stale)] if plan.stale else []
        command += ["--user", plan.user] if plan.user else []
        return [*command, "--"]

    def _failure(self, what: str) -> Unexpected:
        tail = "\n".join(self.plan.log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
        self.close()
        return Unexpected(f"{self.plan.name} {what}; the end of {self.plan.log}:\n{tail}", "see what its log says")
