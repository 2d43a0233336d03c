"""The scenarios that come with the specification, and our own of the same kind, played against `decide` in memory."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import pytest

from services.shard import Shard
from services.simulate import simulate
from tests.domain.answers import Told, answer, faults
from tests.domain.scenarios import FOLDERS, Line, Scenario, Step, line_of, scenarios

ALL: Final = list(scenarios())
MARK: Final = b"no command"
"""Follows each line. Its dead letter tells where the outcome of the line ends, and changes nothing."""


class Played(NamedTuple):
    """A scenario, played: each step that sends something, with its line and what came of it."""

    sent: list[tuple[Step, Line]]
    outcomes: list[list[Told]]

    def events(self, until: Step | None = None) -> list[Told]:
        """Give the events so far, or all of them."""
        outcomes = zip(self.sent, self.outcomes, strict=True)
        before = [told for (step, _), told in outcomes if until is None or step.number < until.number]
        return [told for outcome in before for told in outcome if told.fields["type"] != "dead-letter"]


def play(scenario: Scenario) -> Played:
    """Send every line of a scenario, from nothing."""
    sent: list[tuple[Step, Line]] = []
    by_id: dict[str, Line] = {}

    def place(ledger: str, command: str) -> int | None:
        events = Played(sent, decided(line.text for _, line in sent)).events()
        told = [event for _, event in events if (event["ledger"], event.get("command")) == (ledger, command)]
        return told[0]["sequence"] if told else None

    for step in scenario.steps:
        if not step.asks:
            line = line_of(step, place, by_id)
            sent.append((step, line))
            by_id.setdefault(line.id, line)
    return Played(sent, decided(line.text for _, line in sent))


def decided(lines: Iterable[bytes]) -> list[list[Told]]:
    """Simulate these lines from nothing, and give what comes of each."""
    marked = [line for each in lines for line in (each, MARK)]
    outcomes: list[list[Told]] = [[]]
    for text in asyncio.run(_simulated(marked)):
        told = Told(text, json.loads(text))
        if told.fields["type"] == "dead-letter" and told.fields["line"] % 2 == 0:
            outcomes.append([])
        else:
            outcomes[-1].append(told)
    return outcomes[:-1]


async def _simulated(lines: Sequence[bytes]) -> list[bytes]:
    return [text async for text in simulate(lines, Shard(0, 1))]


def outcome_of(line: Line, told: Sequence[Told]) -> str:
    """Say an outcome in the words of the scenarios."""
    events = [event for _, event in told]
    expired = [event["hold"] for event in events if event["type"] == "hold-expired.v1"]
    own = [_outcome(event) for event in events if event["type"] != "hold-expired.v1"]
    if not events:
        own = ["nothing" if line.tick else "duplicate"]
    return "; ".join([f"expired {','.join(expired)}"] * bool(expired) + own)


def _outcome(event: dict[str, Any]) -> str:
    match event["type"]:
        case "dead-letter":
            return f"dead {event['reason']}"
        case "command-refused.v1":
            return str(event["reason"])
        case _:
            return "ok"


@pytest.mark.parametrize("scenario", [pytest.param(each, id=f"{each.id}: {each.title}") for each in ALL])
def test_scenario(scenario: Scenario) -> None:
    played = play(scenario)

    came = {step.number: outcome_of(line, told) for (step, line), told in zip(*played, strict=True)}
    for step in scenario.steps:
        said = answer(step.words, played.events(until=step)) if step.asks else came[step.number]
        assert said == step.outcome, step.words


@pytest.mark.parametrize("scenario", ALL, ids=lambda each: each.id)
def test_what_must_always_be_so_is_so(scenario: Scenario) -> None:
    played = play(scenario)
    lines = [line.text for _, line in played.sent]
    decisive = [
        line.text
        for (_, line), told in zip(*played, strict=True)
        if told and not line.tick and told[-1].fields["type"] != "dead-letter"
    ]

    again = decided(lines + decisive)

    assert faults(played.events()) == []
    assert again[: len(lines)] == played.outcomes, "the same lines from nothing give the same bytes"
    assert again[len(lines) :] == [[]] * len(decisive), "what had its outcome gives nothing when it is sent once more"


def test_no_scenario_is_left_out() -> None:
    written = sum(
        line.startswith("- id: ") for folder in FOLDERS for path in folder.glob("*.yaml") for line in path.open()
    )

    assert len(ALL) == len({scenario.id for scenario in ALL}) == written
    assert len([scenario for scenario in ALL if scenario.steps]) == written
