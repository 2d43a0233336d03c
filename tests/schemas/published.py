"""The published files, read as a stranger reads them: by a JSON Schema library, with the patterns of ECMAScript."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import regress
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from services.language.messages import MESSAGES

FOLDER: Final = Path(__file__).parents[2] / "schemas" / "published"


def takes(schema: str, message: Any) -> bool:
    """Tell whether the schema of this name takes the message."""
    return bool(_validator(schema).is_valid(message))


@cache
def schema(name: str) -> dict[str, Any]:
    """Read a schema, such as `commands/transfer.v1.json`."""
    read: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return read


@cache
def fits(pattern: str) -> regress.Regex:
    """Read a pattern as JSON Schema says it is read: as ECMAScript's, of Unicode text."""
    return regress.Regex(pattern, "u")


def _pattern(_: Any, pattern: str, message: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(message, str) and fits(pattern).find(message) is None:
        yield ValidationError(f"does not match {pattern}")


_Ecma: Final[Any] = extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]


def _resource(name: str) -> Resource[Any]:
    # The library would take its own reader of patterns wherever a schema names its dialect.
    contents = {key: value for key, value in schema(name).items() if key != "$schema"}
    return Resource.from_contents(contents, default_specification=DRAFT202012)


@cache
def _registry() -> Registry[Any]:
    names = ("command.json", "event.json", *(message.path for message in MESSAGES))
    return Registry[Any]().with_resources((name, _resource(name)) for name in names).crawl()


@cache
def _validator(name: str) -> Any:
    return _Ecma({"$ref": name}, registry=_registry())
