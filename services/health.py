"""Whether a process is alive and able to work, told to whoever asks over HTTP: `/livez` and `/readyz`.

Law: alive is who answers; ready is who waits for nothing. What is waited for stands in the answer, by name, so that it
need not be looked for in a log.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple

from services.errors import WrongSetting

STARTING: Final = "starting"
STANDS_BY: Final = "is the live one"
"""How everyone ends its reason who waits only because another does the work."""

_ASKS_WITHIN_S: Final = 5.0
_LONGEST_REQUEST: Final = 8192


class Answer(NamedTuple):
    """What is said to one request."""

    status: str
    kind: str
    body: bytes


Page = Callable[[], Awaitable[Answer] | Answer]


class Health:
    """What the parts of a process say of themselves: a `patience.Readiness`.

    Args:
        name: of the process, which is not ready before one of its parts says that it works.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting = {name: STARTING}

    def waits(self, part: str, why: str) -> None:
        """The part waits, for this reason."""
        self._waiting[part] = why

    def works(self, part: str) -> None:
        """The part works."""
        self._waiting.pop(part, None)
        if self._waiting.get(self._name) == STARTING:
            del self._waiting[self._name]

    @property
    def waiting(self) -> dict[str, str]:
        """What is waited for, by the part that waits; empty when the process is ready."""
        return dict(self._waiting)

    def readiness(self) -> Answer:
        """Tell whether the process is ready, and what it waits for if not."""
        waiting = self.waiting
        return told(waiting)


def told(waiting: Mapping[str, str]) -> Answer:
    """Return the answer of `/readyz`: ready, or what is waited for, by the part that waits."""
    return _json("503 Service Unavailable" if waiting else "200 OK", {"ready": not waiting, "waits": dict(waiting)})


@asynccontextmanager
async def serving(health: Health, port: int, pages: dict[str, Page] | None = None) -> AsyncIterator[int]:
    """Answer to `/livez` and `/readyz` for as long as the context lasts.

    Args:
        health: what is told.
        port: where; 0 for any that is free.
        pages: more paths, or another `/readyz`.

    Yields:
        The port.

    Raises:
        WrongSetting: the port is taken.
    """
    known: dict[str, Page] = {"/livez": lambda: _json("200 OK", {"live": True}), "/readyz": health.readiness}
    known |= pages or {}

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_ASKS_WITHIN_S):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(_written(request, await _answered(request, known)))
                await writer.drain()
        writer.close()

    try:
        # Whoever asks after a container comes from outside of it; a port that nobody chose is nobody's business there.
        server = await asyncio.start_server(converse, None if port else "127.0.0.1", port, limit=_LONGEST_REQUEST)
    except OSError as error:
        raise WrongSetting(f"DEFTER_PORT is {port}, which cannot be listened on: {error.strerror}") from error
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def _answered(request: bytes, pages: dict[str, Page]) -> Answer:
    method, _, rest = request.partition(b" ")
    page = pages.get(rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1"))
    if method not in {b"GET", b"HEAD"}:
        return _json("405 Method Not Allowed", {"error": "only GET and HEAD are answered"})
    if page is None:
        return _json("404 Not Found", {"error": f"there are {', '.join(sorted(pages))}"})
    answer = page()
    return answer if isinstance(answer, Answer) else await answer


def _json(status: str, body: object) -> Answer:
    return Answer(status, "application/json", json.dumps(body).encode() + b"\n")


def _written(request: bytes, answer: Answer) -> bytes:
    head = f"HTTP/1.1 {answer.status}\r\nContent-Type: {answer.kind}\r\nContent-Length: {len(answer.body)}\r\n"
    body = b"" if request.startswith(b"HEAD ") else answer.body
    return head.encode() + b"Connection: close\r\n\r\n" + body
