"""A wire to PostgreSQL that can be cut at a chosen place: a real TCP proxy.

A batch is one statement, and so a transaction of its own: it commits when the server reads the `Sync` behind it, and
the answer is the tag of the INSERT.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from struct import pack
from typing import Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from services.journal.recorder import APPEND

ASKED: Final = re.compile(rb"B.{4}\0_pg3_\d+\0" + re.escape(pack("!h", APPEND.count("%b"))), re.DOTALL)
"""How the client's message begins that asks for a batch to be stored: `Bind`, with as many arguments."""

STORED: Final = re.compile(rb"C.{4}INSERT 0 \d+\0", re.DOTALL)
"""The server's answer, `CommandComplete`: it comes together with what says that the transaction is over."""

SYNC: Final = b"S\0\0\0\4"
"""What lets the server commit."""

Cut = Callable[[bytes, bool], bytes | None]
"""Told what comes, and whether from the client; returns what to pass on, or None to cut the wire there and then."""


def never(data: bytes, _from_client: bool) -> bytes | None:
    return data


class Wire:
    """Passes on what both sides say, until it is cut. New connections find it whole again, unless it is `down`.

    With `keeps_servers`, whoever hangs up leaves the server's end open: `servers` has it, to say on what was held back.
    """

    def __init__(self, dsn: str) -> None:
        said = conninfo_to_dict(dsn)
        self._host, self._port = str(said["host"]), int(str(said["port"]))
        self._dsn = dsn
        self._clients: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.servers: list[asyncio.StreamWriter] = []
        self.cut: Cut = never
        self.cuts = 0
        self.down = False
        self.down_after_cut = False
        self.keeps_servers = False
        self.dsn = ""

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect one client with the server."""
        self._tasks.add(asyncio.ensure_future(self._connect(reader, writer)))

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down:
            writer.transport.abort()
            return
        server_reader, server_writer = await asyncio.open_connection(self._host, self._port)
        self._clients.append(writer)
        self.servers.append(server_writer)
        await asyncio.gather(
            self._pass_on(reader, server_writer, from_client=True),
            self._pass_on(server_reader, writer, from_client=False),
        )
        writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                passed = self.cut(data, from_client)
                if passed is None:
                    self.cuts += 1
                    self.down = self.down_after_cut
                    self.drop()
                    return
                writer.write(passed)
                await writer.drain()
        if not (from_client and self.keeps_servers):
            writer.transport.abort()

    def drop(self) -> None:
        """Hang up on whoever is connected."""
        for end in [*self._clients, *([] if self.keeps_servers else self.servers)]:
            end.transport.abort()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Wire"]:
        """Answer at `dsn` inside the block."""
        server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.dsn = make_conninfo(self._dsn, host="127.0.0.1", port=port)
        try:
            yield self
        finally:
            server.close()
            self.keeps_servers = False
            self.drop()
            await asyncio.gather(*self._tasks)


def before_commit() -> Cut:
    """Cut the first batch off before the server hears of it."""
    return _once(ASKED, from_client=True)


def after_commit() -> Cut:
    """Let the server commit, and cut its first answer off before the client hears it."""
    return _once(STORED, from_client=False)


def _once(pattern: re.Pattern[bytes], *, from_client: bool) -> Cut:
    done = False

    def cut(data: bytes, is_from_client: bool) -> bytes | None:
        nonlocal done
        if not done and is_from_client is from_client and pattern.search(data):
            done = True
            return None
        return data

    return cut


def after_bytes(count: int, *, from_client: bool) -> Cut:
    """Cut once, when this many bytes have come from one side; some of the last part may still get through."""
    left = count

    def cut(data: bytes, is_from_client: bool) -> bytes | None:
        nonlocal left
        if is_from_client is not from_client or left < 0:
            return data
        left -= len(data)
        return data if left >= 0 else None

    return cut
