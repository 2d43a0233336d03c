"""What the tests of the services stand on."""

import pytest

from services.migrations import allow_read_models
from services.projector import prepare


@pytest.fixture
def prepared(database: str) -> str:
    """The DSN of a database with empty read models."""
    allow_read_models(database)
    prepare(database)
    return database
