"""The commands of a page, who runs them, and running them as they are written.

In a `console` block a command stands after `$ `, and goes on over further lines where its here-document does. What
stands under it is what it prints, `…` for what varies from run to run. Above the block a comment says which test runs
it, `<!-- run by tests/docs/test_clients.py -->`, or why none does, `<!-- not run: … -->`; it holds for the blocks below
too, until the next.
"""

import fnmatch
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENTLY_S: Final = 150
_DONE: Final = "--- ended with"
_MARK: Final = re.compile(r"<!-- ((?:run by|not run:) .*) -->")
_HEREDOC: Final = re.compile(r"<<'?(\w+)'?")


class Block(NamedTuple):
    """What stands in a fence, or is set in by four spaces, which has no `language`.

    Args:
        line: of its first line.
        language: such as `console`.
        mark: the comment that holds for it, without its brackets.
        text: what stands in it.
    """

    line: int
    language: str
    mark: str
    text: str


class Command(NamedTuple):
    """One command of a page.

    Args:
        line: of the page.
        text: as it is typed.
        printed: the lines under it.
    """

    line: int
    text: str
    printed: tuple[str, ...] = ()

    def told(self, lines: Sequence[str]) -> bool:
        """Tell whether these lines are what the page says; a page that says nothing says nothing wrong."""
        return not self.printed or _match("\n".join(lines), "\n".join(self.printed))


class Ran(NamedTuple):
    """A command as it was run."""

    command: Command
    code: int
    lines: tuple[str, ...]


def blocks(page: Path) -> list[Block]:
    """Give everything of a page that is set apart, in order."""
    found: list[Block] = []
    fence, mark = "", ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            fence = "" if fence else line[3:] or "text"
            found += [Block(number + 1, fence, mark, "")] if fence else []
        elif fence:
            found[-1] = found[-1]._replace(text=f"{found[-1].text}{line}\n")
        elif marked := _MARK.fullmatch(line):
            mark = marked[1]
        elif line.startswith("    "):
            found.append(Block(number, "", mark, f"{line[4:]}\n"))
    return found


def commands(page: Path, runner: str = "") -> list[Command]:
    """Give the commands of a page's `console` blocks, in order: all of them, or those that a test runs."""
    return [
        command
        for block in blocks(page)
        if block.language == "console" and (not runner or runner in block.mark)
        for command in typed(block)
    ]


def typed(block: Block) -> list[Command]:
    """Give the commands of a `console` block."""
    found: list[Command] = []
    ends_at = ""
    for number, line in enumerate(block.text.splitlines(), block.line):
        if ends_at:
            found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{line}")
            ends_at = "" if line == ends_at else ends_at
        elif line.startswith("$ "):
            found.append(Command(number, line[2:]))
            ends_at = _heredoc(line)
        elif found:
            found[-1] = found[-1]._replace(printed=(*found[-1].printed, line))
    return found


def run(page: Path, settings: Mapping[str, str], where: Path) -> list[Ran]:
    """Run all commands of a page in one shell, in a copy of what lies beside them.

    Args:
        page: below the root.
        settings: the shell's environment, in place of what the page exports for a reader.
        where: an empty folder.
    """
    shutil.copytree(ROOT / "docs", where / "docs", ignore=shutil.ignore_patterns("node_modules"))
    wanted = [command for command in commands(page) if not command.text.startswith("export DEFTER_")]
    script = "\n".join(f"{{\n{it.text}\n}} </dev/null; printf '\\n{_DONE} %s\\n' $?" for it in wanted)
    printed, complained = _shell(script, settings, where)
    told = re.split(rf"\n{_DONE} (\d+)\n", printed)[:-1]
    print(complained)
    assert len(told) == 2 * len(wanted), complained
    answers = zip(wanted, told[1::2], told[::2], strict=True)
    return [Ran(command, int(code), tuple(text.splitlines())) for command, code, text in answers]


def _shell(script: str, settings: Mapping[str, str], where: Path) -> tuple[str, str]:
    """Give what a script prints and complains of. Where it does not end, all that it started is ended with it."""
    bash, pipe = ["bash", "-c", script], subprocess.PIPE
    with subprocess.Popen(
        bash, env=settings, cwd=where, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as shell:
        try:
            return shell.communicate(timeout=PATIENTLY_S)
        except BaseException:
            os.killpg(shell.pid, signal.SIGKILL)
            raise


def _heredoc(line: str) -> str:
    found = _HEREDOC.search(line)
    return found[1] if found else ""


def _match(text: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(
        text, pattern.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]").replace("…", "*")
    )
