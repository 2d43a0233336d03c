"""What became of a command, and what of a transfer was moved back, is told by the journal alone."""

from services.journal.memory import MemoryJournal
from services.outcomes import has, outcome, transfers
from tests.services.stage import Stage, opened, pay

MAIN = "main"


async def test_the_outcome_of_every_command_is_found_by_its_id() -> None:
    stage = Stage()
    stage.publish(*opened(), pay("paid", "alice", "bob", 300), pay("poor", "bob", "alice", 301))
    await stage.write()
    journal = MemoryJournal(stage.store)

    paid, poor = await outcome(journal, MAIN, "paid"), await outcome(journal, MAIN, "poor")

    assert paid
    assert (paid.sequence, paid.reason, paid.details) == (6, None, {})
    assert poor
    assert (poor.sequence, poor.reason) == (7, "INSUFFICIENT_FUNDS")
    assert poor.details == {"account": "bob", "unit": "QAZ", "available": "300", "requested": "301"}
    assert await outcome(journal, MAIN, "never") is None


async def test_a_transfer_tells_what_of_it_was_moved_back_so_far() -> None:
    stage = Stage()
    reverse: dict[str, object] = {"type": "reverse-transfer.v1", "transfer": "paid"}
    part = {"source": "alice", "destination": "bob", "unit": "QAZ", "amount": 100}
    stage.publish(
        *opened(),
        pay("paid", "alice", "bob", 300, metadata={"order": "77"}),
        reverse | {"id": "back-1", "movements": [part]},
        reverse | {"id": "back-2"},
        {"type": "reverse-transfer.v1", "id": "again", "transfer": "back-1"},
    )
    await stage.write()
    journal = MemoryJournal(stage.store)

    paid, back = await transfers(journal, MAIN, ["paid", "never", "back-1", "ledger"])
    (then,) = await transfers(journal, MAIN, ["paid"], as_of=7)

    assert (paid.id, paid.sequence, paid.kind, paid.metadata) == ("paid", 6, "transfer", {"order": "77"})
    assert paid.movements == [("alice", "bob", "QAZ", 300)]
    assert (then.reversed, then.reversals) == ([100], [7])
    assert (paid.reversed, paid.reversals) == ([300], [7, 8])
    assert (back.movements, back.reversed, back.reversals) == ([("bob", "alice", "QAZ", 100)], [100], [9])
    assert await transfers(journal, MAIN, ["paid"], as_of=5) == []
    assert await outcome(journal, MAIN, "paid", as_of="2020-01-01T00:00:00.000Z") is None
    assert await has(journal, MAIN, 9)
    assert not await has(journal, MAIN, 99)
