"""One example of each message: those of a small story, and what deciding them brings about.

Law: an event shown as an example is one that really comes of a command shown as an example, byte for byte as it would
be stored. Of several messages of a type the last is shown.
"""

import json
from pathlib import Path
from typing import Final

from schemas.codec import decode_event
from schemas.events import CommandRefused, TransferPosted
from schemas.postings import encode_posting, postings
from schemas.replies import decode_told, encode_reply, reply
from services.language.messages import SHORT
from services.shard import Shard
from services.simulate import simulate

STORY: Final = Path(__file__).with_name("story.jsonl")


async def examples() -> dict[str, str]:
    """Give one line of JSON for each message, by its name."""
    lines = STORY.read_bytes().splitlines()
    events = [event async for event in simulate(lines, Shard(0, 1))]
    shown = {_name(line): _compact(line) for line in lines} | {_name(event): event.decode() for event in events}
    sale = shown[str(TransferPosted.__struct_config__.tag)].encode()
    [*_, posting] = map(encode_posting, postings(sale))
    refused = shown[str(CommandRefused.__struct_config__.tag)].encode()
    return shown | {_name(told): told.decode() for told in (posting, _reply(refused))}


def _name(message: bytes) -> str:
    return str(json.loads(message).get("type", SHORT))


def _compact(line: bytes) -> str:
    command = json.loads(line)
    command.pop("at", None)
    return json.dumps(command, separators=(",", ":"), ensure_ascii=False)


def _reply(event: bytes) -> bytes:
    told = decode_event(event)
    assert told.command
    return encode_reply(reply(told.command, told.ledger, told.sequence, decode_told(event), duplicate=False))
