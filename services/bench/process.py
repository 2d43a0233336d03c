"""One process of an installation, as it is shipped, started for a measurement: `python -m services.bench.process`.

    python -m services.bench.process writer --gate FD --profile FILE

Law: nothing of the process is changed. It tells on stdout when a part of it works. The writer can be held there, just
before its first fetch, until the other end of the pipe FD is closed or says go.
"""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from services import processes
from services.bench.sampling import sampled
from services.cli.serving import serve
from services.patience import Readiness
from services.settings import Settings

Work = Callable[[Settings, Readiness, asyncio.Event], Awaitable[None]]


PARTS: Final[dict[str, Work]] = {
    "writer": processes.writer,
    "publisher": processes.publisher,
    "projector": processes.projector,
}


def main() -> None:
    """Run the part that the arguments name, until SIGTERM or the end of whoever measures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--gate", type=int)
    parser.add_argument("--profile", type=Path)
    said = parser.parse_args()

    async def work(settings: Settings, readiness: Readiness, stop: asyncio.Event) -> None:
        await PARTS[said.part](settings, _Telling(readiness, f"{said.part} 0", said.gate), stop)

    with sampled(said.profile):
        serve(said.part, work)


class _Telling:
    """Readiness that tells whoever measures when the part works, and waits at the gate, once."""

    def __init__(self, readiness: Readiness, part: str, gate: int | None) -> None:
        self._readiness = readiness
        self._part = part
        self._gate = gate
        self._told = False

    def waits(self, part: str, why: str) -> None:
        self._readiness.waits(part, why)

    def works(self, part: str) -> None:
        self._readiness.works(part)
        if part == self._part and not self._told:
            self._told = True
            print(part, flush=True)
            if self._gate is not None:
                os.read(self._gate, 1)  # the whole process stands still, as it would at a fetch that brings nothing


if __name__ == "__main__":
    main()
