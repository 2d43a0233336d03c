"""From the arguments of a command line to a command in the topic, and back to what became of it.

Law: whatever goes wrong on the way, the id has been told, and sending the same again with it is harmless.
"""

import re
from collections.abc import Callable, Sequence
from shlex import quote
from typing import Any

import click
import msgspec
from msgspec.structs import replace

from domain.beginning import UNITS
from schemas.codec import MalformedError, decode_command
from schemas.events import CommandRefused, Event, TransferPosted
from schemas.values import LARGEST
from services.cli import NO, screen
from services.cli.asking import scales_of
from services.cli.options import How
from services.cli.place import here, wait_for, within
from services.cli.telling import because, substance
from services.errors import Away, Unexpected
from services.sending import DEAD_LETTER, REFUSED, Line, Outcome, Place, Sending, line_of, new_id
from services.settings import Settings
from services.setup import check_installation

_Fields = dict[str, Any]


def issue(fields: Sequence[_Fields], how: How, settings: Settings | None = None) -> None:
    """Send commands, wait for what becomes of them, and show it. Exits 1 where an answer is no.

    Args:
        fields: what each says, without id and metadata.
        how: the rest.
        settings: where, if that was found out already.
    """
    settings = settings or here(how.timeout_s)
    if how.command_id and len(fields) > 1:
        raise click.UsageError("--id is for one command, and these are several")
    lines = [_line(each, how) for each in fields]
    try:
        if not how.command_id:
            for line in lines:
                screen.tell(f"id {line.command}")
        places, outcomes = wait_for(_sent(settings, lines, how))
    except KeyboardInterrupt:
        screen.tell(f"interrupted, and it may still be decided: {_again(lines)}")
        raise
    if how.no_wait:
        for line, place in zip(lines, places, strict=True):
            _show_sent(line, place, how)
        return
    for each, outcome in zip(fields, outcomes, strict=True):
        show(outcome, as_json=how.as_json)
        if not how.as_json:
            if outcome.event is not None:
                show_event(outcome.ledger, outcome.event, settings)
            screen.hint(*_next(each, outcome, settings.ledger))
    if not all(outcome.good for outcome in outcomes):
        raise click.exceptions.Exit(NO)


def show(outcome: Outcome, *, as_json: bool, number: int | None = None) -> None:
    """Print what became of a command.

    Args:
        outcome: what.
        as_json: as a reply would say it.
        number: of its line, where there are many.
    """
    if as_json:
        screen.line(said(outcome) | ({} if number is None else {"line": number}))
        return
    line = "" if number is None else f"line {number}, "
    who = f"{line}{outcome.command or 'a message'} in {outcome.ledger}"
    place = "" if outcome.sequence is None else f", event {outcome.sequence}"
    place += ", decided before" if outcome.duplicate else ""
    screen.say(f"{outcome.outcome}: {who}{place}{because(outcome.reason, outcome.details)}")


def show_event(ledger: str, event: Event, settings: Settings | None = None) -> None:
    """Print the postings of a transfer. What other events say is told in a line."""
    if isinstance(event, CommandRefused):
        return
    if not isinstance(event, TransferPosted):
        screen.say(f"  {substance(event, {})}")
        return
    scales = scales_of(settings or here(), ledger, {posting.unit for posting in event.postings})
    rows = []
    for posting in event.postings:
        scale, after = scales.get(posting.unit), int(posting.credits) - int(posting.debits)
        moved = (posting.amount, screen.whole(int(posting.amount), scale), after, screen.whole(after, scale))
        rows.append((posting.account, posting.unit, *moved))
    titles = ("amount", "in whole units", "balance after it", "in whole units")
    screen.table([screen.Column("account"), screen.Column("unit"), *map(screen.amount, titles)], rows)


