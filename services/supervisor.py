"""Keeps all processes of a small installation running: `defter run`, and within it `defter dev` and `defter demo`.

Law: a process that ends is started again, at once the first time, then after growing pauses; and none outlives the
supervisor, however that ends. Each child has a pipe as its stdin that nobody writes to. The operating system closes it
when the supervisor is gone, even by `kill -9`, and a child that reads its end stops as at SIGTERM (`services.cli.run`).

Of one instance there is one supervisor: two of one name would throw each other's writers out of the group, and start
their own again, for ever. The name is an advisory lock in the journal's database.

What the processes do: `services.processes`.
"""

import asyncio
import contextlib
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from services.dev import ports
from services.errors import Away, Unexpected
from services.health import STARTING, Answer, told
from services.journal.lock import Taken, only_one
from services.metrics import LOOKS_WITHIN_S, merged
from services.settings import Secret, Settings

PARTS: Final = ("writer", "publisher", "projector", "ticker")
SUPERVISED: Final = "DEFTER_SUPERVISED"
"""Set to 1 for a child, which then stops when its stdin ends."""

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0
STEADY_S: Final = 30.0
"""Who ran so long is started again at once."""

GRACE_S: Final = 4.0

_LEFT_WITHIN_S: Final = 1.0
"""One of our name that was just killed is forgotten by PostgreSQL by then."""

_ASKS_WITHIN_S: Final = {"/readyz": 1.0, "/metrics": LOOKS_WITHIN_S + 1.0}

_log: Final = structlog.get_logger()


