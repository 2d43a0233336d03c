"""Whatever is done to a journal behind its back, `verify` finds it, names the place, and says which check found it."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from services.cli import NO
from services.dev import Addresses
from services.journal.ports import Row
from services.settings import Kafka, Secret, Settings
from services.verify import run
from services.verify.fault import Fault
from services.verify.run import Verified
from tests.services.cli.program import Program
from tests.services.past import PREFIX, Past
from tests.services.tampering import IDS, LAST, OF, PLAIN, TAMPERINGS, Tampering, event_of, tamper


def settings(past: Past) -> Settings:
    return Settings(instance="test", dsn=Secret(past.dsn), kafka=Kafka(servers="127.0.0.1:1"), prefix=PREFIX)


def verified(past: Past, jobs: int = 1) -> Verified:
    return run.verify(settings(past), 1, jobs=jobs)


CASES = {f"case-{number}": one for number, one in enumerate(TAMPERINGS)}
UNTOUCHED = "untouched"


@contextmanager
def happened(installation: Addresses, superuser: psycopg.Connection, ledgers: list[str]) -> Iterator[Past]:
    """Let the same happen to some ledgers, in a database of their own."""
    name = f"t_{secrets.token_hex(6)}"
    superuser.execute(f"create database {name}".encode())
    past = Past(installation.database.rpartition("/")[0] + f"/{name}")
    asyncio.run(past.happen(ledgers, steps=7, seed=74))
    yield past
    superuser.execute(f"drop database {name} with (force)".encode())


@pytest.fixture(scope="module")
def past(installation: Addresses, superuser: psycopg.Connection) -> Iterator[Past]:
    """A ledger for each case."""
    with happened(installation, superuser, [*CASES, UNTOUCHED]) as past:
        yield past


@pytest.fixture(scope="module")
def before(past: Past) -> tuple[Verified, Verified, list[Row]]:
    """What is found before anything is done, by one process and by two; and the journal."""
    return verified(past), verified(past, jobs=2), past.rows()


@pytest.fixture(scope="module")
def found(past: Past, before: object) -> dict[str | None, Fault]:
    """What is found after it, by ledger."""
    rows = past.rows()
    for ledger, tampering in CASES.items():
        tamper(past, ledger, event_of(rows, ledger, tampering), tampering)
    return {fault.ledger: fault for fault in verified(past).faults}


def test_a_journal_that_nobody_touched_is_as_it_must_be(before: tuple[Verified, Verified, list[Row]]) -> None:
    alone, together, rows = before

    assert [str(fault) for fault in alone.faults] == []
    assert (alone.ledgers, alone.events) == (len(CASES) + 1, len(rows))
    assert together == alone


def test_whatever_happens_to_holds_and_ads_the_read_models_have_it(database: str) -> None:
    past = Past(database)
    asyncio.run(past.happen(steps=90, seed=3))

    told = b"".join(row.data for row in past.rows())
    assert all(f'"{said}"' in told.decode() for said in ("hold-expired.v1", "hold-released.v1", "final", "ads"))
    assert [str(fault) for fault in verified(past).faults] == []


@pytest.mark.parametrize("ledger", CASES, ids=[one.what for one in TAMPERINGS])
def test_what_was_tampered_with_is_found_and_named(
    before: tuple[Verified, Verified, list[Row]], found: dict[str | None, Fault], ledger: str
) -> None:
    fault, tampering = found[ledger], CASES[ledger]

    sequence = event_of(before[2], ledger, tampering)
    assert fault.check == tampering.check, str(fault)
    assert fault.sequence is not None
    if tampering.check != "read models":
        assert sequence - 12 <= fault.sequence <= sequence + 1, str(fault)


EXCHANGED = Tampering(
    "two ids exchanged",
    PLAIN,
    (f"update {IDS} set sequence = 2 * <n> + 1 - sequence where {OF} and sequence in (<n>, <n> + 1)",),
    "ids",
)
OF_IDS = [*(one for one in TAMPERINGS if one.check == "ids"), EXCHANGED]


@pytest.fixture(scope="module")
def calm(installation: Addresses, superuser: psycopg.Connection) -> Iterator[Past]:
    """A journal in which nothing is wrong, and a copy of its ids."""
    with happened(installation, superuser, [UNTOUCHED]) as past:
        with psycopg.connect(past.dsn, autocommit=True) as owner:
            owner.execute(f"create table public.right_ones as table {IDS}".encode())
        yield past


@pytest.mark.parametrize("tampering", OF_IDS, ids=[one.what for one in OF_IDS])
def test_an_id_that_leads_elsewhere_is_found_where_nothing_else_is_wrong(calm: Past, tampering: Tampering) -> None:
    sequence = event_of(calm.rows(), UNTOUCHED, tampering)
    assert verified(calm).faults == []

    tamper(calm, UNTOUCHED, sequence, tampering)
    faults = verified(calm).faults
    with psycopg.connect(calm.dsn, autocommit=True) as owner:
        owner.execute(f"delete from {IDS}".encode())
        owner.execute(f"insert into {IDS} table public.right_ones".encode())

    named = [fault for fault in faults if fault.ledger == UNTOUCHED]
    assert [(fault.check, fault.sequence) for fault in named] == [("ids", sequence)]


ONE_OF_EACH = {str(one.check): one for one in TAMPERINGS}
"""By the check that finds it: all of them would take a minute."""

BOTH = Tampering(
    "a seal removed, and a trial balance edited",
    LAST,
    (
        f"delete from journal.seals where {OF} and sequence = <n>",
        "update read_1.trial_balance set debits = debits + 1 where ledger = '<ledger>'",
    ),
    "read models",
)
"""Each of two finds something, and all ids are as they must be."""


@pytest.fixture(scope="module")
def large(installation: Addresses, superuser: psycopg.Connection) -> Iterator[Past]:
    """One ledger, larger than what each of two has to look at."""
    with happened(installation, superuser, ["case"]) as past:
        yield past


@pytest.mark.parametrize("tampering", [*ONE_OF_EACH.values(), BOTH], ids=[*ONE_OF_EACH, "two"])
def test_two_that_look_at_one_ledger_tell_what_one_tells(
    superuser: psycopg.Connection, large: Past, tampering: Tampering
) -> None:
    copied = Past(f"{large.dsn}_copied")
    copy, origin = (past.dsn.rpartition("/")[2] for past in (copied, large))
    superuser.execute(f"create database {copy} template {origin}".encode())
    try:
        tamper(copied, "case", event_of(large.rows(), "case", tampering), tampering)
        alone, together = verified(copied), verified(copied, jobs=2)
    finally:
        superuser.execute(f"drop database {copy} with (force)".encode())

    assert [fault.told() for fault in together.faults] == [fault.told() for fault in alone.faults]
    assert (together.ledgers, together.events) == (alone.ledgers, alone.events)
    assert tampering.check in {fault.check for fault in together.faults}


def test_what_was_not_tampered_with_is_not_named(found: dict[str | None, Fault]) -> None:
    assert {name for name in found if name in CASES or name == UNTOUCHED} == set(CASES)


def test_the_command_tells_the_first_fault_and_says_no(past: Past, found: dict[str | None, Fault]) -> None:
    defter = Program({"DEFTER_DATABASE": past.dsn, "DEFTER_KAFKA": "127.0.0.1:1", "DEFTER_PREFIX": PREFIX})

    *faults, verified = defter.json("verify", "--jobs", "1", code=NO)
    done = defter.run("verify", "--jobs", "1")

    assert [fault.get("ledger") for fault in faults] == sorted(found, key=str)
    assert (verified["type"], verified["equal"]) == ("verified", False)
    assert done.stdout.startswith("ledger ")
    assert "(found by: " in done.stdout
