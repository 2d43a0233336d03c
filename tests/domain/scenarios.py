"""The language of the scenarios: what a step says, as the line that is sent.

`tests/vectors/README.md` is its grammar. Who plays a scenario (`tests.domain.test_vectors`) sends the lines and
compares the outcomes; what a step asks is answered in `tests.domain.answers`.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from tests.domain.answers import QUESTIONS

FOLDERS: Final = (Path(__file__).parents[1] / "vectors", Path(__file__).parents[1] / "scenarios")

Fields = dict[str, Any]
Place = Callable[[str, str], int | None]
"""Ledger and command id to the sequence of the command's event; None where there is none."""


class Step(NamedTuple):
    """One line of a scenario: what is said or asked, and what comes of it."""

    number: int
    words: str
    outcome: str

    @property
    def asks(self) -> bool:
        """Whether it is a question."""
        return self.words.split()[0] in QUESTIONS


class Scenario(NamedTuple):
    """A small story. Its set-up stands before its steps, each to be accepted."""

    id: str
    title: str
    steps: tuple[Step, ...]


def scenarios() -> Iterator[Scenario]:
    """Read every scenario of every file."""
    for folder in FOLDERS:
        for path in sorted(folder.glob("*.yaml")):
            # Every value as text: `NO` and `1` are names as good as any.
            for story in yaml.load(path.read_text(), Loader=yaml.BaseLoader):  # noqa: S506 - it makes nothing but text
                yield Scenario(story["id"], story["title"], tuple(_steps(story)))


def _steps(story: Fields) -> Iterator[Step]:
    before = [] if story.get("bare") == "true" else ["ledger"]
    before += [f"unit {unit}" for unit in story.get("units", [])]
    before += [f"open {account} {said}" for account, said in (story.get("accounts") or {}).items()]
    before += [f"book {book} {said}" for book, said in (story.get("books") or {}).items()]
    for number, words in enumerate(before, start=1):
        yield Step(number - len(before), f"{words} id=setup-{number}", "ok")
    for number, step in enumerate(story["steps"], start=1):
        words, _, outcome = step.rpartition(" => ") if step.startswith("json ") else step.partition(" => ")
        yield Step(number, words, outcome)


class Line(NamedTuple):
    """What a step sends, and what its outcome is known by."""

    text: bytes
    ledger: str
    id: str
    tick: bool = False


def line_of(step: Step, place: Place, sent: dict[str, Line]) -> Line:
    """Write the line of a step.

    Args:
        step: says a command.
        place: finds what an envelope consumes.
        sent: the lines of the commands so far, by id.
    """
    word, _, rest = step.words.partition(" ")
    if word == "again":
        return sent[rest]
    if word == "json":
        return Line(rest.encode(), *_named(rest))
    fields = command(step, place)
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    return Line(text, fields.get("ledger", "main"), fields["id"], tick=word == "tick")


def _named(text: str) -> tuple[str, str]:
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return "main", ""
    return fields.get("ledger") or "main", fields.get("id") or fields.get("idempotency_key") or ""


def command(step: Step, place: Place) -> Fields:
    """Give the fields of the command that a step says; those that it does not say are left out."""
    braces = re.search(r"\{(.*)\}", step.words)
    movements = [_movement(*movement.split()) for movement in braces[1].split(";")] if braces else []
    tokens = (step.words[: braces.start()] + step.words[braces.end() :] if braces else step.words).split()
    words = [token for token in tokens if not _SAID.match(token)]
    said = dict(token.split("=", 1) for token in tokens if _SAID.match(token))
    ledger = said.get("ledger", "main")
    fields: Fields = {"id": f"s{step.number}"}
    for key, text in said.items():
        if key == "consume":
            fields["consumes"] = [_posting(posting, ledger, place) for posting in _names(text)]
        elif key in _PINS and words[0] != "exchange" and (words[0] != "env" or key != "versions"):
            _pin(fields, key, text)
        else:
            name, read = _FIELDS[key]
            fields[name] = None if text == "null" and words[0] == "update" else read(text)
    return {"type": "", **_COMMANDS[words[0]](words[1:], movements), **fields}


_SAID: Final = re.compile(r"[a-z_]+=")
_PINS: Final = ("versions", "at_least", "at_most")


def _number(text: str) -> int | str:
    return int(text) if re.fullmatch(r"0|-?[1-9][0-9]*", text) else text


def _names(text: str) -> list[str]:
    return text.split(",") if text else []


def _moment(text: str) -> str:
    if not re.fullmatch(r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3})?", text):
        return text
    seconds, _, fraction = text.partition(".")
    return f"2026-01-01T{seconds}.{fraction or '000'}Z"


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(":", 1) for pair in _names(text))


def _versions(text: str) -> dict[str, int | str]:
    return {account: _number(version) for account, _, version in (pin.rpartition(":") for pin in _names(text))}


