"""Whether read models say what the journal says, ledger by ledger, as of the sequence that they have come to.

Law: they are read as they are stored, and compared with what was added up from events, not with other read models.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from projections.checkpoint import wire_time
from projections.generations import SHAPE
from services.verify.audit import LINE, Audit, Terms
from services.verify.fault import Check, Fault
from services.verify.moment import Moment
from services.verify.registers import told

# One that is being built is compared by who builds it, and one that is not whole has balances alone.
_GENERATIONS: Final = (
    b"select generation, live from read.generations where shape = %b and built and whole order by generation"
)
_SEQUENCES: Final = "select ledger, sequence from read_{number}.ledgers where shard = %b"

# Each posting of each account and unit, in order, as PostgreSQL keeps an array: the quickest to read.
_LINES: Final = """
select account, unit, array_send(lines)
  from {schema}.places cross join lateral (
      select sequence, lines from {schema}.posting_lines where posting_lines.place = places.place
       order by posting_lines.sequence offset 0
  ) as posted
 where ledger = %s"""
_BALANCES: Final = "select account, unit, debits, credits, held from {schema}.balances where ledger = %s"
_TRIAL_BALANCE: Final = "select unit, debits, credits from {schema}.trial_balance where ledger = %s"
_OUTCOMES: Final = "select first, {at}, commands, kinds from {schema}.outcome_runs where ledger = %s order by first"
_ACCOUNTS: Final = """
select account, version, sequence, account_type, policy, floor, flags, book, alias, state
  from {schema}.account_versions where ledger = %s order by account, version"""

# What never changes again, in the order in which it came.
_LISTS: Final = {
    "units": "select unit, scale, name, sequence from {schema}.units where ledger = %s order by sequence",
    "book_versions": """
select book, version, sequence, name, units, flags, accounts from {schema}.book_versions
 where ledger = %s order by sequence""",
    "refusals": """
select sequence, command_type, reason, details from {schema}.refusals where ledger = %s order by sequence""",
    "hold_changes": """
select sequence, hold, remaining, state from {schema}.hold_changes where ledger = %s order by sequence""",
    "held_lines": """
