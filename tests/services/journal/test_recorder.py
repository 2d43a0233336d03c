"""The `eventsourcing` library's own test cases, on the recorder through which batches go."""

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, cast

import pytest

from services.journal.connection import Connections
from services.journal.recorder import ShardRecorder
from services.migrations import WRITER, migrate

# The cases for ciphers, which nothing here uses, want a library that is not installed for them.
sys.modules.setdefault("eventsourcing.cipher", cast(ModuleType, type("NoCipher", (), {"AESCipher": None})))

from eventsourcing.tests.persistence import (  # noqa: E402
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)


class OnAShard:
    """Gives each case a recorder on a shard of its own."""

    dsn: str
    connections: list[Connections]

    @pytest.fixture(autouse=True)
    def shard(self, database: str) -> Iterator[None]:
        migrate(database, [7])
        self.dsn = database
        self.connections = []
        yield
        for each in self.connections:
            with contextlib.suppress(Exception):
                each.close()

    def create_recorder(self) -> ShardRecorder:
        self.connections.append(Connections(self.dsn, 7, WRITER))
        return ShardRecorder(self.connections[-1], 7)


class TestApplicationRecorder(OnAShard, ApplicationRecorderTestCase[Any]):
    """As shipped, without the optional case for subscriptions, which nothing here uses."""


class TestNonInterleavingNotificationIDs(OnAShard, NonInterleavingNotificationIDsBaseCase):
    insert_num = 5000


# Only what stands on a shard is a case to run.
del ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase
