"""Dead letters as they are shown: in a table, one by one with all that came, and as JSON Lines.

Law: what came from outside is shown so that a terminal only shows it; `--json` has the bytes themselves, as Base64.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from schemas.reasons import DeadReason
from services.cli import screen
from services.cli.issuing import said
from services.cli.screen import Column, amount
from services.cli.telling import because
from services.journal.ports import DeadLetter
from services.journal.redriven import Kept
from services.reading import time_of
from services.redriving import Done, again
from services.sending import Line

_MOST_SHOWN: Final = 4000
"""Characters of a value, on a terminal or in a pipe."""


def table(shown: Sequence[Kept], most: int | None) -> None:
    """Print letters, one a row, and how many of those shown there are of each reason; `most` is how many may be."""
    columns = [Column("place"), Column("at"), Column("reason"), Column("key"), amount("bytes"), Column("sent again")]
    rows = []
    for one in shown:
        letter, to = one.letter, one.redriven[-1:]
        where = f"to {to[0].partition}/{to[0].offset}" if to else "no"
        size = None if letter.value is None else len(letter.value)
        rows.append((one.place, time_of(letter.at_ms), letter.reason, _text(letter.key), size, where, letter.detail))
    if rows:
        screen.table([*columns, Column("detail")], rows)
    pending = Counter(one.letter.reason for one in shown if not one.redriven)
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(pending.items()))
    screen.say(f"{screen.count_of(len(shown), 'dead letter')}, not sent again: {told or 'none'}")
    if len(shown) == most:
        screen.say(f"the last {most}; --count N shows more of them, --all every one")


def show(one: Kept) -> None:
    """Print one letter, with all that came."""
    letter = one.letter
    screen.say(f"dead letter {one.place}, at {time_of(letter.at_ms)}: {letter.reason}")
    screen.say(f"  detail   {letter.detail}")
    screen.say(f"  key      {_shown(letter.key)}")
    for name, value in letter.headers:
        screen.say(f"  header   {name}: {_shown(value)}")
    for to in one.redriven:
        screen.say(f"  sent     again at {to.at}, to {to.partition}/{to.offset}{', corrected' * to.corrected}")
    if not one.redriven:
        would = again(one)
        screen.say(f"  sent     not again; {_would(would)}")
    screen.say(f"  value    {'none' if letter.value is None else f'{len(letter.value)} bytes'}")
    text = _shown(letter.value)
    screen.say(text[:_MOST_SHOWN])
    if len(text) > _MOST_SHOWN:
        screen.say(f"… and {len(text) - _MOST_SHOWN} characters more: --raw has them all")


def line(one: Kept) -> dict[str, Any]:
    """Return a letter as a JSON object, without headers and value."""
    letter = one.letter
    return {
        "type": "dead-letter",
        "partition": one.partition,
        "offset": letter.offset,
        "at": time_of(letter.at_ms),
        "reason": letter.reason,
        "detail": letter.detail,
        "key": _text(letter.key),
        "bytes": None if letter.value is None else len(letter.value),
        "redriven": [to._asdict() for to in one.redriven],
    }


def whole_line(one: Kept) -> dict[str, Any]:
    """Return a letter as a JSON object, with all that came: as text where it is UTF-8, and as Base64."""
    letter = one.letter
    headers = [{"name": name, "value": _text(value), "base64": _base64(value)} for name, value in letter.headers]
    parts = {"key_base64": _base64(letter.key), "value": _text(letter.value), "value_base64": _base64(letter.value)}
    return line(one) | {"headers": headers} | parts


def done(one: Done, *, as_json: bool) -> None:
    """Print what was done with a letter."""
    if as_json:
        screen.line(_done_line(one))
    elif one.why is not None:
        screen.say(f"{one.kept.place}: not sent{because(one.why.reason, {'detail': one.why.detail})}; correct it")
    elif one.to is None:
        to = one.kept.redriven[-1]
        screen.say(f"{one.kept.place}: sent before, to {to.partition}/{to.offset}; --again sends it once more")
    else:
        place = f"{one.kept.place} → {one.to.partition}/{one.to.offset}"
        screen.say(f"{place}: {_became(one)}")


def summary(all_done: Sequence[Done], *, as_json: bool) -> None:
    """Print how many were sent, and what to do next."""
    counts = {
        "sent": sum(one.to is not None for one in all_done),
        "sent_before": sum(one.to is None and one.why is None for one in all_done),
        "not_sent": sum(one.why is not None for one in all_done),
    }
    if as_json:
        screen.line({"type": "summary", **counts})
        return
    screen.say(f"{counts['sent']} sent again, {counts['sent_before']} sent before, {counts['not_sent']} not sent")
    if noes := [one.kept for one in all_done if one.why is not None]:
        hints(noes)
    else:
        screen.hint("defter dead-letters list --pending")


def hints(shown: Sequence[Kept]) -> None:
    """Say what to do next about letters that were not sent again: for each reason, about the last of it."""
    last = {one.letter.reason: one for one in shown if not one.redriven}
    screen.hint(*(command for reason in DeadReason if reason in last for command in _remedies(reason, last[reason])))


def _remedies(reason: DeadReason, one: Kept) -> list[str]:
    match reason:
        case DeadReason.KEY_MISMATCH:
            would = again(one)
            to = would.ledger if isinstance(would, Line) else "the ledger that it is for"
            return [f"defter dead-letters redrive {one.place}   # to {to}, whatever its key"]
        case DeadReason.WRONG_PARTITION:
            return [
                "defter dead-letters redrive --reason WRONG_PARTITION   # and set the producer's partitioner to murmur2"
            ]
        case DeadReason.UNKNOWN_LEDGER:
            would = again(one)
            ledger = would.ledger if isinstance(would, Line) else "NAME"
            return [f"defter open-ledger {ledger}", "defter dead-letters redrive --reason UNKNOWN_LEDGER"]
        case _:
            return [
                f"defter dead-letters show {one.place} --raw > command.json   # correct it; a used id needs another",
                f"defter dead-letters redrive {one.place} --corrected command.json",
            ]


def _done_line(one: Done) -> dict[str, Any]:
    told: dict[str, Any] = {"type": "redriven", "partition": one.kept.partition, "offset": one.kept.letter.offset}
    if one.why is not None:
        return told | {"outcome": "not-sent", "reason": one.why.reason, "details": {"detail": one.why.detail}}
    if one.to is None:
        return told | {"outcome": "sent-before", "to": one.kept.redriven[-1]._asdict()}
    to = {"to": {"partition": one.to.partition, "offset": one.to.offset}}
    return told | to | ({"outcome": "sent"} if one.outcome is None else said(one.outcome))


def _became(one: Done) -> str:
    outcome = one.outcome
    if outcome is None:
        return "sent"
    place = "" if outcome.sequence is None else f", event {outcome.sequence}"
    return f"{outcome.outcome}: {outcome.command} in {outcome.ledger}{place}{because(outcome.reason, outcome.details)}"


def _would(would: Line | DeadLetter) -> str:
    if isinstance(would, Line):
        return f"it would go to the ledger {would.ledger}, as {would.command}"
    return f"as it is it would come back{because(would.reason, {'detail': would.detail})}"


def _text(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None


def _shown(data: bytes | None) -> str:
    return "none" if data is None else data.decode("utf-8", "backslashreplace")


def _base64(data: bytes | None) -> str | None:
    return None if data is None else b64encode(data).decode()