select sequence, account, unit, held from {schema}.places join {schema}.held_lines using (place)
 where ledger = %s order by sequence, account, unit""",
}

_HOLDS: Final = """
select hold, sequence, kind, book, {expires_at}, sources, destinations, units, amounts, remaining, state, changed
  from {schema}.holds where ledger = %s"""
_ADS: Final = """
select ad, account, base, quote, rate, "limit", taken, state, sequence, changed from {schema}.ads where ledger = %s"""
_TIME: Final = "select {at} from {schema}.ledgers where ledger = %s"
_TIMES: Final = {name: wire_time(name) for name in ("at", "expires_at")}

_HEAD: Final = 28
"""Bytes before the first value of an array of two dimensions."""


class Generation(NamedTuple):
    """A generation of read models, and how far it has come in each ledger."""

    number: int
    live: bool
    sequences: dict[str, int]

    @property
    def schema(self) -> str:
        """Where its tables are."""
        return f"read_{self.number}"

    @property
    def name(self) -> str:
        """How it is told which one it is."""
        return f"generation {self.number}, which is {'live' if self.live else 'not live and kept for --rollback'}"

    @property
    def remedy(self) -> str:
        """The command that ends it when it is wrong: nobody reads one that is not live, and a rebuild leaves it be."""
        return "defter rebuild" if self.live else f"defter rebuild --drop {self.number}"


def generations(reads: Moment, shard: int) -> list[Generation]:
    """Find the generations of read models that this release keeps, and how far they are with a shard."""
    if not reads.rows(b"select 1 where to_regclass('read.generations') is not null"):
        return []
    return [
        Generation(number, live, dict(reads.rows(_SEQUENCES.format(number=number).encode(), (shard,))))
        for number, live in reads.rows(_GENERATIONS, (SHAPE,))
    ]


def compare(reads: Moment, generation: Generation, audit: Audit) -> None:
    """Compare what the read models say of a ledger with what was added up.

    Args:
        reads: where the read models are.
        generation: which ones.
        audit: at the very sequence that they have come to.

    Raises:
        Fault: they say something else. Its sequence is that of the first event that they show otherwise, where that
            can be told.
    """

    def ask(statement: str) -> Iterator[tuple[Any, ...]]:
        return reads.stream(statement.format(schema=generation.schema, **_TIMES).encode(), (audit.ledger,))

    def fault(detail: str) -> Fault:
        told = f"the read models of {generation.name}: {detail}"
        return Fault(Check.READ_MODELS, audit.ledger, audit.sequence, told, generation.remedy)

    for detail in (
        _postings(audit, ask(_LINES)),
        _balances(audit, ask(_BALANCES)),
        _trial_balance(audit, ask(_TRIAL_BALANCE)),
        _outcomes(audit, ask(_OUTCOMES)),
        _accounts(audit, ask(_ACCOUNTS)),
        _holds(audit, ask(_HOLDS)),
        _ads(audit, ask(_ADS)),
        _time(audit, ask(_TIME)),
        *(_list(audit, table, ask(question)) for table, question in _LISTS.items()),
    ):
        if detail:
            raise fault(detail)


def _postings(audit: Audit, rows: Iterator[tuple[Any, ...]]) -> str | None:
    told: dict[tuple[str, str], int] = {}
    for account, unit, lines in rows:
        one = told.get((account, unit), 0)
        for begin in range(_HEAD, len(lines), LINE.size):
            one = hash((one, lines[begin : begin + LINE.size]))
        told[account, unit] = one
    for unit, places in audit.places.items():
        for account, place in places.items():
            if told.pop((account, unit), 0) != place.told:
                return f"the postings of {account} in {unit} are not those of the journal"
    return f"there are postings of {_place(next(iter(told)))}, and the journal has none" if told else None


def _balances(audit: Audit, rows: Iterator[tuple[Any, ...]]) -> str | None:
    found = {(account, unit): said for account, unit, *said in rows}
    for unit, places in audit.places.items():
        for account, place in places.items():
            said, summed = found.pop((account, unit), None), [place.debits, place.credits, place.held]
            if said != summed:
                return f"{account} in {unit} has {_totals(said)}, and the journal says {_totals(summed)}"
    return f"there is a balance of {_place(next(iter(found)))}, and the journal has none" if found else None


def _trial_balance(audit: Audit, rows: Iterator[tuple[Any, ...]]) -> str | None:
    found = {unit: said for unit, *said in rows if any(said)}
    for unit, places in audit.places.items():
        summed = [sum(place.debits for place in places.values()), sum(place.credits for place in places.values())]
        said = found.pop(unit, [0, 0])
        if said != summed:
            return f"the trial balance of {unit} has {_totals(said)}, and the journal says {_totals(summed)}"
    return f"there is a trial balance of {next(iter(found))}, and the journal has none" if found else None


def _outcomes(audit: Audit, rows: Iterator[tuple[Any, ...]]) -> str | None:
    told, last = 0, 0
    for first, at, commands, kinds in rows:
        if first != last + 1:
            return f"the outcomes from {last + 1} to {first - 1} are missing"
        for outcome in zip(commands, kinds, strict=True):
            told = hash((told, at, *outcome))
        last += len(commands)
    return None if told == audit.outcomes else "the outcomes are not those of the journal"


def _accounts(audit: Audit, rows: Iterator[tuple[Any, ...]]) -> str | None:
    found: dict[str, int] = {}
    for account, version, sequence, account_type, policy, floor, flags, *said in rows:
        version_of = (version, sequence, account_type, policy, floor, tuple(flags), *said)
        found[account] = told(found.get(account, 0), version_of)
    others = [
        account
        for account in audit.accounts.keys() | found.keys()
        if found.get(account) != audit.accounts.get(account, Terms()).told
    ]
    return f"the versions of account {min(others)} are not those of the journal" if others else None


def _list(audit: Audit, table: str, rows: Iterator[tuple[Any, ...]]) -> str | None:
    found = 0
    for row in rows:
        found = told(found, _plain(row))
    return None if found == audit.registers.told.get(table, 0) else f"{table} is not what the journal says"


def _holds(audit: Audit, rows: Iterator[tuple[Any, ...]]) -> str | None:
    found = sum(told(0, _plain(row)) for row in rows)
    return None if found == audit.registers.holds() else "the holds are not those of the journal"


def _ads(audit: Audit, rows: Iterator[tuple[Any, ...]]) -> str | None:
    found = {name: tuple(said) for name, *said in rows}
    ads = audit.registers.ads
    others = [name for name in found.keys() | ads.keys() if name not in ads or found.get(name) != ads[name].row()]
    return f"ad {min(others)} is not that of the journal" if others else None


def _time(audit: Audit, rows: Iterator[tuple[Any, ...]]) -> str | None:
    ((at,),) = rows
    return None if at == audit.at else f"the time is {at}, and that of the last event {audit.at}"


def _place(place: tuple[str, str]) -> str:
    account, unit = place
    return f"{account} in {unit}"


def _totals(told: list[Any] | None) -> str:
    """Tell debits, credits and, where there is such, what is held."""
    names = ("debits", "credits", "held")
    return ", ".join(f"{name} {total}" for name, total in zip(names, told, strict=False)) if told else "no balance"


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Give a row with its lists as they were added up."""
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)
