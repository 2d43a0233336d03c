"""Processes of Defter as the operating system knows them: started, asked, stopped, killed, and never left behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from services.dev import ports
from services.supervisor import PARTS, SUPERVISED

ROOT = Path(__file__).parents[2]
PATIENTLY_S = 90.0
"""However slow the machine: what has not happened by then will not."""


class Process:
    """One writer, publisher or projector. It is the shipped program, unless it has `arguments` of the tests' own.

    Args:
        name: of the command, such as `writer`.
        environment: its settings.
        log: where it writes.
        arguments: for `tests.system.entry`.
    """

    def __init__(self, name: str, environment: Mapping[str, str], log: Path, arguments: Sequence[str] = ()) -> None:
        self.name = name
        self.log = log
        self.arguments = arguments
        self._environment = environment
        self._port = 0
        self._running: subprocess.Popen[bytes] | None = None
        self._told_to_end = False
        self.started_at = 0.0

    def start(self) -> None:
        """Start it, or start it again."""
        assert not self.runs, f"{self.name} runs already"
        shipped = not self.arguments and self.name in PARTS
        module = ["services.cli" if shipped else "tests.system.entry", self.name, *self.arguments]
        self._port = ports.pick()
        with self.log.open("ab") as log:
            log.write(f"--- {' '.join(module)}\n".encode())
            log.flush()
            self.started_at = time.monotonic()
            self._running = subprocess.Popen(
                [sys.executable, "-m", *module],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                # Should this test be killed, its pipe is closed, and with it the process ends.
                env={**os.environ, **self._environment, "DEFTER_PORT": str(self._port), SUPERVISED: "1"},
                start_new_session=True,
            )
        self._told_to_end = False

    @property
    def runs(self) -> bool:
        """Whether it is there; it may be stopped."""
        return self._running is not None and self._running.poll() is None

    @property
    def pid(self) -> int:
        """The number that the operating system knows it by."""
        assert self._running
        return self._running.pid

    def must_run(self) -> None:
        """Complain if it ended though nobody told it to, neither now nor beforehand."""
        doomed = self._told_to_end or "--kill-at" in self.arguments
        if self.started_at and not self.runs and not doomed:
            raise AssertionError(f"{self.name} has ended by itself")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it with SIGKILL, be it stopped or not."""
        self._told_to_end = True
        if self._running is not None:
            self._running.kill()
            self._running.communicate()

    @property
    def is_frozen(self) -> bool:
        """Whether it was stopped, and waits to be told to go on."""
        return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)

    async def ended(self) -> int:
        """Wait until it has ended, and give its exit code; below zero is the signal that killed it."""
        assert self._running
        self._told_to_end = True
        return await asyncio.to_thread(self._running.wait, PATIENTLY_S)

    async def stop(self) -> int:
        """End it in good order, and give its exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    async def waits_for(self) -> dict[str, str] | None:
        """Ask it what it waits for; nothing when it is ready, None when it does not answer."""
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection(ports.HOST, self._port)
                writer.write(b"GET /readyz HTTP/1.1\r\n\r\n")
                answer = await reader.read()
                writer.close()
        except (OSError, TimeoutError):
            return None
        told: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2] or b"{}")
        assert answer.startswith(b"HTTP/1.1 200" if told.get("ready") else b"HTTP/1.1 503"), answer
        waits: dict[str, str] = told["waits"]
        return waits

    async def answers(self) -> None:
        """Wait until it answers at all."""
        async with asyncio.timeout(PATIENTLY_S):
            while await self.waits_for() is None:
                self.must_run()
                await asyncio.sleep(0.02)

    async def ready(self) -> None:
        """Wait until it waits for nothing."""
        async with asyncio.timeout(PATIENTLY_S):
            while await self.waits_for() != {}:
                self.must_run()
                await asyncio.sleep(0.02)

    def said(self) -> str:
        """Give its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")
