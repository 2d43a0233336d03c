"""What a DSN says is looked at before anybody connects, and never shown with its password."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from services.dsn import fault, hurried, masked
from services.errors import WrongSetting
from services.journal.connection import parameters
from services.settings import Settings

PASSWORD = "hunter2"


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://defter:{PASSWORD}@db/ledger",
        f"postgresql://defter@db/ledger?password={PASSWORD}",
        f"host=db user=defter password={PASSWORD} sslpassword='{PASSWORD} too'",
        f"host=db password={PASSWORD} nonsense",
    ],
)
def test_a_dsn_is_shown_without_its_passwords(dsn: str) -> None:
    assert PASSWORD not in masked(dsn)


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://defter:p@{PASSWORD}@db:5432/ledger",
        f"postgresql://defter:{PASSWORD}/ab@db:5432/ledger",
        f"postgresql://defter:ab/cd#{PASSWORD}@db:5432/ledger",
        f"postgresql://defter:12/{PASSWORD}@db:5432/ledger",
        f"postgresql://defter@office:{PASSWORD}@db:5432/ledger",
    ],
)
def test_a_password_that_is_not_escaped_is_refused_and_never_shown(dsn: str) -> None:
    with pytest.raises(WrongSetting, match="`@` in a password is `%40`, and `/` is `%2F`") as wrong:
        Settings.read({"DEFTER_DATABASE": dsn})

    assert PASSWORD not in str(wrong.value) + masked(dsn)


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("host=db port=abc", "1 to 65535"),
        ("postgresql://db:70000/ledger", "1 to 65535"),
        ("postgresql://db/ledger?sslmode=zzz", "verify-full"),
        ("host=db target_session_attrs=any,", "read-write"),
        ("postgresql://db-{bogus}/ledger", "{shard}"),
        ("host=db connect_timeout=soon", "seconds"),
    ],
)
def test_what_postgresql_would_not_understand_is_named_with_what_was_expected(dsn: str, expected: str) -> None:
    assert expected in str(fault(dsn))


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://ann%40office:p%40ss%2Fword@db-{shard}:543{shard}/ledger_{shard}?sslmode=verify-full",
        "host=a,b port=5432, user=ann password=p@ss/{word} dbname=ledger",
        "host=/var/run/postgresql dbname=ledger connect_timeout=3",
        "postgresql://[::1]:5432/ledger",
        "service=ledger",
    ],
)
def test_what_may_stand_in_a_dsn_will_do(dsn: str) -> None:
    assert fault(dsn) is None


def test_whoever_is_in_a_hurry_waits_no_longer_to_be_let_in_or_for_a_lock() -> None:
    dsn = "postgresql://ann:p%40ss@db-{shard}/ledger?options=-c%20work_mem%3D64MB"

    in_a_hurry = hurried(dsn, 1.5)

    said = conninfo_to_dict(dsn) | {"connect_timeout": "2", "options": "-c work_mem=64MB -c lock_timeout=1500"}
    assert conninfo_to_dict(in_a_hurry) == said
    assert parameters(in_a_hurry, "test")["connect_timeout"] == 2
    assert parameters(hurried(dsn, 60), "test")["connect_timeout"] == parameters(dsn, "test")["connect_timeout"]
