"""Two generations say the same however they came about; where they do not, the first difference is named."""

from typing import Any

import psycopg
import pytest

from projections import generations
from projections.comparing import TABLES, compare, digest, first_difference, rows
from projections.projection import Projection
from tests.projections.stream import SHARD, events, project, stored

Reads = psycopg.Connection[Any]

EDITS = {
    "balances": "update {schema}.posting_lines set lines[array_upper(lines, 1)][5] = 10 ^ 9 where ctid = "
    "(select max(ctid) from {schema}.posting_lines)",
    "postings": "update {schema}.posting_lines set lines[1][3] = lines[1][3] + 1 where ctid = "
    "(select min(ctid) from {schema}.posting_lines where array_length(lines, 1) > 2)",
    "held": "update {schema}.held_lines set held = held + 1 where ctid = (select min(ctid) from {schema}.held_lines)",
    "trial_balance": "update {schema}.trial_balance set debits = debits + 1 where unit = 'RICE'",
    "outcomes": "update {schema}.outcome_runs set commands[1] = 'somebody-else'",
    "accounts": "delete from {schema}.account_versions where version = 2",
    "books": "update {schema}.book_versions set units = '{{QAZ}}'",
    "units": "update {schema}.units set scale = 18",
    "holds": "update {schema}.holds set expires_at = null where expires_at is not null",
    "hold_changes": "delete from {schema}.hold_changes where state = 'captured'",
    "ads": "update {schema}.ads set taken = taken + 1 where taken > 0",
    "ledgers": "update {schema}.ledgers set sequence = sequence + 1",
    "moments": "update {schema}.outcome_runs set at = at + interval '1 ms'",
}


@pytest.fixture
def both(reads: Reads) -> Reads:
    """Read models of all that can happen, twice: in large pages, and in small ones."""
    project(reads, stored(events()), page=600)
    with reads.cursor() as cursor:
        generations.create(cursor, 2)
        generation = generations.find(cursor, 2)
    reads.commit()
    second = Projection(reads, generation, SHARD)
    for start in range(0, len(stored(events())), 41):
        second.fold(stored(events())[start : start + 41])
        second.write()
        second.commit()
    return reads


def test_pages_and_numbers_make_no_difference(both: Reads) -> None:
    found = list(compare(both, "read_1", "read_2"))

    assert [one.table for one in found] == list(TABLES)
    assert all(one.left == one.right and one.difference is None for one in found)
    assert all(one.left.rows == len(list(rows(both, "read_1", one.table))) > 0 for one in found)


def test_an_edited_row_is_found_and_named(both: Reads) -> None:
    assert EDITS.keys() == TABLES.keys()
    for table, edit in EDITS.items():
        before = digest(both, "read_2", table)
        both.commit()
        both.execute(edit.format(schema="read_2").encode())

        difference = first_difference(both, "read_1", "read_2", table)

        assert digest(both, "read_2", table) != before
        assert difference, table
        key = TABLES[table].key
        ours, theirs = ({row[:key]: row for row in rows(both, schema, table)} for schema in ("read_1", "read_2"))
        first = min(row for row in ours.keys() | theirs.keys() if ours.get(row) != theirs.get(row))
        assert (difference.left, difference.right) == (ours.get(first), theirs.get(first)), table
        both.rollback()


def test_a_difference_says_where_it_is_and_what_each_has(both: Reads) -> None:
    both.execute(
        "update read_2.trial_balance set debits = debits + 5 where (ledger, unit) = "
        "(select min(ledger), 'QAZ' from read_2.trial_balance where unit = 'QAZ')"
    )
    found = both.execute("select min(ledger) from read_2.trial_balance where unit = 'QAZ'").fetchone()
    assert found

    said = str(first_difference(both, "read_1", "read_2", "trial_balance"))

    assert said.startswith(f"trial_balance: {found[0]} QAZ has debits ")
    assert " and " in said


def test_a_row_that_one_has_not_is_said_to_be_missing(both: Reads) -> None:
    both.execute("delete from read_2.units where unit = 'RICE'")

    assert str(first_difference(both, "read_1", "read_2", "units")).endswith("RICE is only in the first")
    assert str(first_difference(both, "read_2", "read_1", "units")).endswith("RICE is only in the second")
