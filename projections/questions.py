"""What is asked of the read models of one generation about one account: each question one short way along an index.

An answer is as of a sequence; a balance of now is a balance as of the last one. So there is one way to ask for both.
What is asked about many at once: `projections.listings`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import Cursor

from projections.checkpoint import wire_time
from projections.generations import schema_of

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
class Heading:
    """What stands over an answer: whom it is about, and as of when.

    `schema` is that of the generation that is live; `standing` is how far the ledger has come, None where there is
    none; `as_of` is what was asked for; `account` is empty where there is none, or none was asked for; `scales` are the
    decimal places of the ledger's units.
    """

    schema: str
    standing: Standing | None
    as_of: Standing
    account: str
    scales: dict[str, int]


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
    """Which postings of an account: at most so many, of one unit or all, as of a sequence.

    They are the first that come after the posting `after`, or without it the last.
    """

    most: int
    unit: str | None = None
    after: Place | None = None
    as_of: int = LAST


# All that is to be known before anything else is asked costs one wake-up of both sides instead of one each. An alias is
# that of the account that had it then: else an answer as of a sequence would not be the same for ever.
_HEADING: Final = """
select (select generation from read.generations where live), known.sequence, {known_at}, asked.sequence, {asked_at},
       case when %(party)s::text like '@%%'
            then (select account from {schema}.account_versions as named
                   where ledger = %(ledger)s and alias = %(party)s
                     and version = (select version from {schema}.account_versions as last
                                     where last.ledger = named.ledger and last.account = named.account
                                       and last.sequence <= asked.sequence
                                     order by version desc limit 1))
            else (select account from {schema}.account_versions
                   where ledger = %(ledger)s and account = %(party)s limit 1) end,
       array(select unit from {schema}.units where ledger = %(ledger)s order by unit),
       array(select scale from {schema}.units where ledger = %(ledger)s order by unit)
  from (select) as always
  left join {schema}.ledgers as known on ledger = %(ledger)s
 cross join lateral (
      select case when %(at)s::timestamptz is null then coalesce(%(sequence)s::int8, known.sequence)
                  else least(known.sequence, (select first - 1 from {schema}.outcome_runs
                                               where ledger = %(ledger)s and at > %(at)s
                                               order by at, first limit 1)) end as sequence
 ) as asked
  left join lateral (
      select at from {schema}.outcome_runs
       where ledger = %(ledger)s and first <= asked.sequence order by first desc limit 1
 ) as run on true"""

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

_TOTALS: Final = f"""
  left join {POSTED_AS_OF} on true
  left join lateral (
      select sequence, held from {{schema}}.held_lines
       where held_lines.place = places.place and held_lines.sequence <= %(as_of)s
       order by held_lines.sequence desc limit 1
  ) as reserved on true"""
"""What each of `places` had, up to a sequence."""

_BALANCES: Final = f"""
select unit, coalesce(posted.debits, 0), coalesce(posted.credits, 0), coalesce(reserved.held, 0),
       greatest(posted.sequence, reserved.sequence)
  from {{schema}}.places {_TOTALS}
 where ledger = %(ledger)s and account = %(account)s and coalesce(posted.sequence, reserved.sequence) is not null
 order by unit"""

# Only as many rows of lines are opened as are needed for a page: those before which there are not enough lines yet,
# not counting the first row, none of whose lines may be wanted.
_STATEMENT: Final = """
select line.unit, line.sequence, line.index, line.amount, line.debits, line.credits, {at},
       run.commands[line.sequence - run.first + 1], run.kinds[line.sequence - run.first + 1],
       total_debits, total_credits, total_held, total_sequence
  from (
      select unit, lines[n][1] as sequence, lines[n][2] as index, lines[n][3] as amount, lines[n][4] as debits,
             lines[n][5] as credits, posted.debits as total_debits, posted.credits as total_credits,
             coalesce(reserved.held, 0) as total_held, greatest(posted.sequence, reserved.sequence) as total_sequence
        from {schema}.places {totals}
       cross join lateral (
           select lines,
                  sum(array_length(lines, 1)) over earlier - array_length(lines, 1)
                  - first_value(array_length(lines, 1)) over earlier as before
             from (select sequence, lines from {schema}.posting_lines
                    where posting_lines.place = places.place and posting_lines.sequence >= %(from)s {rows_until}
                    order by posting_lines.sequence {order} limit %(most)s::int8 + 1) as near
           window earlier as (order by sequence {order} rows unbounded preceding)
       ) as opened
       cross join generate_subscripts(lines, 1) as n
       where ledger = %(ledger)s and account = %(account)s and (%(unit)s::text is null or unit = %(unit)s)
         and before < %(most)s and (lines[n][1], lines[n][2]) > (%(from)s, %(index)s) and lines[n][1] <= %(as_of)s
       order by sequence {order}, index {order} limit %(most)s
  ) as line
 cross join lateral (
      select first, at, commands, kinds from {schema}.outcome_runs
       where ledger = %(ledger)s and first <= line.sequence order by first desc limit 1
 ) as run
 order by line.sequence, line.index"""

# The last lines are looked for from the end: the row that holds the last one wanted, and those before it.
_ROWS_UNTIL: Final = """
                      and posting_lines.sequence <= coalesce(
                          (select sequence from {schema}.posting_lines as over
                            where over.place = places.place and over.sequence >= %(as_of)s
                            order by sequence limit 1), %(as_of)s)"""


class Questions:
    """The read models of one generation, to be asked.

    What is asked as of a sequence is answered alike for ever, so it needs no transaction with what was asked before.

    Args:
        cursor: of a connection to the database.
        schema: of the generation, such as `read_1`.
    """

    def __init__(self, cursor: Cursor[Any], schema: str) -> None:
        self.schema = schema
        self._cursor = cursor

    def heading(self, ledger: str, party: str | None = None, as_of: int | str | None = None) -> Heading:
        """Tell what an answer is about.

        Args:
            ledger: which one.
            party: the account, by its name or the alias that it had then.
            as_of: a sequence; or a time, for the last event that is not after it; or whatever is the last.
        """
        sequence, at = (None, as_of) if isinstance(as_of, str) else (as_of, None)
        arguments = {"ledger": ledger, "party": party, "sequence": sequence, "at": at}
        self.ask(_HEADING, arguments, known_at=wire_time("known.at"), asked_at=wire_time("run.at"))
        ((live, last, last_at, asked, asked_at, account, units, scales),) = self._cursor.fetchall()
        standing = None if last is None else Standing(last, last_at)
        then = Standing(asked or 0, asked_at or "")
        return Heading(schema_of(live), standing, then, account or "", dict(zip(units, scales, strict=True)))

    def balances(self, ledger: str, account: str, as_of: int = LAST) -> list[Balance]:
        """Give the totals of an account in each unit that it ever had by then, by unit."""
        self.ask(_BALANCES, {"ledger": ledger, "account": account, "as_of": as_of})
        return [Balance(*row) for row in self._cursor]

    def statement(self, ledger: str, account: str, span: Span) -> list[tuple[Line, Balance]]:
        """Give postings of an account, by its name, in order, each with what the account has in that unit by then."""
        statement, order, after = (_STATEMENT.replace("{rows_until}", _ROWS_UNTIL), "desc", (0, -1))
        if span.after is not None:
            statement, order, after = (_STATEMENT.replace("{rows_until}", ""), "asc", span.after)
        arguments = {"ledger": ledger, "account": account, "unit": span.unit, "most": span.most, "as_of": span.as_of}
        arguments |= {"from": after[0], "index": after[1]}
        self.ask(statement.replace("{totals}", _TOTALS), arguments, at=wire_time("run.at"), order=order)
        return [(Line(*row[:9]), Balance(row[0], *row[9:])) for row in self._cursor]

    def ask(self, statement: str, arguments: Sequence[object] | Mapping[str, object], **said: str) -> Cursor[Any]:
        """Ask in the tables of the generation: `{schema}` in the statement stands for where they are."""
        return self._cursor.execute(statement.format(schema=self.schema, **said), arguments)
