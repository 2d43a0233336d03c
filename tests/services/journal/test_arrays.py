"""What is put into binary arrays by hand, PostgreSQL reads as it was."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from services.journal import arrays


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database) as connection:
        arrays.register(connection)
        yield connection


LONG = [b"x" * length for length in (2047, 2048, 70_000)]


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [
        (arrays.ints([1, -1, 2**31 - 1]), "int4", [1, -1, 2**31 - 1]),
        (arrays.bigints([1, -1, 2**63 - 1]), "int8", [1, -1, 2**63 - 1]),
        (arrays.bigints_or_null([None, None]), "int8", [None, None]),
        (arrays.bigints_or_null([None, 2**63 - 1, 0]), "int8", [None, 2**63 - 1, 0]),
        (arrays.texts(["", "zażółć"]), "text", ["", "zażółć"]),
        (arrays.byteas([b"", b"\0\xff", *LONG]), "bytea", [b"", b"\0\xff", *LONG]),
        (arrays.ints([]), "int4", []),
        (arrays.bigints([]), "int8", []),
        (arrays.bigints_or_null([]), "int8", []),
        (arrays.texts([]), "text", []),
        (arrays.byteas([]), "bytea", []),
    ],
)  # fmt: skip
def test_a_column_arrives_as_it_was(
    connection: psycopg.Connection, column: arrays.Column, kind: str, values: list[Any]
) -> None:
    row = connection.execute(f"select %b::{kind}[]".encode(), (column,)).fetchone()

    assert row == (values,)


@pytest.mark.parametrize("values", [[], [bytes(16), bytes(range(16))]])
def test_a_column_of_uuids_arrives_as_it_was(connection: psycopg.Connection, values: list[bytes]) -> None:
    row = connection.execute(
        "select array(select uuid_send(value) from unnest(%b::uuid[]) as value)", (arrays.uuids(values),)
    ).fetchone()

    assert row == (values,)
