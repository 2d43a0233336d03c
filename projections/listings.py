"""What is asked of the read models about many at once: accounts, holds, sums. As of now, or of any sequence before.

Every question goes along an index; a sum as of then looks at each account once, at its totals of then.
"""

from dataclasses import dataclass
from typing import Final

from projections.checkpoint import wire_time
from projections.questions import LAST, POSTED_AS_OF, Questions


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it stands; `state` is `open`, `frozen` or `closed`."""

    account: str
    version: int
    sequence: int
    account_type: str
    policy: str
    floor: int | None
    flags: list[str]
    book: str | None
    alias: str | None
    state: str


@dataclass(frozen=True, slots=True)
class Held:
    """A hold as it stands. `movements` are (source, destination, unit, amount); `remaining` is what is left of each.

    `state` is `open`, `captured`, `released` or `expired`; `changed` is the sequence of the event that made it so.
    """

    hold: str
    sequence: int
    kind: str
    book: str | None
    expires_at: str | None
    movements: list[tuple[str, str, str, int]]
    remaining: list[int]
    state: str
    changed: int


@dataclass(frozen=True, slots=True)
class Which:
    """Which holds: those that an account gives to or takes from, or all; open ones, or those that `ended`, too.

    They are up to `most`, by id, those whose ids come after `after`, as of a sequence.
    """

    account: str | None = None
    after: str = ""
    most: int = 1000
    as_of: int = LAST
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """One line of a trial balance: what left all accounts in a unit, and what arrived."""

    unit: str
    debits: int
    credits: int

    @property
    def balance(self) -> int:
        """The sum of all balances: zero, or something is very wrong."""
        return self.credits - self.debits


_ACCOUNTS: Final = """
select distinct on (account) account, version, sequence, account_type, policy, floor, flags, book, alias, state
  from {schema}.account_versions
 where ledger = %s and account > %s and sequence <= %s
 order by account, version desc limit %s"""

_HOLDS: Final = """
select hold, holds.sequence, kind, book, {at}, sources, destinations, units, amounts, last.remaining, last.state,
       last.sequence
  from {schema}.holds cross join lateral (
      select sequence, remaining, state from {schema}.hold_changes as change
       where change.ledger = holds.ledger and change.hold = holds.hold and change.sequence <= %(as_of)s
       order by change.sequence desc limit 1
  ) as last
 where holds.ledger = %(ledger)s and hold > %(after)s and (%(ended)s or last.state = 'open')
   -- Those that had ended by then need no second look, and in time they are nearly all.
   and holds.sequence <= %(as_of)s and (%(ended)s or holds.state = 'open' or holds.changed > %(as_of)s)
   and (%(account)s::text is null or %(account)s = any(sources) or %(account)s = any(destinations))
 order by hold limit %(most)s"""

_SUMS: Final = "select unit, debits, credits from {schema}.trial_balance where ledger = %s order by unit"

_SUMS_AS_OF: Final = f"""
select unit, sum(posted.debits)::text, sum(posted.credits)::text
  from {{schema}}.places cross join {POSTED_AS_OF}
 where ledger = %(ledger)s
 group by unit order by unit"""


def accounts(questions: Questions, ledger: str, after: str, most: int, as_of: int = LAST) -> list[Account]:
    """Give up to `most` accounts by name, those whose names come after `after`, each in its last version by then."""
    return [Account(*row) for row in questions.ask(_ACCOUNTS, (ledger, after, as_of, most))]


def holds(questions: Questions, ledger: str, which: Which) -> list[Held]:
    """Give holds by id, as they stood."""
    arguments: dict[str, object] = {"ledger": ledger, "account": which.account, "ended": which.ended}
    arguments |= {"after": which.after, "most": which.most, "as_of": which.as_of}
    rows = questions.ask(_HOLDS, arguments, at=wire_time("expires_at"))
    return [
        Held(hold, sequence, kind, book, expires_at, list(zip(*columns, strict=True)), remaining, state, changed)
        for hold, sequence, kind, book, expires_at, *columns, remaining, state, changed in rows
    ]


def trial_balance(questions: Questions, ledger: str, as_of: int | None = None) -> list[Moved]:
    """Give what left all accounts of a ledger and what arrived, by unit.

    As of now it is what was added up; as of a sequence it is added up from the totals of every account by then.
    """
    if as_of is None:
        rows = questions.ask(_SUMS, (ledger,))
    else:
        rows = questions.ask(_SUMS_AS_OF, {"ledger": ledger, "as_of": as_of})
    return [Moved(unit, int(debits), int(credits_)) for unit, debits, credits_ in rows]