def said(outcome: Outcome) -> dict[str, Any]:
    """Return what became of a command as `reply.v1` says it; that it is a duplicate, where that is known."""
    found = {
        "command": outcome.command or None,
        "ledger": outcome.ledger,
        "outcome": outcome.outcome,
        "duplicate": outcome.duplicate or None,
        "sequence": outcome.sequence,
        "reason": outcome.reason,
        "details": outcome.details or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def amount(text: str, unit: str, scale: Callable[[], int | None]) -> int:
    """Return an amount of minimal parts.

    Args:
        text: as given: digits.
        unit: what of.
        scale: finds the unit's scale out, where that is to be told.

    Raises:
        click.UsageError: it is no such amount.
    """
    if re.fullmatch(r"[1-9][0-9]{0,18}", text, re.ASCII) and int(text) <= LARGEST:
        return int(text)
    if not {".", ","} & set(text):
        raise click.UsageError(f"{text!r} is no amount: expected digits, 1 to {LARGEST}, minimal parts of {unit}")
    known = UNITS.get(unit)
    known = scale() if known is None else known
    told = "is not known" if known is None else f"is {known}: 1 {unit} is {10**known} parts{_meant(text, unit, known)}"
    raise click.UsageError(f"{text!r} is no amount: amounts are minimal parts, digits only. The scale of {unit} {told}")


def _meant(text: str, unit: str, scale: int) -> str:
    """Say how many parts whole units are, where that is sure and can be moved: `1,000` may be one or a thousand."""
    found = re.fullmatch(r"([0-9]{0,19})(?:\.|,(?![0-9]{3}\Z))([0-9]{0,18})", text, re.ASCII)
    if not found or len(found[2]) > scale:
        return ""
    parts = int("0" + found[1] + found[2].ljust(scale, "0"))
    return f"; {text} {unit} is {parts}" if 1 <= parts <= LARGEST else ""


def _line(fields: _Fields, how: How) -> Line:
    said = {name: value for name, value in fields.items() if value is not None and value != ()}
    said |= {"id": how.command_id or new_id()} | ({"metadata": dict(how.metadata)} if how.metadata else {})
    ledger: str = said["ledger"]
    try:
        value = msgspec.json.encode({"type": said.pop("type")} | said)
        decode_command(value, ledger.encode())
    except UnicodeEncodeError:
        raise click.UsageError(f"this is no {fields['type']}: not all of it is UTF-8") from None
    except MalformedError as error:
        raise click.UsageError(f"this is no {fields['type']}: {error}") from None
    return line_of(value, ledger)


async def _sent(settings: Settings, lines: Sequence[Line], how: How) -> tuple[list[Place], list[Outcome]]:
    installed = await within(how.timeout_s, lambda: check_installation(settings), "PostgreSQL or Kafka")
    sending = Sending(settings, installed.partitions, how.timeout_s)
    try:
        # An id made here is new. Asked before it is sent: of what is decided meanwhile nobody knows who was first.
        known = how.command_id is not None and not how.no_wait and await sending.decided(lines[0])
        places = await sending.send(lines)
        outcomes = [] if how.no_wait else await sending.outcomes(lines, places)
        return places, [replace(each, duplicate=known and each.event is not None) for each in outcomes]
    except Away as away:
        raise Unexpected(str(away), _again(lines)) from away
    finally:
        await sending.close()


def _again(lines: Sequence[Line]) -> str:
    """Say how the same is sent again, so that nothing happens twice."""
    ids = [quote(line.command) for line in lines]
    what = "each of them again by itself, in this order," if ids[1:] else "the same again"
    return f"run {what} with --id {', --id '.join(ids)}: one id has one outcome, for ever"


def _show_sent(line: Line, place: Place, how: How) -> None:
    if how.as_json:
        found = {"command": line.command, "ledger": line.ledger, "outcome": "sent"}
        screen.line(found | {"partition": place.partition, "offset": place.offset})
    else:
        screen.say(f"sent: {line.command} in {line.ledger}, offset {place.offset} of partition {place.partition}")
        screen.hint(f"defter show {quote(line.command)} --ledger {line.ledger}")


def _next(fields: _Fields, outcome: Outcome, default: str) -> list[str]:
    """Say what to try next; of the ledger, where it is not the one that is asked anyway."""
    ledger = "" if outcome.ledger == default else f" --ledger {outcome.ledger}"
    if outcome.outcome in {REFUSED, DEAD_LETTER}:
        return _remedies(outcome, ledger)
    if fields["type"] == "open-ledger.v1":
        return [f"defter open bank --type external{ledger}", f"defter open alice{ledger}"]
    if fields["type"] == "open-account.v1":
        account = quote(fields["account"])
        pays = fields["account_type"] == "external" or account == "bank"
        ends = f"{account} ACCOUNT" if pays else f"bank {account}"
        return [f"defter accounts{ledger}", f"defter transfer {ends} QAZ 10000 --kind deposit{ledger}"]
    destination, command = quote(fields["movements"][0]["destination"]), quote(outcome.command)
    return [f"defter balance {destination}{ledger}", f"defter show {command}{ledger}"]


def _remedies(outcome: Outcome, ledger: str) -> list[str]:
    """Say what helps against a no, where a command does."""
    unit, account = outcome.details.get("unit"), quote(outcome.details.get("account", ""))
    define = f'{{"type":"define-unit.v1","id":"unit-{unit}","ledger":"{outcome.ledger}","unit":"{unit}","scale":2}}'
    helps = {
        "UNKNOWN_LEDGER": f"defter open-ledger {outcome.ledger}",
        "ID_REUSED": f"defter show {quote(outcome.command)}{ledger}",
        "ACCOUNT_NOT_FOUND": f"defter open {'ACCOUNT --alias ' * account.startswith('@')}{account}{ledger}",
        "ACCOUNT_EXISTS": f"defter balance {account}{ledger}",
        "INSUFFICIENT_FUNDS": f"defter balance {account}{ledger}",
        "OVERDRAFT_EXCEEDED": f"defter balance {account}{ledger}",
        "TREASURY_NOT_FOUND": f"defter open treasury --type treasury{ledger}",
        "UNKNOWN_UNIT": f"echo '{define}' | defter send",
    }
    found = helps.get(outcome.reason or "")
    return [found] if found else []
