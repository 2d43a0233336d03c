"""The scenarios again, through real Kafka and PostgreSQL: those that need no time of their own, all at once.

What each should come to is asked in `tests.domain.test_vectors`; here it has to be the same. Lines that stand as they
are, some of them no JSON, are for `tests.system.test_bad_inputs`.
"""

import asyncio
import json
import re
from collections import defaultdict
from typing import Any, Final, get_args

from schemas.commands import Command
from services.kafka.ports import Message
from tests.domain.scenarios import Line, Scenario
from tests.domain.test_vectors import ALL, play
from tests.system.checks import check
from tests.system.conftest import MakeHouse

A_SEND: Final = 3
"""So few that what a command refers to was often decided in an earlier batch."""

NEEDS_A_TIME: Final = re.compile(" (at|expires)=")

Fields = dict[str, Any]


async def test_what_scenarios_come_to_in_memory_they_come_to_through_kafka(make_house: MakeHouse) -> None:
    house = await make_house()
    messages: list[Message] = []
    events: dict[str, list[Fields]] = defaultdict(list)
    letters: dict[int, str] = {}
    for scenario in filter(is_timeless, ALL):
        played = await asyncio.to_thread(play, scenario)
        for (_, line), told in zip(played.sent, played.outcomes, strict=True):
            for text, outcome in told:
                if outcome["type"] == "dead-letter":
                    letters[len(messages)] = outcome["reason"]
                else:
                    events[own(scenario, outcome["ledger"])].append(timeless(moved(scenario, outcome["ledger"], text)))
            messages.append(message(scenario, line))

    for name in ("writer", "publisher", "projector"):
        await house.start(name).ready()
    for first in range(0, len(messages), A_SEND):
        await house.send(0, messages[first : first + A_SEND])
    await house.settled()

    happened: dict[str, list[Fields]] = defaultdict(list)
    for record in await house.records(house.topics.events, 0):
        event = timeless(record.value)
        happened[event["ledger"]].append(event)
    assert happened == events
    headers = [dict(letter.headers) for letter in await house.records(house.topics.dead_letters, 0)]
    assert {int(letter["offset"]): letter["reason"].decode() for letter in headers} == letters
    tags = {json.loads(each.value or b"")["type"] for each in messages}
    assert tags == {command.__struct_config__.tag for command in get_args(Command)}, "no command is left out"
    await check(house)


def is_timeless(scenario: Scenario) -> bool:
    """Tell whether it comes to the same whenever it is played, and each of its lines is made of words."""
    return not any(step.words.startswith("json ") or NEEDS_A_TIME.search(step.words) for step in scenario.steps)


def own(scenario: Scenario, ledger: str) -> str:
    """Name the ledger that a scenario has for itself."""
    return f"{scenario.id}-{ledger}"


def message(scenario: Scenario, line: Line) -> Message:
    """Send a line to the scenario's own ledger."""
    ledger = own(scenario, line.ledger)
    return Message(ledger.encode(), json.dumps(json.loads(line.text) | {"ledger": ledger}).encode(), ())


def moved(scenario: Scenario, ledger: str, text: bytes) -> bytes:
    """Let what happened in a ledger have happened in the scenario's own: a refusal may name it in its details, too."""
    return text.replace(f'"ledger":"{ledger}"'.encode(), f'"ledger":"{own(scenario, ledger)}"'.encode())


def timeless(text: bytes) -> Fields:
    """Read an event, but for when it was."""
    event: Fields = json.loads(text)
    del event["at"]
    return event
