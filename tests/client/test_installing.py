"""Installed as a distribution of its own, the client gets along with an application's own packages of any name."""

import json
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from services.kafka.outbox import KafkaOutbox
from services.kafka.ports import Message
from services.kafka.topics import Topics, create, delete
from services.settings import Kafka
from tests.docs.pages import commands

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "clients" / "python"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
THEIRS = ("services", "domain", "projections", "schemas")

APPLICATION = """
import asyncio, json, sys
import services, domain, projections, schemas
from defter_client import Client, TransferBuilder
from defter_client.schemas.events import LedgerOpened

async def main(servers, prefix):
    async with Client.connect(servers, prefix=prefix) as client:
        async for event in client.subscribe("main"):
            return isinstance(event, LedgerOpened)

print(json.dumps({
    "understood": asyncio.run(main(*sys.argv[1:])),
    "transfer": TransferBuilder("1").pay("alice", "bob", "QAZ", 300).encode().decode(),
    "theirs": [module.MINE for module in (services, domain, projections, schemas)],
    "files": {name: getattr(module, "__file__", None) for name, module in sys.modules.items()},
}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel and the source distribution, built with what is pinned, without any index."""
    built = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "hatchling", "build", "--directory", str(built), where=SOURCE)
    return built


@pytest.fixture
async def topics(kafka: str, prefix: str) -> AsyncIterator[Topics]:
    topics = Topics(prefix)
    await create(Kafka(servers=kafka), topics, 1)
    yield topics
    await delete(Kafka(servers=kafka), topics.all())


async def test_installed_as_the_guide_says_beside_packages_of_the_same_names_both_find_their_own(
    tmp_path: Path, kafka: str, topics: Topics
) -> None:
    outbox = KafkaOutbox(Kafka(servers=kafka), topics.events, 0)
    text = b'{"type":"ledger-opened.v1","ledger":"main","sequence":1,"at":"2026-11-21T09:30:00.125Z","command":"1"}'
    await outbox.send([Message(b"main", text, [])])
    await outbox.close()
    python = environment(tmp_path / "venv")
    (command,) = [command.text.removeprefix("pip ") for command in commands(ROOT / "docs" / "client.md")]
    offline = ("--no-index", "--no-deps", "--no-build-isolation")
    run(*PIP, "--python", str(python), *command.split(), *offline, where=ROOT)
    for name in THEIRS:
        (tmp_path / "app" / name).mkdir(parents=True)
        (tmp_path / "app" / name / "__init__.py").write_text(f"MINE = {name!r}")
    (tmp_path / "app" / "main.py").write_text(APPLICATION)

    told = json.loads(run(str(python), "main.py", kafka, topics.prefix, where=tmp_path / "app"))

    assert told["understood"]
    assert told["theirs"] == list(THEIRS)
    assert json.loads(told["transfer"])["movements"][0]["amount"] == 300
    ours = {name: file for name, file in told["files"].items() if name.split(".")[0] in {"defter_client", *THEIRS}}
    assert all(file.startswith(str(tmp_path)) for file in ours.values()), ours
    assert len([name for name in ours if name.endswith("schemas.values")]) == 1


def test_the_published_language_is_in_it_once_and_the_same_from_source(built: Path, tmp_path: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    run("tar", "-xzf", str(source), where=tmp_path)
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", where=next(tmp_path.iterdir()))

    names = ZipFile(wheel(built)).namelist()

    modules = {path.name for path in (ROOT / "schemas").glob("*.py")}
    assert {Path(name).name for name in names if "/schemas/" in name} == modules
    assert {name.split("/")[0].split("-")[0] for name in names} == {"defter_client"}
    assert len(names) == len(set(names))
    assert "defter_client/py.typed" in names
    assert contents(wheel(next(tmp_path.iterdir()) / "dist")) == contents(wheel(built))
    assert (SOURCE / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def environment(where: Path) -> Path:
    """Make an environment that has the client's dependencies, but nothing of this checkout."""
    run(sys.executable, "-m", "venv", "--without-pip", str(where))
    python = where / "bin" / "python"
    site = run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # Of a folder that a .pth names, the .pth files are not read: the one by which this checkout is installed is not.
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python


def wheel(where: Path) -> Path:
    (found,) = where.glob("*.whl")
    return found


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def run(*command: str, where: Path | None = None) -> str:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
