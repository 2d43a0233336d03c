"""Sends the commands of a file, each until its outcome is known. Killed at any moment and started again, it goes on.

    DEFTER_KAFKA=localhost:9092 python producer.py orders.jsonl

The file holds one command a line; more may be added while it is not running. Beside it, `orders.jsonl.outcomes` gets
one line for each, in the same order. So as many commands are settled as there are lines, and a kill loses nothing: what
was sent and not noted is sent again, with the same id, and has the outcome that it had.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from defter_client import Away, Client, NoOutcomeYet
from defter_client.schemas.replies import encode_reply


def produce(orders: Path, servers: str, prefix: str) -> None:
    """Settle every command of the file."""
    outcomes = orders.with_name(orders.name + ".outcomes")
    while commands := orders.read_bytes().splitlines()[settled(outcomes) :]:
        try:
            asyncio.run(send(commands, outcomes, servers, prefix))
        except (Away, NoOutcomeYet) as not_yet:
            print(not_yet, file=sys.stderr)


async def send(commands: Sequence[bytes], outcomes: Path, servers: str, prefix: str) -> None:
    """Send commands, in their order, and note each outcome as soon as it is known."""
    with outcomes.open("ab", buffering=0) as noted:
        async with Client.connect(servers, prefix=prefix, replies="producer") as client:
            async for reply in client.send_all(commands):
                noted.write(encode_reply(reply) + b"\n")


def settled(outcomes: Path) -> int:
    """Count the commands that are settled, and cut off the line at which the last run was killed."""
    outcomes.touch()
    text = outcomes.read_bytes()
    os.truncate(outcomes, text.rfind(b"\n") + 1)
    return text.count(b"\n")


if __name__ == "__main__":
    produce(Path(sys.argv[1]), os.environ["DEFTER_KAFKA"], os.environ.get("DEFTER_PREFIX", "defter."))
