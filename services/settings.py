"""What an operator may set: environment variables, read once into one frozen struct (SPEC 13).

A wrong value is named together with what was expected. A password is a `Secret`: it shows in no representation, no log
and no error, and is only said where a connection is made. Without `DEFTER_DATABASE` and `DEFTER_KAFKA`, `local` holds,
and the command line fills both in from the local installation (`at`).
"""

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar, get_args

import msgspec
from msgspec import Struct

from services import dsn as dsns
from services.errors import WrongSetting

Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Log = Literal["console", "json"]

_Choice = TypeVar("_Choice", bound=str)

_LEDGER: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{1,150}")
_INSTANCE: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")
_SERVER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s,:@/\[\]]+):(\d{1,5})")


class Secret:
    """A text that shows nowhere by itself.

    >>> f"{Secret('hunter2')} {Secret('hunter2')!r}"
    '*** ***'
    >>> Secret("hunter2").reveal()
    'hunter2'
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def reveal(self) -> str:
        """Return the text itself, for the one place that must say it."""
        return self._text


class Kafka(Struct, frozen=True, kw_only=True):
    """How Kafka is reached, and who we are there. `servers` are `host:port`, separated by commas."""

    servers: str
    security: Security = "plaintext"
    mechanism: Mechanism = "PLAIN"
    user: str | None = None
    password: Secret | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that can be set. `{shard}` in `dsn` and `read_dsn` is filled by `database` and `read_database`."""

    instance: str
    dsn: Secret | None = None
    read_dsn: Secret | None = None
    kafka: Kafka | None = None
    prefix: str = "defter."
    postings: bool = False
    cloudevents: bool = False
    log: Log = "console"
    ledger: str = "main"
    port: int = 0

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings. A variable that is empty counts as not set.

        Raises:
            WrongSetting: a value is not what was expected; the message names the variable, never a password.
        """
        given = {name: value for name, value in environ.items() if name.startswith("DEFTER_") and value}
        dsn, kafka = _dsn(given, "DEFTER_DATABASE"), _kafka(given)
        read_dsn = _dsn(given, "DEFTER_READ_DATABASE")
        if dsn is None and kafka is None:
            _see_that_all_is_used(given)
        return cls(
            instance=_matching(given, "DEFTER_INSTANCE", _host(), _INSTANCE, "letters, digits, '.', '_' and '-'"),
            dsn=dsn,
            read_dsn=read_dsn or dsn,
            kafka=kafka,
            prefix=_matching(given, "DEFTER_PREFIX", "defter.", _PREFIX, "letters, digits, '.', '_' and '-'"),
            postings=_one_of(given, "DEFTER_POSTINGS", "0", ("0", "1")) == "1",
            cloudevents=_one_of(given, "DEFTER_CLOUDEVENTS", "0", ("0", "1")) == "1",
            log=_one_of(given, "DEFTER_LOG", "console", get_args(Log)),
            ledger=_matching(given, "DEFTER_LEDGER", "main", _LEDGER, "a ledger's name, such as main"),
            port=_port(given, "DEFTER_PORT"),
        )

    @property
    def local(self) -> bool:
        """Whether neither database nor Kafka is named, so that the local installation is meant."""
        return self.dsn is None and self.kafka is None

    def at(self, database: str, servers: str) -> "Settings":
        """Return the same settings with this database, for journal and read models, and these plaintext servers."""
        return msgspec.structs.replace(
            self, dsn=Secret(database), read_dsn=Secret(database), kafka=Kafka(servers=servers)
        )

    def hurried(self, timeout_s: float) -> "Settings":
        """Return the same settings, with databases that are given up as `dsn.hurried` says."""
        dsn, read_dsn = (each and Secret(dsns.hurried(each.reveal(), timeout_s)) for each in (self.dsn, self.read_dsn))
        return msgspec.structs.replace(self, dsn=dsn, read_dsn=read_dsn)

    def database(self, shard: int) -> str:
        """Return the DSN of the journal of `shard`, password included. Raises `WrongSetting` where none is set."""
        return _filled(self.dsn, "DEFTER_DATABASE", shard)

    def read_database(self, shard: int) -> str:
        """Return the DSN of the read models of `shard`, password included. Raises `WrongSetting` where none is set."""
        return _filled(self.read_dsn or self.dsn, "DEFTER_READ_DATABASE", shard)

    def brokers(self) -> Kafka:
        """Return how Kafka is reached. Raises `WrongSetting` where it is not set."""
        if self.kafka is None:
            raise WrongSetting("DEFTER_KAFKA is not set; expected bootstrap servers, such as kafka-1:9092,kafka-2:9092")
        return self.kafka


def _filled(dsn: Secret | None, name: str, shard: int) -> str:
    if dsn is None:
        raise WrongSetting(f"{name} is not set; expected a DSN, such as postgresql://user@host:5432/defter")
    return dsn.reveal().replace("{shard}", str(shard))


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:200] or "defter"


def _dsn(given: Mapping[str, str], name: str) -> Secret | None:
    if name not in given:
        return None
    if fault := dsns.fault(given[name]):
        raise WrongSetting(f"{name} {fault}")
    return Secret(given[name])


def _see_that_all_is_used(given: Mapping[str, str]) -> None:
    """See that nothing is said of servers that are not named: the local installation would not be reached so."""
    for name in given:
        if name == "DEFTER_READ_DATABASE" or name.startswith("DEFTER_KAFKA_"):
            raise WrongSetting(
                f"{name} is set, but neither DEFTER_DATABASE nor DEFTER_KAFKA is; expected these two with it, or none "
                "of them, for the local installation"
            )


def _kafka(given: Mapping[str, str]) -> Kafka | None:
    security: Security = _one_of(given, "DEFTER_KAFKA_SECURITY", "plaintext", get_args(Security))
    kafka = Kafka(
        servers=_servers(given, "DEFTER_KAFKA"),
        security=security,
        mechanism=_one_of(given, "DEFTER_KAFKA_SASL_MECHANISM", "PLAIN", get_args(Mechanism)),
        user=given.get("DEFTER_KAFKA_USER"),
        password=Secret(given["DEFTER_KAFKA_PASSWORD"]) if "DEFTER_KAFKA_PASSWORD" in given else None,
        ca=_file(given, "DEFTER_KAFKA_CA"),
        cert=_file(given, "DEFTER_KAFKA_CERT"),
        key=_file(given, "DEFTER_KAFKA_KEY"),
    )
    _agree(given, "sasl" in security, ("DEFTER_KAFKA_USER", "DEFTER_KAFKA_PASSWORD"), needed=True)
    _agree(given, "sasl" in security, ("DEFTER_KAFKA_SASL_MECHANISM",), needed=False)
    _agree(
        given, "ssl" in security.split("_"), ("DEFTER_KAFKA_CA", "DEFTER_KAFKA_CERT", "DEFTER_KAFKA_KEY"), needed=False
    )
    if kafka.key and not kafka.cert:
        raise WrongSetting("DEFTER_KAFKA_KEY is set, but DEFTER_KAFKA_CERT is not; expected both or only the latter")
    return kafka if kafka.servers else None


def _agree(given: Mapping[str, str], used: bool, names: tuple[str, ...], *, needed: bool) -> None:  # noqa: FBT001
    """See that what is said about security is also used: a password that is set and never asked for is a mistake."""
    security = given.get("DEFTER_KAFKA_SECURITY", "plaintext")
    for name in names:
        if name in given and not used:
            raise WrongSetting(f"{name} is set, but DEFTER_KAFKA_SECURITY is {security}, which does not use it")
        if name not in given and used and needed:
            raise WrongSetting(f"{name} is not set; expected it with DEFTER_KAFKA_SECURITY={security}")


def _servers(given: Mapping[str, str], name: str) -> str:
    servers = [server.strip() for server in given.get(name, "").split(",") if server.strip()]
    for place, server in enumerate(servers, 1):
        match = _SERVER.fullmatch(server)
        if match is None or not 0 < int(match[2]) < 2**16:
            # It is not quoted: somebody may have put a password there.
            raise WrongSetting(
                f"{name} is wrong at server {place}; expected host:port, such as kafka-1:9092 (user and password are "
                "DEFTER_KAFKA_USER and DEFTER_KAFKA_PASSWORD)"
            )
    return ",".join(servers)


def _file(given: Mapping[str, str], name: str) -> str | None:
    if name in given and not (Path(given[name]).is_file() and os.access(given[name], os.R_OK)):
        raise WrongSetting(f"{name} is {given[name]!r}; expected a file that can be read")
    return given.get(name)


def _one_of(given: Mapping[str, str], name: str, default: _Choice, choices: tuple[_Choice, ...]) -> _Choice:
    value = given.get(name, default)
    for choice in choices:
        if value == choice:
            return choice
    raise WrongSetting(f"{name} is {value!r}; expected {' or '.join(choices)}")


def _matching(given: Mapping[str, str], name: str, default: str, pattern: re.Pattern[str], expected: str) -> str:
    value = given.get(name, default)
    if not pattern.fullmatch(value):
        raise WrongSetting(f"{name} is {value!r}; expected {expected}")
    return value


def _port(given: Mapping[str, str], name: str) -> int:
    value = given.get(name, "0")
    if not re.fullmatch(r"[0-9]{1,5}", value) or int(value) >= 2**16:
        raise WrongSetting(f"{name} is {value!r}; expected a port, 0 to 65535 (0: none)")
    return int(value)
