"""What may be said about a measurement, and what comes of one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

Result = dict[str, Any]
"""What one run of a figure came to: names and numbers, as `--json` shows them."""


class Options(Struct, frozen=True, kw_only=True):
    """How much is measured, and how often. Not every figure asks for everything."""

    transfers: int = 500_000
    accounts: int = 10_000
    rate: int = 1000
    seconds: float = 20.0
    repeat: int = 3
    books: bool = False
    partitions: int = 1
    writers: int = 1
    replies: bool = False
    postings: bool = False
    profiles: Mapping[str, Path] = {}
