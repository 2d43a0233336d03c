"""Every command and every example of the README and of docs is run by a test, and this says which.

How a page says so is told in CONTRIBUTING.md and read by `tests.docs.pages`. That a test does what it says is its own
matter; here it must be there, and read the page or hold the command.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from services.bench.command import bench
from services.cli import defter
from tests.docs.pages import ROOT, Block, blocks
from tests.schemas.published import takes

PAGES: Final = [
    page
    for folder in ("*.md", "docs/**/*.md", "clients/*/*.md", "schemas/published/*.md")
    for page in sorted(ROOT.glob(folder))
    if "node_modules" not in page.parts and page.name != "CHANGELOG.md"
]
RUN: Final = {"console", "sh", "bash", "shell", "python", "sql"}
"""The languages of blocks that are run."""
PROGRAMS: Final = re.compile(r"(\$ |\S*/)?(defter|make|pip|docker|kafka-\w+|java|node|npm|kcat|psql|pytest|curl) ")
NOT_RUN_BECAUSE: Final = {
    "it installs what the tests run with",
    "it is the check of the code beside the tests",
    "it takes minutes, and tests/services/test_bench.py measures the same in small",
    "needs Docker",
    "needs Kafka's own tools, which the local installation has not",
}
"""The only reasons there are."""

FORMS: Final = ("command.json", "event.json", "replies/reply.v1.json", "postings/posting.v1.json")
"""What a message may be."""

EXAMPLES: Final = ROOT / "docs" / "examples"

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_every_block_that_can_be_run_says_by_which_test(page: Path) -> None:
    silent = [block.line for block in blocks(page) if block.language in RUN and not block.mark]

    assert silent == [], "put a comment above: <!-- run by tests/… -->"


@each_page
def test_a_command_stands_in_a_block_that_is_run_and_nowhere_else(page: Path) -> None:
    elsewhere = [block.line for block in blocks(page) if block.language not in RUN and PROGRAMS.match(block.text)]

    assert elsewhere == [], "put it into a `console` block"


@each_page
def test_the_test_that_is_named_reads_the_page_or_holds_its_commands(page: Path) -> None:
    for block in (block for block in blocks(page) if block.language in RUN):
        if block.mark.startswith("not run: "):
            assert block.mark.removeprefix("not run: ") in NOT_RUN_BECAUSE, block.line
            continue
        runner = ROOT / block.mark.removeprefix("run by ")
        assert runner.is_file(), block.line
        assert runner.name.startswith("test_") or runner == ROOT / ".ci" / "run", block.line
        source = runner.read_text(encoding="utf-8")
        assert page.name in source or page.stem in source or all(line in source for line in lines(block)), block.line


def test_every_file_among_the_examples_is_used_by_a_test_or_by_a_command_of_a_page() -> None:
    told = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    told += [block.text for page in PAGES for block in blocks(page) if block.language in RUN]
    files = (path for path in EXAMPLES.rglob("*.*") if path.suffix != ".md" and "node_modules" not in path.parts)

    unused = [path.name for path in files if not any(path.name in text or named(path) in text for text in told)]

    assert unused == []


def named(path: Path) -> str:
    """Give what names a file that is not named in full: an argument, or what installs."""
    return "npm ci" if path.name.startswith("package") else f'"{path.stem}"'


def lines(block: Block) -> list[str]:
    """Give the commands of a block as they could stand in a script."""
    return [line.removeprefix("$ ").partition(" #")[0].strip() for line in block.text.splitlines()]


def spoken() -> Iterator[tuple[str, str]]:
    """Give where, and what, is said of `defter` and `make` anywhere: in blocks and within sentences."""
    for page in PAGES:
        within = re.findall(r"`((?:defter|make) [^`]*)`", page.read_text(encoding="utf-8"))
        apart = [line for block in blocks(page) if block.language in RUN for line in lines(block)]
        for said in (*within, *(part for line in apart for part in re.split(r" \| | && |; ", line))):
            if said.startswith(("defter ", "make ")):
                yield str(page.relative_to(ROOT)), said


def test_whatever_is_said_of_the_program_it_can_do() -> None:
    said = [(page, text) for page, text in spoken() if text.startswith("defter ")]

    assert len(said) > 30
    assert [(page, text) for page, text in said if not understood(text)] == []


def understood(text: str) -> bool:
    """Tell whether there are such a command and such options."""
    command: click.Command | None = defter
    known = {"--help", "--version"}
    for word in shlex.split(text.replace("…", ""))[1:]:
        if isinstance(command, click.Group) and not word.startswith("-"):
            command = bench if word == "bench" else command.get_command(click.Context(command), word)
            if command is None:
                return False
            known |= {option for parameter in command.params for option in parameter.opts}
        elif word.startswith("--") and word.partition("=")[0] not in known:
            return False
    return True


def test_whatever_is_said_of_make_is_one_of_its_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {*re.findall(r"^([a-z]+):", makefile, re.MULTILINE), ".venv"}

    said = [(page, text) for page, text in spoken() if text.startswith("make ")]

    assert said
    assert [(page, text) for page, text in said if text.split()[1] not in targets] == []


@each_page
def test_a_message_shown_as_json_is_one(page: Path) -> None:
    shown = [line for block in blocks(page) if block.language == "json" for line in block.text.splitlines()]

    for message in (json.loads(line) for line in shown if line.startswith(('{"type"', '{"from_id"'))):
        assert any(takes(form, message) for form in FORMS), message
