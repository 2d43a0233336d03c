"""`docs/trace.md` names files and functions. Each must be there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TRACE = (ROOT / "docs" / "trace.md").read_text()
FILES = sorted(set(re.findall(r"`((?:schemas|domain|services|projections)/[\w/]+\.py)`", TRACE)))
NAMES = sorted(set(re.findall(r"`(\w+(?:\.\w+)?)`", TRACE)))
SAID = "\n".join(
    file.read_text()
    for package in ("schemas", "domain", "projections", "services")
    for file in ROOT.glob(f"{package}/**/*.py")
)
NO_NAMES = {"ledger", "sequence", "position", "events", "offsets", "main", "defter.commands"}
"""Words of messages and topics."""


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_the_trace_names_is_there(file: str) -> None:
    assert (ROOT / file).is_file()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NO_NAMES])
def test_a_name_that_the_trace_uses_is_defined(name: str) -> None:
    owner, _, member = name.rpartition(".")

    defined = re.search(rf"(?:def|class) {member}\b|^{member}\b.* = |^    {member}: ", SAID, re.MULTILINE)

    assert defined, name
    assert not owner or re.search(rf"class {owner}\b|^(?:from|import) .*\b{owner}\b", SAID, re.MULTILINE), owner