def _amounts(text: str) -> list[Fields]:
    places = (place.rsplit(":", 2) for place in _names(text))
    return [{"account": account, "unit": unit, "amount": _number(amount)} for account, unit, amount in places]


def _pin(fields: Fields, key: str, text: str) -> None:
    expect = fields.setdefault("expect", {})
    if key == "versions":
        expect["versions"] = _versions(text)
        return
    pins = [{"account": pin["account"], "unit": pin["unit"], key: pin["amount"]} for pin in _amounts(text)]
    others = expect.get("balances", [])
    expect["balances"] = pins + others if key == "at_least" else others + pins


def _posting(text: str, ledger: str, place: Place) -> str:
    command_id, _, index = text.rpartition(".")
    sequence = place(ledger, command_id)
    return text if sequence is None else f"{sequence}.{index}"


def _movement(source: str, destination: str, unit: str, amount: str) -> Fields:
    return {"source": source, "destination": destination, "unit": unit, "amount": _number(amount)}


_FIELDS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "id": ("id", str),
    "ledger": ("ledger", str),
    "at": ("at", _moment),
    "meta": ("metadata", _pairs),
    "scale": ("scale", _number),
    "name": ("name", str),
    "policies": ("policies", _names),
    "singleton": ("singleton", lambda text: text == "true"),
    "from": ("source_types", _names),
    "to": ("destination_types", _names),
    "units": ("units", _names),
    "flags": ("flags", _names),
    "accounts": ("accounts", _names),
    "version": ("expected_version", _number),
    "policy": ("policy", str),
    "floor": ("floor", _number),
    "book": ("book", str),
    "alias": ("alias", str),
    "kind": ("kind", str),
    "fee": ("fee", _number),
    "effective": ("effective_at", _moment),
    "expires": ("expires_at", _moment),
    "final": ("final", lambda text: text == "true"),
    "limit": ("limit", _number),
    "at_least": ("at_least", _number),
    "create": ("creates", _amounts),
    "versions": ("versions", _versions),
}

Words = list[str]
Movements = list[Fields]


def _plain(tag: str, *names: str) -> Callable[[Words, Movements], Fields]:
    """Make a command whose words are these fields, in order."""
    return lambda words, _: {"type": tag, **dict(zip(names, words, strict=False))}


def _transfer(kind: str | None, order: str) -> Callable[[Words, Movements], Fields]:
    """Make a transfer of one movement, whose words come in this order."""

    def make(words: Words, _: Movements) -> Fields:
        said = dict(zip(order, words, strict=True))
        movement = _movement(said["S"], said["D"], said["U"], said["N"])
        return {"type": "transfer.v1", **({"kind": kind} if kind else {}), "movements": [movement]}

    return make


def _parts(tag: str, name: str) -> Callable[[Words, Movements], Fields]:
    """Make a command that names an earlier one, and may name parts of it."""
    return lambda words, movements: {"type": tag, name: words[0], **({"movements": movements} if movements else {})}


def _exchange(words: Words, _: Movements) -> Fields:
    source, destination, sell, amount, buy = words
    named = {"source": source, "destination": destination, "sell": sell, "amount": _number(amount), "buy": buy}
    return {"type": "exchange.v1", **named}


_COMMANDS: Final[dict[str, Callable[[Words, Movements], Fields]]] = {
    "ledger": _plain("open-ledger.v1", "ledger"),
    "unit": lambda words, _: {"type": "define-unit.v1", "unit": words[0], "scale": 2},
    "type": _plain("define-account-type.v1", "account_type"),
    "kind": _plain("define-transfer-kind.v1", "kind"),
    "book": _plain("define-book.v1", "book"),
    "open": _plain("open-account.v1", "account", "account_type"),
    "update": _plain("update-account.v1", "account"),
    "freeze": _plain("freeze-account.v1", "account"),
    "unfreeze": _plain("unfreeze-account.v1", "account"),
    "close": _plain("close-account.v1", "account"),
    "pay": _transfer(None, "SDUN"),
    "dep": _transfer("deposit", "DUNS"),
    "wd": _transfer("withdrawal", "SUND"),
    "mint": _transfer("mint", "SDUN"),
    "tx": lambda _, movements: {"type": "transfer.v1", "movements": movements},
    "env": lambda _words, _movements: {"type": "commit-envelope.v1", "consumes": [], "creates": []},
    "hold": lambda _, movements: {"type": "place-hold.v1", "movements": movements},
    "capture": _parts("capture-hold.v1", "hold"),
    "release": _plain("release-hold.v1", "hold"),
    "reverse": _parts("reverse-transfer.v1", "transfer"),
    "ad": _plain("post-ad.v1", "ad", "account", "base", "quote", "rate"),
    "unad": _plain("withdraw-ad.v1", "ad"),
    "exchange": _exchange,
    "tick": _plain("tick.v1"),
}
