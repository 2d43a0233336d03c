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

from services.bench.process import WORKS
from services.errors import Unexpected
from services.settings import Settings
from services.supervisor import SUPERVISED, environment

_READY_S: Final = 60.0
_ENDS_S: Final = 6.0
_LAST_LINES: Final = 12


class Crew:
    """Writers, publisher and projector; all of them work, but writers are held before their first fetch until `let_go`.

    Args:
        settings: of the installation.
        directory: for what they say.
        profiles: by part, the file that is to tell where it spent its time; of several writers, where the first did.
        partitions: how many the installation has.
        writers: in how many processes they are written.
    """

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        profiles: Mapping[str, Path],
        *,
        partitions: int = 1,
        writers: int = 1,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._profiles = profiles
        self._partitions = partitions
        self._names = ["writer", *(f"writer-{number}" for number in range(1, writers)), "publisher", "projector"]
        self._processes: dict[str, Process] = {}
        self._at_work: dict[str, set[int]] = {name: set() for name in self._names}
        self._gates: list[int] = []

    @property
    def pids(self) -> dict[str, int]:
        """The number of each process, by its name: its part, and `-1` and so on for writers but the first."""
        return {name: self._processes[name].pid for name in self._names}

    def let_go(self) -> None:
        """Let the writers go."""
        while self._gates:
            os.close(self._gates.pop())

    def see_that_all_live(self) -> None:
        """Raise `Unexpected` where a process has ended."""
        for name, process in self._processes.items():
            if process.returncode is not None:
                raise self._ended(name)

    async def __aenter__(self) -> Self:
        """Start them, and wait until each works."""
        try:
            for name in reversed(self._names):
                await self._start(name)
            async with asyncio.timeout(_READY_S):
                await self._all_at_work()
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

    async def _start(self, name: str) -> None:
        part = name.partition("-")[0]
        command = [sys.executable, "-P", "-m", "services.bench.process", part]
        # A process of a measurement is told all that counts; what somebody set for others does not reach it.
        given = environment(self._settings) | {SUPERVISED: "1", "DEFTER_INSTANCE": f"{self._settings.instance}-{name}"}
        given |= {"DEFTER_PORT": "0", "DEFTER_LOG": "console"}
        if name in self._profiles:
            command += ["--profile", str(self._profiles[name])]
        with contextlib.ExitStack() as ours:
            said = ours.enter_context(self._log(name).open("ab"))
            passed = []
            if part == "writer":
                end, gate = os.pipe()
                self._gates.append(gate)
                ours.callback(os.close, end)
                passed.append(end)
                command += ["--gate", str(end)]
            self._processes[name] = await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=said,
                env=os.environ | given,
                pass_fds=passed,
                start_new_session=True,
            )

    async def _all_at_work(self) -> None:
        """Wait until every shard has each part at work, and every writer its share."""
        listening = {asyncio.ensure_future(self._told(name)): name for name in self._names}
        try:
            while not self._complete():
                done, _ = await asyncio.wait(listening, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    name = listening.pop(task)
                    task.result()
                    listening[asyncio.ensure_future(self._told(name))] = name
        finally:
            for task in listening:
                task.cancel()
            await asyncio.wait(listening)

    async def _told(self, name: str) -> None:
        """Take in the next that a process says: which shard it works on, or has given up."""
        said = self._processes[name].stdout
        assert said
        line = (await said.readline()).decode().split()
        if not line:
            raise self._ended(name)
        verb, shard = line
        (self._at_work[name].add if verb == WORKS else self._at_work[name].discard)(int(shard))

    def _complete(self) -> bool:
        writers = [name for name in self._names if name.startswith("writer")]
        shares = [self._at_work[name] for name in writers]
        shared_out = sorted(shard for share in shares for shard in share) == list(range(self._partitions))
        even = all(len(share) >= self._partitions // len(writers) for share in shares)
        return shared_out and even and all(len(self._at_work[name]) == self._partitions for name in self._names[-2:])

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

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def _ended(self, *names: str) -> Unexpected:
        """Return the error that tells how far these processes did not come."""
        told = [f"{name} said last:\n{_last(self._log(name))}" for name in names]
        what = f"{names[0]} ended while it was measured" if len(names) == 1 else "the processes do not begin to work"
        return Unexpected("\n".join([what, *told]), "see what it says; `defter doctor` looks at the servers")


def _last(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])
