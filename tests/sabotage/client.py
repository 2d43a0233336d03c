"""Faults in the client for Python: each would lose a command or an event, count one twice, or get in another's way."""

from typing import Final

from tests.sabotage.fault import Fault

SUBSCRIPTION: Final = "clients/python/defter_client/subscription.py"
SUBSCRIBING: Final = ("tests/client/test_subscribing.py",)

CLIENT_FAULTS: Final = (
    Fault(
        "a subscriber counts twice what is published twice",
        SUBSCRIPTION,
        "        if event.sequence == last + 1:\n",
        "        if event.sequence:\n",
        SUBSCRIBING,
    ),
    Fault(
        "a subscriber goes on over a gap",
        SUBSCRIPTION,
        "        if event.sequence > last + 1:\n",
        "        if event.sequence > last + 1000:\n",
        SUBSCRIBING,
    ),
    Fault(
        "a subscriber resumes after the event that it needs next",
        SUBSCRIPTION,
        "            if found is not None and found <= self.after:\n",
        "            if found is not None and found <= self.after + 100:\n",
        SUBSCRIBING,
    ),
    Fault(
        "a sender forgets what a broker did not acknowledge",
        "clients/python/defter_client/sending.py",
        "self._waiting = deque(one for one in self._waiting if not one[1].done())",
        "self._take_off(some, Unexpected('lost', 'send it again'))",
        ("tests/client/test_outages.py",),
    ),
    Fault(
        "a reply that was lost is waited for in vain",
        "clients/python/defter_client/client.py",
        "                if sent.again_at <= now() < until:\n",
        "                if until < sent.again_at <= now():\n",
        ("tests/client/test_sending.py",),
    ),
    Fault(
        "one reply answers two contents of one id",
        "clients/python/defter_client/replies.py",
        "        if waiting.content != content:\n",
        "        if not waiting.content:\n",
        ("tests/client/test_sending.py",),
    ),
    Fault(
        "the client takes an application's own schemas for the published language",
        "schemas/replies.py",
        "from .events import CommandRefused\n",
        "from schemas.events import CommandRefused\n",
        ("tests/client/test_installing.py",),
    ),
)
