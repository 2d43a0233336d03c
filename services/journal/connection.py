"""Connections to PostgreSQL as the journal wants them: quick to notice a lost host, held to one role, one a thread.

A connection never outlives an error: whatever went wrong on it, the next call has a new one. So no state is ever left
over from a failed transaction.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from services.errors import Away
from services.journal import answers, arrays
from services.migrations import check

Connection = psycopg.Connection[dict[str, Any]]

_CONNECT_TIMEOUT_S: Final = 5
_SESSION: Final = {
    # A stopped process must not hold the row of its shard, and a lost host must give up its locks and be given up
    # within 10 s.
    "idle_in_transaction_session_timeout": "3s",
    "statement_timeout": "30s",
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "9000",
    "default_transaction_isolation": r"read\ committed",
    # A time means the same whatever the server or the login is set to.
    "timezone": "UTC",
    "datestyle": "ISO",
    # Every statement of the journal is a short way along an index, whatever the planner has (not yet) counted.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "jit": "off",
}

_DURABLE: Final = """
select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'"""


def parameters(dsn: str, name: str) -> dict[str, Any]:
    """Return the arguments for `psycopg.connect`: what the DSN says, and how the journal wants it.

    Args:
        dsn: the database.
        name: what `pg_stat_activity` shows, such as `defter-writer-0`.

    Raises:
        WrongSetting: the DSN cannot be read.
    """
    try:
        said = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise answers.malformed() from None
    wanted = " ".join(f"-c {setting}={value}" for setting, value in _SESSION.items())
    return said | {
        "application_name": name,
        # 0 would be for ever. A command that is in a hurry says less (`services.dsn`).
        "connect_timeout": min(int(said.get("connect_timeout") or 0) or _CONNECT_TIMEOUT_S, _CONNECT_TIMEOUT_S),
        "keepalives": 1,
        "keepalives_idle": 3,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 9000,
        "client_encoding": "utf8",
        "options": f"{said.get('options') or ''} {wanted}".strip(),
    }


def hang_up(connection: psycopg.BaseConnection[Any]) -> None:
    """Break a connection, whoever is waiting on it: there it fails at once. Never waits."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=connection.fileno()) as wire:
        try:
            wire.shutdown(socket.SHUT_RDWR)
        finally:
            wire.detach()


class Connections:
    """One connection for each thread that asks, made when it asks.

    Args:
        dsn: the database.
        shard: the shard that must live in it.
        role: the role taken after connecting, such as `defter_writer`.
    """

    def __init__(self, dsn: str, shard: int, role: str) -> None:
        self._parameters = parameters(dsn, f"{role.replace('_', '-')}-{shard}")
        self._shard = shard
        self._role = role
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._open: set[Connection] = set()
        self._closed = False

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend this thread its connection, in autocommit.

        Raises:
            Away: PostgreSQL does not answer.
            Unexpected: the login, the role or the schema is not the one expected.
        """
        connection: Connection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._connect()
        try:
            yield connection
        except BaseException:
            self.let_go()
            raise

    def let_go(self) -> None:
        """Close the connection of this thread, if it has one."""
        connection: Connection | None = getattr(self._mine, "connection", None)
        if connection is not None:
            del self._mine.connection
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def cut(self) -> None:
        """Break every connection, whoever is waiting on it, and make no more. Never waits."""
        with self._lock:
            self._closed = True
            for connection in self._open:
                hang_up(connection)

    def open(self, wait: object = None, timeout: object = None) -> None:
        """Do nothing: the `eventsourcing` library opens its pool before each use, and this takes the pool's place."""

    def close(self) -> None:
        """Do as `cut`: the library's word for it."""
        self.cut()

    def _connect(self) -> Connection:
        if self._closed:
            raise Away("the journal is closed")
        with answers.understood():
            connection: Connection = psycopg.connect(**self._parameters, autocommit=True, row_factory=dict_row)
        with self._lock:
            self._open.add(connection)
        self._mine.connection = connection
        try:
            self._prepare(connection)
        except BaseException:
            self.let_go()
            raise
        return connection

    def _prepare(self, connection: Connection) -> None:
        if self._closed:
            raise Away("the journal is closed")
        arrays.register(connection)
        with answers.understood():
            connection.execute("select set_config('role', %s, false)", (self._role,))
            # A server may be set to answer COMMIT before it is durable. The journal never is.
            connection.execute(_DURABLE)
            check(connection, self._shard)
