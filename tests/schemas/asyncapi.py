"""The published AsyncAPI document under the official parser: `python -m tests.schemas.asyncapi`."""

import sys
from pathlib import Path

from tests.node import ASYNCAPI_PARSER, fetched, node

DOCUMENT = Path(__file__).parents[2] / "schemas" / "published" / "asyncapi.json"


def parsed(document: Path = DOCUMENT) -> tuple[int, str]:
    """Give 0 and what the parser found in it, or 1 and what is wrong with it, one fault a line."""
    done = node(Path(__file__).with_suffix(".cjs"), fetched(ASYNCAPI_PARSER), document)
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    code, told = parsed()
    print(told, end="")
    sys.exit(code)
