"""What a process says about itself while it works: one line a fact, to stderr, for people or for machines.

Law: a password is never among it. Addresses are shown without theirs, wherever in a line they stand.
"""

import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

from services.settings import Log

_IN_ADDRESS: Final = re.compile(r"(://[^\s:/@]*):[^\s@]*@")
_IN_WORDS: Final = re.compile(r"\b((?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)


def configure(form: Log, process: str) -> None:
    """Say from now on how lines look, and which process they are from.

    Args:
        form: `console`, for people, or `json`, one object a line.
        process: what is running, such as `writer`.
    """
    last: structlog.typing.Processor
    if form == "json":
        last = structlog.processors.JSONRenderer()
    else:
        last = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _masked,
            last,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(process=process)


def without_passwords(text: str) -> str:
    """Return a text in which the passwords of addresses are masked.

    >>> without_passwords("cannot reach postgresql://ann:hunter2@db:5432/x")
    'cannot reach postgresql://ann:***@db:5432/x'
    >>> without_passwords("host=db password='hun ter2' user=ann")
    'host=db password=*** user=ann'
    """
    return _IN_WORDS.sub(r"\1***", _IN_ADDRESS.sub(r"\1:***@", text))


def _masked(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: without_passwords(said) if isinstance(said, str) else said for name, said in line.items()}
