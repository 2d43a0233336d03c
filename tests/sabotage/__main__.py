"""Plants faults one by one, and shows that each turns a test red: `make sabotage`, `python -m tests.sabotage`.

Each is planted in a copy of the project, where only the tests named for it are run. First they are run without any
fault: a test that is red anyway would notice nothing. Words on the command line choose the faults whose names hold
one of them.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.sabotage.fault import ROOT, Fault
from tests.sabotage.faults import FAULTS

COPIED: Final = (
    "schemas",
    "domain",
    "projections",
    "services",
    "clients",
    "docs",
    "tests",
    "pyproject.toml",
    "LICENSE",
)
_GREEN: Final = 0
_RED: Final = 1
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


def main(words: Sequence[str]) -> int:
    """Plant every fault, and tell who noticed.

    Returns:
        1 where nobody noticed one of them, or none is meant; else 0.
    """
    faults = [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]
    if not faults:
        print("no fault's name holds any of these words")
        return 1
    planted = [(fault, fault.planted()) for fault in faults]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="defter-sabotage-") as kept:
        directory = Path(kept)
        print("without a fault …", flush=True)
        _expect_green(directory / "whole", sorted({test for fault in faults for test in fault.tests}))
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            tries = [
                threads.submit(_try, directory / str(number), fault, source)
                for number, (fault, source) in enumerate(planted)
            ]
            noticed = [_told(fault, each.result()) for fault, each in zip(faults, tries, strict=True)]
    print(f"{sum(noticed)} of {len(noticed)} faults turned a test red, in {time.monotonic() - began:.0f} s")
    return 0 if all(noticed) else 1


def _try(copy: Path, fault: Fault, source: str) -> str | None:
    """Plant a fault in a copy; return the test that noticed, or None."""
    _copy(copy)
    (copy / fault.path).write_text(source, encoding="utf-8")
    ran = _run(copy, ["--exitfirst", *fault.tests])
    shutil.rmtree(copy)
    if ran.returncode == _GREEN:
        return None
    red = _FAILED.search(ran.stdout)
    if ran.returncode != _RED or not red:
        raise SystemExit(f"{fault.name}: the tests ended with {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return red[1]


def _told(fault: Fault, test: str | None) -> bool:
    print(f"  {fault.name}\n    {f'red: {test}' if test else 'NOBODY NOTICED: ' + ', '.join(fault.tests)}", flush=True)
    return test is not None


def _expect_green(copy: Path, tests: Iterable[str]) -> None:
    _copy(copy)
    ran = _run(copy, [*tests])
    if ran.returncode != _GREEN:
        raise SystemExit(f"the tests are not green without a fault ({ran.returncode}):\n{ran.stdout}{ran.stderr}")


def _copy(to: Path) -> None:
    """Copy all that the tests need, with links as links. Caches and what is not of the project stay behind."""
    to.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, to / name)


def _run(copy: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run tests in a copy. Of the project, nothing but the copy can be imported there."""
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=copy, env=environment, check=False, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
