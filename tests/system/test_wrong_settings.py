"""A wrong setting is named, with what was expected, and exits 2. What does not answer is waited for, not for ever."""

from pathlib import Path

import pytest

from services.dev import Addresses, ports
from tests.services.cli.program import Program

NOT_EXPECTED = 3
WRONG_SETTING = 2


@pytest.mark.parametrize("missing", ["DEFTER_DATABASE", "DEFTER_KAFKA"])
def test_one_command_waits_for_what_does_not_answer_but_not_for_ever(installation: Addresses, missing: str) -> None:
    nobody = {"DEFTER_DATABASE": f"postgresql://u:hunter2@127.0.0.1:{ports.pick()}/d"}
    nobody["DEFTER_KAFKA"] = f"127.0.0.1:{ports.pick()}"
    settings = {"DEFTER_DATABASE": installation.database, "DEFTER_KAFKA": installation.kafka, missing: nobody[missing]}

    done = Program(settings).run("setup", "--timeout", "1")

    assert done.code == NOT_EXPECTED
    assert {"DEFTER_DATABASE": "PostgreSQL", "DEFTER_KAFKA": "Kafka"}[missing] in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("DEFTER_LOG", "loud", "DEFTER_LOG is 'loud'; expected console or json"),
        ("DEFTER_KAFKA", "kafka", "DEFTER_KAFKA is wrong at server 1; expected host:port"),
        ("DEFTER_DATABASE", "u:hunter2@h/d", "DEFTER_DATABASE is no DSN; expected something like"),
        ("DEFTER_DATABASE", "postgresql://u:p@hunter2@h/d", "`@` in a password is `%40`"),
        ("DEFTER_PORT", "eighty", "DEFTER_PORT is 'eighty'; expected a port"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(setting: str, value: str, expected: str) -> None:
    settings = {"DEFTER_DATABASE": "postgresql://u@h/d", "DEFTER_KAFKA": "127.0.0.1:1"}

    done = Program({**settings, setting: value}).run("writer")

    assert done.code == WRONG_SETTING
    assert expected in done.stderr
    assert "hunter2" not in done.stderr


def test_without_any_setting_and_without_a_local_installation_it_is_said_how_to_get_one(tmp_path: Path) -> None:
    done = Program({"XDG_DATA_HOME": str(tmp_path)}).run("accounts")

    assert done.code == WRONG_SETTING
    assert "no local installation runs" in done.stderr
    assert "defter dev" in done.stderr
