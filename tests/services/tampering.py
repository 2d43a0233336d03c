"""What may be done to a journal behind its back, and who finds it."""

from typing import NamedTuple

import psycopg

from services.journal.ports import Row
from services.journal.recorder import ledger_id
from tests.services.past import Past

EVENTS, IDS = "journal.shard_0_events", "journal.shard_0_ids"

# Events to tamper with, each the first of its kind after the opening.
PLAIN = '"kind":"deposit","postings"'
REFUSED = "INSUFFICIENT_FUNDS"
NOTED = '"metadata"'
HELD = "hold-placed"
LAST = "the last one"


class Tampering(NamedTuple):
    """What is done to which event, with `<here>` for its row and `<n>` for its sequence, and who finds it."""

    what: str
    event: str
    statements: tuple[str, ...]
    check: str


def bytes_of(old: str, new: str, event: str, check: str = "seals") -> Tampering:
    """Change bytes of an event."""
    swap = f"convert_to(replace(convert_from(state, 'utf8'), '{old}', '{new}'), 'utf8')"
    return Tampering(
        f"{old} becomes {new}",
        event,
        (f"update {EVENTS} set state = {swap} where <here> and state <> {swap}",),
        check,
    )


def column(name: str, value: str, check: str, event: str = PLAIN) -> Tampering:
    """Change a column of an event's row."""
    return Tampering(f"{name} = {value}", event, (f"update {EVENTS} set {name} = {value} where <here>",), check)


def id_of(change: str, check: str = "ids") -> Tampering:
    """Change the row of an event's id."""
    statement = f"update {IDS} set {change} where originator_id = '<id>' and sequence = <n>"
    return Tampering(f"id: {change}", PLAIN, (statement,), check)


def model(what: str, change: str) -> Tampering:
    """Change a read model."""
    return Tampering(what, PLAIN, (change,), "read models")