class Supervisor:
    """The processes of one installation.

    Args:
        settings: of the installation, given on to the processes.
        parts: which processes, by the names of their commands.
        log: a file for what they say; else it goes where our own does.
    """

    def __init__(self, settings: Settings, parts: Sequence[str] = PARTS, *, log: Path | None = None) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("DEFTER_KAFKA")}
        self._settings = settings
        self._environment = ours | environment(settings) | {SUPERVISED: "1"}
        self._parts = parts
        self._log = log
        self._ports: dict[str, int] = {}
        self._ended: dict[str, str] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the processes running until `stop`, then end them within `GRACE_S`.

        Raises:
            Unexpected: another supervisor of our name is at work.
        """
        alone = asyncio.Event()
        naming, *waiting = map(asyncio.create_task, (self._bear_name(alone), alone.wait(), stop.wait()))
        try:
            await asyncio.wait({naming, *waiting}, return_when=asyncio.FIRST_COMPLETED)
            if naming.done():
                naming.result()
            async with asyncio.TaskGroup() as keepers:
                for part in self._parts:
                    keepers.create_task(self._keep(part, stop))
        finally:
            for task in (naming, *waiting):
                task.cancel()
            await asyncio.gather(naming, *waiting, return_exceptions=True)

    async def readiness(self) -> Answer:
        """Tell whether all are ready, and what they wait for if not: the page `/readyz`."""
        waiting: dict[str, str] = {}
        for part, said in zip(self._parts, await asyncio.gather(*map(self._ask, self._parts)), strict=True):
            if said is None:
                waiting[part] = self._ended.get(part, STARTING)
            else:
                waiting |= said
        return told(waiting)

    async def metrics(self) -> Answer:
        """Tell what all tell Prometheus, each number with the name of its process: the page `/metrics`."""
        told = await asyncio.gather(*(self._get(part, "/metrics") for part in self._parts))
        return merged({part: said.decode() for part, said in zip(self._parts, told, strict=True) if said is not None})

    async def ready(self) -> bool:
        """Return whether all are ready."""
        return (await self.readiness()).status == "200 OK"

    async def _bear_name(self, alone: asyncio.Event) -> None:
        """Set `alone` once no other bears our name, and go on bearing it; again whenever PostgreSQL was away."""
        instance = self._settings.instance
        within_s: float | None = _LEFT_WITHIN_S
        away_before = False
        while True:
            try:
                async with only_one(self._settings.database(0), f"run {instance}", 0, within_s=within_s) as held:
                    alone.set()
                    within_s = None
                    await held.lost.wait()
            except Away as away:
                if not away_before:
                    _log.warning("waiting", part="run", why=str(away))
                away_before = True
                await asyncio.sleep(_LEFT_WITHIN_S)
            except Taken:
                raise Unexpected(
                    f"`defter run` or `defter dev` is at work on this installation already, as instance {instance}",
                    "it does all there is to do; for another that stands by, set DEFTER_INSTANCE to a name of its own",
                ) from None

    async def _keep(self, part: str, stop: asyncio.Event) -> None:
        pause_s = FIRST_PAUSE_S
        while not stop.is_set():
            since = time.monotonic()
            child = await self._start(part)
            code = await _ended(child, stop)
            if stop.is_set():
                return
            if time.monotonic() - since > STEADY_S:
                pause_s = FIRST_PAUSE_S
            self._ended[part] = f"ended with exit code {code}, is started again"
            _log.warning("a process ended and is started again", part=part, code=code, pause_s=pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _start(self, part: str) -> Process:
        self._ports[part] = ports.pick()
        environment = {**self._environment, "DEFTER_PORT": str(self._ports[part])}
        # Our own interpreter and packages, whatever is called `services` where we happen to stand.
        command = (sys.executable, "-P", "-m", "services.cli", part)
        with contextlib.ExitStack() as files:
            stderr = files.enter_context(self._log.open("ab")) if self._log else None
            return await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=DEVNULL, stderr=stderr, env=environment, start_new_session=True
            )

    async def _ask(self, part: str) -> dict[str, str] | None:
        """Return what a process waits for, by its own words; None where it does not answer."""
        said = await self._get(part, "/readyz")
        try:
            return None if said is None else dict(msgspec.json.decode(said)["waits"])
        except msgspec.DecodeError:
            return None

    async def _get(self, part: str, page: str) -> bytes | None:
        """Return what a process says on one of its pages; None where it does not answer."""
        try:
            async with asyncio.timeout(_ASKS_WITHIN_S[page]):
                reader, writer = await asyncio.open_connection(ports.HOST, self._ports.get(part))
                writer.write(f"GET {page} HTTP/1.1\r\n\r\n".encode())
                answer = await reader.read()
                writer.close()
        except OSError:
            return None
        return answer.partition(b"\r\n\r\n")[2]


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that say just these settings, and nothing of what our own environment says otherwise."""
    kafka = settings.brokers()
    said = {
        "DEFTER_DATABASE": _revealed(settings.dsn),
        "DEFTER_READ_DATABASE": _revealed(settings.read_dsn),
        "DEFTER_KAFKA": kafka.servers,
        "DEFTER_KAFKA_SECURITY": kafka.security,
        "DEFTER_KAFKA_SASL_MECHANISM": kafka.mechanism if kafka.user else None,
        "DEFTER_KAFKA_USER": kafka.user,
        "DEFTER_KAFKA_PASSWORD": _revealed(kafka.password),
        "DEFTER_KAFKA_CA": kafka.ca,
        "DEFTER_KAFKA_CERT": kafka.cert,
        "DEFTER_KAFKA_KEY": kafka.key,
        "DEFTER_PREFIX": settings.prefix,
        "DEFTER_INSTANCE": settings.instance,
        "DEFTER_POSTINGS": "1" if settings.postings else "0",
        "DEFTER_CLOUDEVENTS": "1" if settings.cloudevents else "0",
        "DEFTER_LOG": settings.log,
        "DEFTER_LEDGER": settings.ledger,
    }
    return {name: value for name, value in said.items() if value}


async def _ended(child: Process, stop: asyncio.Event) -> int:
    """Wait until a child ends, or end it at `stop`; return its exit code."""
    ending, stopping = asyncio.create_task(child.wait()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            child.terminate()
            await asyncio.wait({ending}, timeout=GRACE_S)
    finally:
        stopping.cancel()
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
    return await ending


def _revealed(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None
