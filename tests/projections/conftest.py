"""A database that holds empty read models."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from projections import generations


@pytest.fixture
def reads(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to read models into which nothing was taken yet."""
    with psycopg.connect(database) as connection:
        generations.prepare(connection)
        connection.commit()
        yield connection
