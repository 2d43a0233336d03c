"""Every file of the published language, by its name."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

from services.language.asyncapi import document
from services.language.examples import examples
from services.language.forms import form
from services.language.messages import MESSAGES, Kind

FOLDERS = (*Kind, "examples")


def files() -> dict[str, str]:
    """Give the text of every file by its name, such as `commands/transfer.v1.json`."""
    told = asyncio.run(examples())
    texts = {message.path: _pretty(form(message)) for message in MESSAGES}
    texts |= {f"examples/{message.path}": told[message.name] + "\n" for message in MESSAGES}
    texts |= {f"{kind.one}.json": _pretty(_any(kind)) for kind in Kind if kind.one}
    return texts | {"asyncapi.json": _pretty(document(told))}


def write(directory: Path) -> None:
    """Write all files, and nothing but them, into the folders of a directory."""
    texts = files()
    for folder in FOLDERS:
        shutil.rmtree(directory / folder, ignore_errors=True)
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _any(kind: Kind) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind.one.title(),
        "description": kind.about,
        "oneOf": [{"$ref": message.path} for message in MESSAGES if message.kind is kind],
    }


def _pretty(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
