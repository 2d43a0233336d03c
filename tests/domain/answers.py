"""What a scenario asks, answered from the events alone; and what must be so of any events whatever."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from domain.clearing import PostingState, clearing
from domain.state import Totals

Fields = dict[str, Any]


class Told(NamedTuple):
    """One event, as it was printed and as it reads."""

    text: bytes
    fields: Fields


def answer(question: str, events: Iterable[Told]) -> str:
    """Answer a question of the scenarios' language."""
    word, *words = question.split()
    ledger = words.pop().removeprefix("ledger=") if words and words[-1].startswith("ledger=") else "main"
    return _ANSWERS[word]([told for told in events if told.fields["ledger"] == ledger], *words)


def totals_of(events: Sequence[Told], account: str, unit: str) -> Totals:
    """Add up the postings and the holds of an account in a unit."""
    totals = Totals()
    for told in events:
        for posting in _postings(told, account, unit):
            amount = int(posting["amount"])
            totals.debits -= min(amount, 0)
            totals.credits += max(amount, 0)
    for hold in _ids_of_holds(events):
        for movement in _remaining(events, hold):
            if (movement["source"], movement["unit"]) == (account, unit):
                totals.held += movement["amount"]
    return totals


def faults(events: Sequence[Told]) -> list[str]:
    """Name whatever must never be, of events in the order in which they were told."""
    found = []
    last: dict[str, Fields] = {}
    totals: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for _, event in events:
        ledger, sequence = event["ledger"], event["sequence"]
        before = last.get(ledger, {"sequence": 0, "at": ""})
        if sequence != before["sequence"] + 1:
            found.append(f"{ledger}: {sequence} follows {before['sequence']}")
        if event["at"] < before["at"]:
            found.append(f"{ledger}: time goes back at {sequence}")
        last[ledger] = event
        sums: dict[str, int] = defaultdict(int)
        for posting in event.get("postings", ()):
            if not all(isinstance(posting[name], str) for name in ("amount", "debits", "credits")):
                found.append(f"{ledger} {sequence}: a number that is no text")
            amount = int(posting["amount"])
            sums[posting["unit"]] += amount
            running = totals[ledger, posting["account"], posting["unit"]]
            running[amount > 0] += abs(amount)
            if [int(posting["debits"]), int(posting["credits"])] != running:
                found.append(f"{ledger} {sequence}: running totals of {posting['account']}")
        found += [f"{ledger} {sequence}: {unit} adds up to {total}" for unit, total in sums.items() if total]
    return found


def _postings(told: Told, account: str, unit: str) -> list[Fields]:
    postings = told.fields.get("postings", ())
    return [posting for posting in postings if (posting["account"], posting["unit"]) == (account, unit)]


def _ids_of_holds(events: Sequence[Told]) -> list[str]:
    return [told.fields["command"] for told in events if told.fields["type"] == "hold-placed.v1"]


def _remaining(events: Sequence[Told], hold: str) -> list[Fields]:
    """Fold the movements of a hold; none when it is over."""
    movements: list[Fields] = []
    for _, event in events:
        if event["type"] == "hold-placed.v1" and event["command"] == hold:
            movements = [movement | {"amount": int(movement["amount"])} for movement in event["movements"]]
        elif event["type"] in {"hold-released.v1", "hold-expired.v1"} and event["hold"] == hold:
            return []
        elif event["type"] == "transfer-posted.v1" and event.get("hold") == hold:
            for taken in _movements(event):
                left = int(taken["amount"])
                for movement in movements:
                    if all(movement[name] == taken[name] for name in ("source", "destination", "unit")):
                        part = min(left, movement["amount"])
                        movement["amount"] -= part
                        left -= part
            if event.get("final"):
                return []
    return [movement for movement in movements if movement["amount"]]


def _movements(event: Fields) -> list[Fields]:
    """Pair the postings of a transfer, or give the movements of a hold as they stand."""
    if "movements" in event:
        movements: list[Fields] = event["movements"]
        return movements
    pairs = zip(event["postings"][::2], event["postings"][1::2], strict=True)
    return [
        {"source": out["account"], "destination": into["account"], "unit": into["unit"], "amount": into["amount"]}
        for out, into in pairs
    ]


def _moves(movements: Iterable[Fields]) -> str:
    names = ("source", "destination", "unit", "amount")
    return "; ".join(" ".join(str(movement[name]) for name in names) for movement in movements) or "none"


def _states(events: Sequence[Told], account: str, unit: str) -> str:
    totals = totals_of(events, account, unit)
    states = []
    for posting in (posting for told in events for posting in _postings(told, account, unit)):
        amount = int(posting["amount"])
        divided = clearing(amount, int(posting["debits"]), int(posting["credits"]), totals)
        some = divided.state is PostingState.ACTIVE and divided.open != abs(amount)
        states.append(f"{amount}:{divided.state}" + (f"({divided.open})" if some else ""))
    return " ".join(states) or "none"


def _account(events: Sequence[Told], account: str, field: str) -> str:
    told = [event for _, event in events if event["type"].startswith("account-") and event.get("account") == account]
    return _shown(told[-1].get(field)) if told else "none"


def _book_version(events: Sequence[Told], book: str) -> str:
    told = [event for _, event in events if event["type"] == "book-defined.v1" and event["book"] == book]
    return _shown(told[-1]["version"]) if told else "none"


def _sum(events: Sequence[Told], unit: str) -> str:
    postings = (posting for _, event in events for posting in event.get("postings", ()))
    return str(sum(int(posting["amount"]) for posting in postings if posting["unit"] == unit))


def _of(events: Sequence[Told], command: str) -> Told:
    return [told for told in events if told.fields.get("command") == command][-1]


def _event(events: Sequence[Told], command: str, path: str) -> str:
    value: Any = _of(events, command).fields
    for name in path.split("."):
        if isinstance(value, list):
            value = value[int(name)] if int(name) < len(value) else None
        else:
            value = None if value is None else value.get(name)
    return _shown(value)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


_ANSWERS: Final[dict[str, Callable[..., str]]] = {
    "bal": lambda events, account, unit: str(totals_of(events, account, unit).balance),
    "avail": lambda events, account, unit: str(totals_of(events, account, unit).available),
    "held": lambda events, account, unit: str(totals_of(events, account, unit).held),
    "debits": lambda events, account, unit: str(totals_of(events, account, unit).debits),
    "credits": lambda events, account, unit: str(totals_of(events, account, unit).credits),
    "postings": _states,
    "version": lambda events, account: _account(events, account, "version"),
    "account": _account,
    "bookversion": _book_version,
    "sum": _sum,
    "seq": lambda events: str(events[-1].fields["sequence"] if events else 0),
    "events": lambda events, tag: str(sum(event["type"] == tag for _, event in events)),
    "event": _event,
    "moves": lambda events, command: _moves(_movements(_of(events, command).fields)),
    "holding": lambda events, hold: _moves(_remaining(events, hold)),
    "bytes": lambda events, command: _of(events, command).text.decode(),
}
QUESTIONS: Final = frozenset(_ANSWERS)
