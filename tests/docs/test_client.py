"""The snippets of docs/client.md, taken as they are written, one after the other: what they print is what they say."""

import ast
import asyncio
import inspect
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Defter, defter

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
PATIENTLY_S = 60.0

__all__ = ["defter"]


async def test_every_snippet_prints_what_it_says(
    defter: Defter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    defter.start()
    snippets = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    known: dict[str, Any] = {}

    told = [[line async for line in printed(snippet, defter, known, capsys)] for snippet in snippets]

    assert told == [re.findall(r"^\s*print\(.*\)  # (.*)$", snippet, re.MULTILINE) for snippet in snippets]
    assert all(told)
    assert max(len(snippet.splitlines()) for snippet in snippets) < 20
    known["database"].close()


async def printed(
    snippet: str, defter: Defter, known: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[str]:
    here = snippet.replace('"localhost:9092"', f'"{defter.servers}", prefix="{defter.prefix}"')
    assert here != snippet
    code = compile(here, "docs/client.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    capsys.readouterr()
    async with asyncio.timeout(PATIENTLY_S):
        waiting = eval(code, known)  # noqa: S307 - the document is ours
        if inspect.isawaitable(waiting):
            await waiting
    for line in capsys.readouterr().out.splitlines():
        if not re.match(r"\d{4}-\d\d-\d\d ", line):  # the writer's log
            yield line
