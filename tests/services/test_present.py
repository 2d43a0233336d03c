"""What would come of something, asked of one ledger as it stands, costs what that ledger costs."""

import json
from uuid import UUID

import psycopg
import pytest

from services.journal.recorder import ledger_id
from tests.services.cli.program import Program
from tests.services.past import PREFIX, Past

ONLY_MAIN = """
create function only_main(originator uuid) returns bool language plpgsql as $$
begin
    if originator <> '%s' then raise exception 'an event of another ledger is read'; end if;
    return true;
end $$;
alter table journal.shard_0_events enable row level security;
create policy only_main on journal.shard_0_events using (only_main(originator_id));
"""


@pytest.fixture
async def past(database: str) -> Past:
    """Two ledgers of one shard with a past, and whoever but looks at an event of `shop` meets an error."""
    made = Past(database)
    await made.happen(steps=4)
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute((ONLY_MAIN % UUID(bytes=ledger_id("main"))).encode())
    return made


@pytest.fixture
def defter(past: Past) -> Program:
    """The program on it. No Kafka is needed."""
    return Program({"DEFTER_DATABASE": past.dsn, "DEFTER_KAFKA": "127.0.0.1:1", "DEFTER_PREFIX": PREFIX})


def test_no_event_of_another_ledger_is_read(defter: Program) -> None:
    movement = {"source": "cash", "destination": "carol", "unit": "QAZ", "amount": 1}
    deposit = {"type": "transfer.v1", "id": "one-more", "kind": "deposit", "movements": [movement]}
    line = json.dumps(deposit).encode()

    [envelope] = defter.json("prepare", stdin=line)
    [quoted] = defter.json("quote", "carol", "QAZ", "999999", "USD", code=1)
    [posted] = defter.json("simulate", "--on", "main", stdin=line)

    assert {creation["account"] for creation in envelope["creates"]} == {"cash", "carol"}
    assert quoted["reason"] == "INSUFFICIENT_FUNDS"
    assert posted["kind"] == "deposit"
    with pytest.raises(psycopg.errors.RaiseException, match="another ledger"):
        defter.run("replay", "--ledger", "shop")
