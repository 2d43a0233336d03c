"""The worked examples: every command in them is in their file, and every number in them comes of deciding it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from schemas.codec import decode_event
from schemas.events import CommandRefused
from services import processes
from services.cli.screen import whole
from services.cli.telling import because
from services.kafka.topics import Topics, delete
from services.settings import Kafka, Secret, Settings
from services.setup import setup
from services.shard import Shard
from services.simulate import simulate
from tests.domain.scenarios import scenarios
from tests.services.cli.program import Program
from tests.services.stage import Calm

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "docs" / "examples"
SUM: Final = "Σ"

Balances = dict[tuple[str, str], tuple[int, str]]
"""Account and unit to the balance, in minimal parts and in whole units."""


class Example(NamedTuple):
    """One document, with the scenario that it tells."""

    name: str
    last: str
    scenario: str

    @property
    def text(self) -> str:
        """What is written."""
        return (FOLDER / f"{self.name}.md").read_text(encoding="utf-8")

    @property
    def lines(self) -> list[str]:
        """The commands of its file."""
        return (FOLDER / f"{self.name}.jsonl").read_text(encoding="utf-8").splitlines()

    @property
    def balances(self) -> dict[str, Balances]:
        """The tables of balances, by the command that they stand after."""
        found = re.findall(r"^After `(\S+)`:\n\n(.*?)\n\n", self.text, re.MULTILINE | re.DOTALL)
        return {command: _balances(table.splitlines()[2:]) for command, table in found}

    @property
    def refusals(self) -> dict[str, str]:
        """The table of what is refused, by command."""
        return dict(re.findall(r"^\| `(\S+)` \| (.*?) \|$", self.text, re.MULTILINE))

    @property
    def blocks(self) -> dict[str, list[str]]:
        """The lines of what stands in fences, by what it is."""
        found: dict[str, list[str]] = {}
        for kind, block in re.findall(r"^```(\w+)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL):
            found.setdefault(kind, []).extend(block.splitlines())
        return found

    @property
    def prose(self) -> str:
        """What stands in neither a table nor a fence, nor names a file."""
        text = re.sub(r"^```.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)
        return re.sub(r"^\|.*$|\]\(.*?\)|exits with 1", "", text, flags=re.MULTILINE)


EXAMPLES: Final = [Example("exchange", "withdrawal", "examples-01"), Example("shop", "banked", "examples-04")]

each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)


def _balances(rows: Sequence[str]) -> Balances:
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {(account, unit): (int(balance), in_whole) for account, unit, balance, in_whole in cells}


def decided(lines: Sequence[str], ledger: str) -> tuple[Balances, dict[str, CommandRefused]]:
    """Decide commands from nothing, and give the balances, their sums among them, and what was refused."""
    shard = Shard(0, 1)

    async def told() -> list[dict[str, Any]]:
        return [json.loads(text) async for text in simulate([line.encode() for line in lines], shard)]

    events = [decode_event(json.dumps(event).encode()) for event in asyncio.run(told())]
    refused = {event.command or "": event for event in events if isinstance(event, CommandRefused)}
    found: dict[tuple[str, str], int] = {}
    state = shard.ledgers[ledger]
    for unit, places in state.places.items():
        for account, place in places.items():
            found[account, unit] = place.balance
            found[SUM, unit] = found.get((SUM, unit), 0) + place.balance
    shown = {(account, unit): (parts, whole(parts, state.units[unit])) for (account, unit), parts in found.items()}
    return {place: (parts, in_whole or "") for place, (parts, in_whole) in shown.items()}, refused


def until(example: Example, command: str) -> list[str]:
    """Give the commands up to one of them."""
    ids = [json.loads(line)["id"] for line in example.lines]
    return example.lines[: ids.index(command) + 1]


def without_sums(balances: Balances) -> Balances:
    return {place: shown for place, shown in balances.items() if place[0] != SUM}


@each_example
def test_every_command_of_the_file_stands_in_the_document_in_its_order(example: Example) -> None:
    assert example.blocks["json"] == example.lines


@each_example
def test_every_table_shows_all_balances_as_they_stand_after_its_command(example: Example) -> None:
    assert list(example.balances)[-1] == example.last
    for command, shown in example.balances.items():
        balances, refused = decided(until(example, command), example.name)

        assert without_sums(shown) == without_sums(balances), command
        assert refused == {}


@each_example
def test_every_transfer_that_is_posted_has_a_table(example: Example) -> None:
    transfers = [command["id"] for command in map(json.loads, example.lines) if command["type"] == "transfer.v1"]

    assert [*example.balances, *example.refusals] == transfers


@each_example
def test_in_the_end_every_unit_adds_up_to_zero(example: Example) -> None:
    shown = example.balances[example.last]

    assert shown == decided(example.lines, example.name)[0]
    assert {parts for (account, _), (parts, _) in shown.items() if account == SUM} == {0}


@each_example
def test_what_is_refused_is_refused_for_the_reason_that_is_told(example: Example) -> None:
    balances, refused = decided(example.lines, example.name)

    told = {command: because(event.reason, event.details).removeprefix(": ") for command, event in refused.items()}
    assert example.refusals == told
    assert without_sums(balances) == without_sums(example.balances[example.last])


@each_example
def test_every_number_in_the_prose_is_one_of_the_example(example: Example) -> None:
    commands = [json.loads(line) for line in example.lines]
    scales = {command["unit"]: command["scale"] for command in commands if "scale" in command}
    moved = [movement for command in commands for movement in command.get("movements", ())]
    known = {str(scale) for scale in scales.values()}
    known |= {str(whole(movement["amount"], scales[movement["unit"]])) for movement in moved}

    numbers = re.findall(r"\d[\d.,]*\d|\d", example.prose)

    assert numbers
    assert [number for number in numbers if number not in known] == []


@each_example
def test_the_balances_are_those_of_the_scenario_that_the_example_tells(example: Example) -> None:
    (scenario,) = [one for one in scenarios() if one.id == example.scenario]
    asked = [step for step in scenario.steps if step.words.startswith("bal ")]
    names = {"ext": "outside"}
    told = {tuple(step.words.split()[1:]): int(step.outcome) for step in asked}

    shown = example.balances[example.last]

    assert {(names.get(account, account), unit): parts for (account, unit), parts in told.items()} == {
        place: parts for place, (parts, _) in shown.items() if place in {(names.get(a, a), u) for a, u in told}
    }


@each_example
def test_simulating_it_needs_no_server_and_changes_just_what_is_told(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    simulating, _ = (line.split() for line in example.blocks["sh"])

    printed = Program({"XDG_DATA_HOME": str(tmp_path)}).ok(*simulating[1:])

    lines = [json.loads(line) for line in printed.splitlines()]
    changes = {(one["account"], one["unit"]): one["after"] for one in lines if one["type"] == "balance.v1"}
    shown = without_sums(example.balances[example.last])
    assert {place: int(after["balance"]) for place, after in changes.items()} == {
        place: parts for place, (parts, _) in shown.items()
    }


@pytest.fixture
async def program(database: str, kafka: str, prefix: str) -> AsyncIterator[Program]:
    """The program on an installation whose writer and projector are tasks of this process."""
    settings = Settings(instance="test", dsn=Secret(database), kafka=Kafka(servers=kafka), prefix=prefix)
    await setup(settings)
    stop = asyncio.Event()
    works = [asyncio.ensure_future(work(settings, Calm(), stop)) for work in (processes.writer, processes.projector)]
    yield Program({"DEFTER_DATABASE": database, "DEFTER_KAFKA": kafka, "DEFTER_PREFIX": prefix})
    stop.set()
    await asyncio.gather(*works)
    await delete(settings.brokers(), Topics(prefix).all())


async def test_sent_to_an_installation_they_come_to_the_same_balances(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for example in EXAMPLES:
        _, sending = (line.split() for line in example.blocks["sh"])

        done = await asyncio.to_thread(program.run, *sending[1:])

        assert (done.code, f"{len(example.refusals)} refused" in done.stdout) == (1, True), done
        ledger = ("--ledger", example.name, "--min-sequence", str(len(example.lines)))
        for (account, unit), (parts, _) in without_sums(example.balances[example.last]).items():
            found = await asyncio.to_thread(program.json, "balance", account, *ledger)
            assert {one["unit"]: one["balance"] for one in found}[unit] == str(parts)
