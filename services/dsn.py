"""What the DSN of a PostgreSQL database says, looked at before anybody connects.

Law: a password shows nowhere. One that holds `@` or `/` as it is makes of its own rest a host, a port or the name of a
database, which errors and `doctor` do show. So what cannot be one of those is refused, and never quoted.
"""

import math
import re
from typing import Final

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_PASSWORDS: Final = ("password", "sslpassword")
_PLACES: Final = ("host", "hostaddr", "dbname")
_CHOICES: Final = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}
_PORTS: Final = re.compile(r"(\d{1,5})?(,(\d{1,5})?)*", re.ASCII)
_SECONDS: Final = re.compile(r"\d{0,9}", re.ASCII)
_LIKE: Final = "postgresql://user@host:5432/defter"


def fault(dsn: str) -> str | None:
    """Return what is wrong with a DSN and what was expected, without repeating any of it; None where it will do.

    >>> fault("postgresql://ann:hunter2@db-{shard}:5432/ledger")
    >>> fault("host=db sslmode=sometimes")
    'has another sslmode than there is; expected disable or allow or prefer or require or verify-ca or verify-full'
    """
    said = _read(dsn.replace("{shard}", "1"))
    if said is None:
        return f"is no DSN; expected something like {_LIKE}"
    port = said.get("port", "")
    if any("@" in said.get(place, "") for place in _PLACES) or not _are_ports(port):
        return (
            "has an `@` in its host or database, or a port that is no number, 1 to 65535; expected something like "
            f"{_LIKE}, where `@` in a password is `%40`, and `/` is `%2F`"
        )
    if any(brace in said.get(place, "") for place in _PLACES for brace in "{}"):
        return "has braces in its host or database; expected none but {shard}"
    for name, choices in _CHOICES.items():
        if said.get(name, choices[0]) not in choices:
            return f"has another {name} than there is; expected {' or '.join(choices)}"
    if not _SECONDS.fullmatch(said.get("connect_timeout", "")):
        return "has a connect_timeout that is no number; expected seconds"
    return None


def masked(dsn: str) -> str:
    """Return a DSN as it may be shown: without its passwords.

    >>> masked("postgresql://defter:hunter2@db:5432/ledger")
    'user=defter password=*** dbname=ledger host=db port=5432'
    """
    said = _read(dsn)
    if said is None or fault(dsn):
        return "a DSN that cannot be read"
    return make_conninfo("", **said | {name: "***" for name in _PASSWORDS if name in said})


def hurried(dsn: str, timeout_s: float) -> str:
    """Return a DSN whose connections give up where nobody lets them in, or a lock is not to be had, for so long.

    What takes long by itself is not cut short. `services.journal.connection` keeps to it.

    >>> hurried("postgresql://db/ledger", 2)
    "dbname=ledger host=db connect_timeout=2 options='-c lock_timeout=2000'"
    """
    said = _read(dsn) or {}
    options = f"{said.get('options', '')} -c lock_timeout={math.ceil(timeout_s * 1000)}".strip()
    return make_conninfo("", **said | {"connect_timeout": str(math.ceil(timeout_s)), "options": options})


def _read(dsn: str) -> dict[str, str] | None:
    try:
        return {name: str(said) for name, said in conninfo_to_dict(dsn).items() if said is not None}
    except ProgrammingError:
        # The library's own message would quote what it could not read, which may be the password.
        return None


def _are_ports(text: str) -> bool:
    return bool(_PORTS.fullmatch(text)) and all(0 < int(port) < 2**16 for port in text.split(",") if port)