PLACE = "(select place from read_1.places where ledger = '<ledger>' and account = 'bob' and unit = 'QAZ')"
POSTED = f"(select max(sequence) from read_1.posting_lines where place = {PLACE})"
A_LINE = f"where place = {PLACE} and sequence = {POSTED}"
PLACES = "(select place from read_1.places where ledger = '<ledger>')"
ONCE_HELD = f"place in {PLACES} and sequence = (select min(sequence) from read_1.held_lines where place in {PLACES})"
OTHER_VIEW = (
    "alter view read_1.balances rename to true_balances",
    """
create view read_1.balances as
select ledger, account, unit, debits + (ledger = '<ledger>')::int as debits, credits, held, balance, available, sequence
  from read_1.true_balances""",
    "grant select on read_1.balances to defter_reader",
)
AS_GOOD = 2**61 - 1
"""Two numbers that differ by this have one hash in Python."""
OF = "originator_id = '<id>'"
SEALED = f"{OF} and sequence = (select min(sequence) from journal.seals where {OF} and sequence >= <n>)"
AFTER_IT = """convert_to(replace(convert_from(state, 'utf8'), '"sequence":<n>', '"sequence":' || <n> + 1), 'utf8')"""
ADDED = f"insert into {EVENTS} select originator_id, <n> + 1, topic, {AFTER_IT} from {EVENTS} where <here>"
TAMPERINGS = [
    bytes_of('"a":"1"', '"a":"2"', NOTED),
    bytes_of(".000Z", ".001Z", PLAIN, "times"),
    bytes_of('"available":"', '"available":"1', REFUSED),
    bytes_of('"command":"c', '"command":"d', PLAIN),
    bytes_of('"amount":"-', '"amount":"-1', PLAIN, "totals"),
    bytes_of('"sequence":', '"sequence":1', PLAIN, "columns"),
    bytes_of('"ledger":"case', '"ledger":"cast', PLAIN, "columns"),
    bytes_of("transfer-posted", "transfer-pasted", PLAIN, "columns"),
    bytes_of('"postings":', '"pastings":', PLAIN, "bytes"),
    column(
        "originator_id",
        "overlay('<id>' placing '00' from 31)::uuid",
        "sequences",
    ),
    column("originator_version", "100000", "sequences"),
    column("topic", "'hold-placed.v1'", "columns"),
    column("notification_id", "notification_id + 100000", "positions"),
    column("state", "'{}'", "columns"),
    Tampering("removed", PLAIN, (f"delete from {EVENTS} where <here>",), "sequences"),
    Tampering("the last removed", LAST, (f"delete from {EVENTS} where <here>",), "seals"),
    Tampering(
        "two swapped",
        PLAIN,
        (
            f"update {EVENTS} set originator_version = 0 where <here>",
            f"update {EVENTS} set originator_version = <n> where {OF} and originator_version = <n> + 1",
            f"update {EVENTS} set originator_version = <n> + 1 where {OF} and originator_version = 0",
        ),
        "columns",
    ),
    Tampering("one added", LAST, (ADDED,), "seals"),
    Tampering("an id removed", PLAIN, (f"delete from {IDS} where originator_id = '<id>' and sequence = <n>",), "ids"),
    Tampering(
        "an id added",
        PLAIN,
        (f"insert into {IDS} values (gen_random_uuid(), gen_random_uuid(), '<id>', <n>, null)",),
        "ids",
    ),
    id_of("key = gen_random_uuid()"),
    id_of("sequence = sequence + 100000"),
    id_of("originator_id = gen_random_uuid()"),
    id_of("reverses = 3"),
    Tampering("a seal changed", PLAIN, (f"update journal.seals set seal = sha256(seal) where {SEALED}",), "seals"),
    model("a balance edited", f"update read_1.posting_lines set lines[array_upper(lines, 1)][5] = 10 {A_LINE}"),
    Tampering("a view that says something else", PLAIN, OTHER_VIEW, "read models"),
    model("the sequence of a posting", f"update read_1.posting_lines set lines[1][1] = lines[1][1] - 1 {A_LINE}"),
    model("the amount of a posting", f"update read_1.posting_lines set lines[1][3] = lines[1][3] + 1 {A_LINE}"),
    model(
        "the amount, with its hash kept",
        f"update read_1.posting_lines set lines[1][3] = lines[1][3] + {AS_GOOD} {A_LINE}",
    ),
    model("a posting removed", f"delete from read_1.posting_lines {A_LINE}"),
    model("what is held", f"insert into read_1.held_lines values ({PLACE}, 1000, 7)"),
    model("a trial balance", "update read_1.trial_balance set debits = debits + 1 where ledger = '<ledger>'"),
    model("an outcome", "update read_1.outcome_runs set commands[1] = 'x' where ledger = '<ledger>' and first = 1"),
    *(
        model(f"{table}: {change}", f"update read_1.{table} set {change} where ledger = '<ledger>'")
        for table, change in {
            "units": "scale = scale + 1",
            "book_versions": "flags = '{}'",
            "refusals": "reason = 'FROZEN'",
            "outcome_runs": "at = at + interval '1 ms'",
            "ledgers": "at = at + interval '1 ms'",
            "holds": "changed = changed + 1",
            "hold_changes": "state = 'released'",
            "ads": "taken = taken + 1",
        }.items()
    ),
    model("a refusal removed", "delete from read_1.refusals where ledger = '<ledger>'"),
    model("a hold removed", "delete from read_1.holds where ledger = '<ledger>'"),
    model("an ad removed", "delete from read_1.ads where ledger = '<ledger>'"),
    model("what was held before", f"update read_1.held_lines set held = held + 1 where {ONCE_HELD}"),
    model("held, with its hash kept", f"update read_1.held_lines set held = held + {AS_GOOD} where {ONCE_HELD}"),
    model(
        "an account", "update read_1.account_versions set flags = '{}' where ledger = '<ledger>' and account = 'alice'"
    ),
]


def event_of(rows: list[Row], ledger: str, tampering: Tampering) -> int:
    """Find the event to tamper with."""
    of_ledger = [row for row in rows if row.ledger == ledger]
    matching = [row for row in of_ledger[13:] if tampering.event.encode() in row.data]
    return of_ledger[-1].sequence if tampering.event == LAST else matching[0].sequence


def tamper(past: Past, ledger: str, sequence: int, tampering: Tampering) -> None:
    """Do what nobody may: as the owner, with the triggers off."""
    id_ = ledger_id(ledger).hex()
    here = f"originator_id = '{id_}' and originator_version = {sequence}"
    with psycopg.connect(past.dsn, autocommit=True) as owner:
        owner.execute("set session_replication_role = replica")
        for table in (EVENTS, IDS, "journal.seals"):
            owner.execute(f"alter table {table} disable trigger append_only".encode())
        for statement in tampering.statements:
            for name, said in {"<here>": here, "<n>": str(sequence), "<id>": id_, "<ledger>": ledger}.items():
                statement = statement.replace(name, said)  # noqa: PLW2901 - the same statement, with one name less
            done = owner.execute(statement.encode())
            assert done.rowcount, f"nothing is done by: {statement}"
