"""What an error of PostgreSQL means to whoever asked: it is away, or it is not the one expected, or Defter is wrong.

What passes by itself is `Away`: no answer, a restart, a full disk, too many connections, a statement cut short. What
needs a person is `Unexpected`: a login, a database, a role, a table or a right that is not there. Anything else is a
bug and is left as it is, so that it ends the process.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from eventsourcing.persistence import PersistenceError
from psycopg import errors

from services.errors import Away, Unexpected, WrongSetting

SETUP: Final = "run `defter setup`"
LOGIN: Final = "check user, password and database in DEFTER_DATABASE, and the server's pg_hba.conf"
CERTIFICATE: Final = "set sslrootcert in DEFTER_DATABASE to the CA that signed the server's certificate"
ROLE: Final = "grant the user of DEFTER_DATABASE that role, as docs/security.md says"

_NOT_SET_UP: Final = (
    errors.InvalidSchemaName,
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedObject,
    errors.InvalidParameterValue,
    errors.InsufficientPrivilege,
)
_PASSES: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.ReadOnlySqlTransaction,
    errors.IdleInTransactionSessionTimeout,  # this process was suspended inside a transaction
    errors.TransactionTimeout,
)

# A connection that is refused comes without its SQLSTATE, so its words must do. A server that says them in another
# language is waited for instead.
_REFUSED: Final = re.compile(
    r"authentication failed|no pg_hba\.conf entry|no password supplied|is not permitted to log in"
    r"|(role|database) \".*\" does not exist|permission denied for database|not currently accepting connections"
    r"|unrecognized configuration parameter|invalid .* for connection option|invalid .* value"
    r"|but SSL was required|certificate verify failed|does not match host name|root certificate file .*"
)
_CERTIFICATE: Final = re.compile(r"certificate verify failed|does not match host name|root certificate file")


@contextmanager
def understood() -> Iterator[None]:
    """Turn what psycopg raises inside into our own words.

    Raises:
        Away: it passes by itself.
        Unexpected: a person must do something.
    """
    try:
        yield
    except psycopg.Error as error:
        raise meaning(error) from error


def meaning(error: psycopg.Error) -> Exception:
    """Return what to raise for `error`: `Away`, `Unexpected`, or `error` itself, which is then a bug."""
    said = " ".join((error.diag.message_primary or str(error)).split()) or type(error).__name__
    if isinstance(error, errors.InsufficientPrivilege) and "set role" in said:
        return Unexpected(f"PostgreSQL answers: {said}", ROLE)
    if isinstance(error, _NOT_SET_UP):
        return Unexpected(f"PostgreSQL answers: {said}", SETUP)
    if isinstance(error, _PASSES):
        refused = error.sqlstate is None and _REFUSED.search(said)
        remedy = CERTIFICATE if _CERTIFICATE.search(said) else LOGIN
        return Unexpected(f"PostgreSQL answers: {said}", remedy) if refused else Away(f"PostgreSQL: {said}")
    return error


def cause(error: PersistenceError) -> psycopg.Error:
    """Return the error of psycopg that the `eventsourcing` library made `error` of."""
    assert isinstance(error.__cause__, psycopg.Error), f"{error!r} does not come from PostgreSQL"
    return error.__cause__


def malformed() -> WrongSetting:
    """Return the error for a DSN that cannot be read. It does not repeat the DSN, which may hold a password."""
    return WrongSetting(
        "the DSN of the database cannot be read: expected postgresql://user:password@host:port/database, "
        "or key=value pairs"
    )
