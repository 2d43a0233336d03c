"""A process that waits for a server which never answers can still end."""

import asyncio
import subprocess
import sys

CLOSES = """
import asyncio
from services.journal.postgres import PostgresJournal

async def main():
    journal = PostgresJournal("host=127.0.0.1 port={port} user=nobody dbname=nowhere", 0)
    claiming = asyncio.ensure_future(journal.claim("1"))
    waiting = asyncio.ensure_future(journal.changed(3600))
    await asyncio.sleep(0.5)
    waiting.cancel()
    await journal.close()
    print("closed", claiming.done())

asyncio.run(main())
"""


async def test_a_server_that_never_answers_does_not_keep_a_process_from_ending() -> None:
    async def say_nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    program = CLOSES.format(port=server.sockets[0].getsockname()[1])

    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "closed False\n", "")
    server.close()
