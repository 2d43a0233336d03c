"""Defter's client: sends commands and waits for what became of them, and subscribes to events.

    async with Client.connect("kafka-1:9092", replies="shop") as client:
        reply = await client.send(TransferBuilder("order-77").pay("alice", "bob", "QAZ", 300).build())
        async for event in client.subscribe("main", after=41):
            ...

What is said (commands, events, replies and the values in them) is `defter_client.schemas`, the published language as
Defter itself has it.
"""

from .client import Client
from .errors import Away, Gap, NoOutcomeYet, Unexpected
from .kafka import Login
from .schemas.builder import AutoIds, TransferBuilder
from .schemas.codec import MalformedError
from .schemas.replies import Outcome, Reply
from .subscription import Subscription

__all__ = [
    "AutoIds",
    "Away",
    "Client",
    "Gap",
    "Login",
    "MalformedError",
    "NoOutcomeYet",
    "Outcome",
    "Reply",
    "Subscription",
    "TransferBuilder",
    "Unexpected",
]
