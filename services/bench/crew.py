"""The processes of one installation, started for a measurement and stopped after it.

Law: one that ends by itself ends the measurement, with the last lines that it said. None outlives us: each has a pipe
as its stdin that nobody writes to, as under the supervisor.
"""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from services.bench.process import PARTS
from services.errors import Unexpected
from services.settings import Settings
from services.supervisor import SUPERVISED, environment

_READY_S: Final = 60.0
_ENDS_S: Final = 6.0
_LAST_LINES: Final = 12


class Crew:
    """Writer, publisher and projector; all of them work, but the writer is held before its first fetch until `let_go`.

    Args:
        settings: of the installation.
        directory: for what they say.
        profiles: by part, the file that is to tell where it spent its time.
    """

    def __init__(self, settings: Settings, directory: Path, profiles: Mapping[str, Path]) -> None:
        self._settings = settings
        self._directory = directory
        self._profiles = profiles
        self._processes: dict[str, Process] = {}
        self._gate: int | None = None

    @property
    def pids(self) -> dict[str, int]:
        """The process number of each part."""
        return {part: self._processes[part].pid for part in PARTS}

    def let_go(self) -> None:
        """Let the writer go."""
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None

    def see_that_all_live(self) -> None:
        """Raise `Unexpected` where a process has ended."""
        for part, process in self._processes.items():
            if process.returncode is not None:
                raise self._ended(part)

    async def __aenter__(self) -> Self:
        """Start them, and wait until each works. The writer comes last: nobody's patience runs out on it."""
        try:
            for part in reversed(PARTS):
                await self._start(part)
            async with asyncio.timeout(_READY_S):
                for part in PARTS:
                    await self._works(part)
        except TimeoutError:
            await self._stop()
            raise self._ended(*self._processes) from None
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop them."""
        await self._stop()

    async def _start(self, part: str) -> None:
        command = [sys.executable, "-P", "-m", "services.bench.process", part]
        # A process of a measurement is told all that counts; what somebody set for others does not reach it.
        given = environment(self._settings) | {SUPERVISED: "1", "DEFTER_INSTANCE": self._settings.instance}
        given |= {"DEFTER_POSTINGS": "0", "DEFTER_PORT": "0", "DEFTER_LOG": "console"}
        if part in self._profiles:
            command += ["--profile", str(self._profiles[part])]
        with contextlib.ExitStack() as ours:
            said = ours.enter_context(self._log(part).open("ab"))
            passed = []
            if part == "writer":
                end, self._gate = os.pipe()
                ours.callback(os.close, end)
                passed.append(end)
                command += ["--gate", str(end)]
            self._processes[part] = await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=said,
                env=os.environ | given,
                pass_fds=passed,
                start_new_session=True,
            )

    async def _works(self, part: str) -> None:
        """Wait until a process says that it works."""
        said = self._processes[part].stdout
        assert said
        if not await said.readline():
            raise self._ended(part)

    async def _stop(self) -> None:
        self.let_go()
        for process in self._processes.values():
            if process.returncode is None:
                process.terminate()
        try:
            async with asyncio.timeout(_ENDS_S):
                for process in self._processes.values():
                    await process.wait()
        except TimeoutError:
            for process in self._processes.values():
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    def _log(self, part: str) -> Path:
        return self._directory / f"{part}.log"

    def _ended(self, *parts: str) -> Unexpected:
        """Return the error that tells how far these parts did not come."""
        told = [f"{part} said last:\n{_last(self._log(part))}" for part in parts]
        what = f"{parts[0]} ended while it was measured" if len(parts) == 1 else "the processes do not begin to work"
        return Unexpected("\n".join([what, *told]), "see what it says; `defter doctor` looks at the servers")


def _last(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])
