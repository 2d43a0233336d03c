"""What is asked of the read models of one generation about one account: each question one short way along an index.

An answer is as of a sequence; a balance of now is a balance as of the last one. So there is one way to ask for both.
What is asked about many at once: `projections.listings`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import Cursor

from projections.checkpoint import wire_time

LAST: Final = 2**63 - 1
"""As of whatever the last sequence is."""

Place = tuple[int, int]
"""Sequence and index of a posting."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a ledger has come."""

    sequence: int
    at: str


@dataclass(frozen=True, slots=True)
class Balance:
    """The totals of an account in a unit, in minimal parts. `sequence` is that of the event that changed them last."""

    unit: str
    debits: int
    credits: int
    held: int
    sequence: int

    @property
    def balance(self) -> int:
        """What the account has, or owes when below zero."""
        return self.credits - self.debits

    @property
    def available(self) -> int:
        """What may still be spent."""
        return self.balance - self.held


@dataclass(frozen=True, slots=True)
class Line:
    """One posting of a statement, with the account's totals in that unit after it."""

    unit: str
    sequence: int
    index: int
    amount: int
    debits: int
    credits: int
    at: str
    command: str
    kind: str

    @property
    def id(self) -> str:
        """The name of the posting."""
        return f"{self.sequence}.{self.index}"

    @property
    def balance(self) -> int:
        """The balance after it."""
        return self.credits - self.debits


@dataclass(frozen=True, slots=True)
class Span:
    """Which postings of an account: at most so many, of one unit or all, up to a sequence.

    They are the first that come after the posting `after`, or without it the last.
    """

    most: int
    unit: str | None = None
    after: Place | None = None
    until: int = LAST


_STANDING: Final = "select sequence, {at} from {schema}.ledgers where ledger = %s"

_TIME_OF: Final = """
select {at} from {schema}.moments where ledger = %s and sequence <= %s order by sequence desc limit 1"""

_SEQUENCE_AT: Final = """
select sequence - 1 from {schema}.moments where ledger = %s and at > %s::timestamptz order by at, sequence limit 1"""

_ALIAS: Final = """
select account from {schema}.account_versions as named
 where ledger = %s and alias = %s
   and version = (select version from {schema}.account_versions as last
                   where last.ledger = named.ledger and last.account = named.account order by version desc limit 1)"""

POSTED_AS_OF: Final = """lateral (
    select lines[n][1] as sequence, lines[n][4] as debits, lines[n][5] as credits
      from ((select lines from {schema}.posting_lines as upto
              where upto.place = places.place and upto.sequence <= %(as_of)s order by upto.sequence desc limit 1)
            union all
            (select lines from {schema}.posting_lines as over
              where over.place = places.place and over.sequence > %(as_of)s order by over.sequence limit 1)) as near
     cross join generate_subscripts(lines, 1) as n
     where lines[n][1] <= %(as_of)s
     order by 1 desc, n desc limit 1
) as posted"""
"""The last posting of one of `places`, up to a sequence.

A row of lines ends with its last sequence, so what was so then stands in the last row up to it, or among the first
lines of the row after that.
"""

_BALANCES: Final = f"""
select unit, coalesce(posted.debits, 0), coalesce(posted.credits, 0), coalesce(reserved.held, 0),
       greatest(posted.sequence, reserved.sequence)
  from {{schema}}.places
  left join {POSTED_AS_OF} on true
  left join lateral (
      select sequence, held from {{schema}}.held_lines
       where held_lines.place = places.place and held_lines.sequence <= %(as_of)s
       order by held_lines.sequence desc limit 1
  ) as reserved on true
 where ledger = %(ledger)s and account = %(account)s and coalesce(posted.sequence, reserved.sequence) is not null
 order by unit"""

# Only as many rows of lines are opened as are needed for a page: those before which there are not enough lines yet,
# not counting the first row, none of whose lines may be wanted.
_STATEMENT: Final = """
select line.unit, line.sequence, line.index, line.amount, line.debits, line.credits, {at},
       run.commands[line.sequence - run.first + 1], run.kinds[line.sequence - run.first + 1]
  from (
      select unit, lines[n][1] as sequence, lines[n][2] as index, lines[n][3] as amount, lines[n][4] as debits,
             lines[n][5] as credits
        from {schema}.places
       cross join lateral (
           select lines,
                  sum(array_length(lines, 1)) over earlier - array_length(lines, 1)
                  - first_value(array_length(lines, 1)) over earlier as before
             from (select sequence, lines from {schema}.posting_lines
                    where posting_lines.place = places.place and posting_lines.sequence >= %(from)s {rows_until}
                    order by posting_lines.sequence {order} limit %(most)s + 1) as near
           window earlier as (order by sequence {order} rows unbounded preceding)
       ) as opened
       cross join generate_subscripts(lines, 1) as n
       where ledger = %(ledger)s and account = %(account)s and (%(unit)s::text is null or unit = %(unit)s)
         and before < %(most)s and (lines[n][1], lines[n][2]) > (%(from)s, %(index)s) and lines[n][1] <= %(until)s
       order by sequence {order}, index {order} limit %(most)s
  ) as line
 cross join lateral (
      select first, commands, kinds from {schema}.outcome_runs
       where ledger = %(ledger)s and first <= line.sequence order by first desc limit 1
 ) as run
 cross join lateral (
      select at from {schema}.moments
       where ledger = %(ledger)s and moments.sequence <= line.sequence order by moments.sequence desc limit 1
 ) as moment
 order by line.sequence, line.index"""

# The last lines are looked for from the end: the row that holds the last one wanted, and those before it.
_ROWS_UNTIL: Final = """
                      and posting_lines.sequence <= coalesce(
                          (select sequence from {schema}.posting_lines as over
                            where over.place = places.place and over.sequence >= %(until)s
                            order by sequence limit 1), %(until)s)"""


class Questions:
    """The read models of one generation, to be asked.

    Args:
        cursor: in a transaction that sees one state of the database.
        schema: of the generation, such as `read_1`.
    """

    def __init__(self, cursor: Cursor[Any], schema: str) -> None:
        self._cursor = cursor
        self._schema = schema

    def standing(self, ledger: str) -> Standing | None:
        """Tell how far a ledger has come; None where there is none."""
        self.ask(_STANDING, (ledger,), at=wire_time("at"))
        found = self._cursor.fetchone()
        return None if found is None else Standing(*found)

    def sequence_at(self, ledger: str, at: str) -> int:
        """Give the last sequence whose time is not after `at`; 0 where there is none, `LAST` where nothing is later."""
        self.ask(_SEQUENCE_AT, (ledger, at))
        found = self._cursor.fetchone()
        return LAST if found is None else int(found[0])

    def time_of(self, ledger: str, sequence: int) -> str:
        """Give the time of an event; empty before the first."""
        self.ask(_TIME_OF, (ledger, sequence), at=wire_time("at"))
        found = self._cursor.fetchone()
        return "" if found is None else str(found[0])

    def account(self, ledger: str, party: str) -> str | None:
        """Give the name of an account, by its name or its present alias; None where there is none."""
        if party.startswith("@"):
            self.ask(_ALIAS, (ledger, party))
        else:
            self.ask(
                "select account from {schema}.account_versions where ledger = %s and account = %s limit 1",
                (ledger, party),
            )
        found = self._cursor.fetchone()
        return None if found is None else str(found[0])

    def balances(self, ledger: str, account: str, as_of: int = LAST) -> list[Balance]:
        """Give the totals of an account in each unit that it ever had by then, by unit."""
        self.ask(_BALANCES, {"ledger": ledger, "account": account, "as_of": as_of})
        return [Balance(*row) for row in self._cursor]

    def statement(self, ledger: str, account: str, span: Span) -> list[Line]:
        """Give postings of an account, by its name, in order."""
        statement, order, after = (_STATEMENT.replace("{rows_until}", _ROWS_UNTIL), "desc", (0, -1))
        if span.after is not None:
            statement, order, after = (_STATEMENT.replace("{rows_until}", ""), "asc", span.after)
        arguments = {"ledger": ledger, "account": account, "unit": span.unit, "most": span.most, "until": span.until}
        arguments |= {"from": after[0], "index": after[1]}
        self.ask(statement, arguments, at=wire_time("moment.at"), order=order)
        return [Line(*row) for row in self._cursor]

    def scales(self, ledger: str) -> dict[str, int]:
        """Give the number of decimal places of each unit of a ledger."""
        self.ask("select unit, scale from {schema}.units where ledger = %s", (ledger,))
        return dict(self._cursor.fetchall())

    def ask(self, statement: str, arguments: Sequence[object] | Mapping[str, object], **said: str) -> Cursor[Any]:
        """Ask in the tables of the generation: `{schema}` in the statement stands for where they are."""
        return self._cursor.execute(statement.format(schema=self._schema, **said), arguments)
