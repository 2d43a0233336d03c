"""What the commands say is what the journal holds: decided again (SPEC 11)."""

from collections.abc import Callable, Sequence

import msgspec
import psycopg
import pytest

from services.errors import Unexpected
from services.journal.memory import MemoryJournal, MemoryStore, Pause
from services.journal.postgres import PostgresJournal
from services.kafka.lists import ListInbox
from services.migrations import READER
from services.verify.fault import Check
from services.verify.redecide import Redecided, Release, redecide
from services.writer import RULES
from tests.services.past import Past, with_a_past
from tests.services.stage import Stage, opened, pay

PLACE = 40
"""An event in the middle."""


@pytest.fixture
async def stage() -> Stage:
    """Two ledgers with a past."""
    return await with_a_past()


async def again(stage: Stage, releases: Sequence[Release] = (), pause: Pause | None = None) -> Redecided:
    return await redecide(ListInbox(stage.commands), MemoryJournal(stage.store, pause=pause), 1, releases)


async def test_the_same_commands_give_the_same_journal(stage: Stage) -> None:
    assert await again(stage) == Redecided(stage.commands.bounds().end, len(stage.store.rows), [], None)


def other_fingerprint(store: MemoryStore) -> None:
    key = list(store.ids)[PLACE]
    store.ids[key] = msgspec.structs.replace(store.ids[key], fingerprint=bytes(16))


def no_id(store: MemoryStore) -> None:
    del store.ids[list(store.ids)[PLACE]]


def other_bytes(store: MemoryStore) -> None:
    store.rows[PLACE] = store.rows[PLACE]._replace(data=store.rows[PLACE].data.replace(b"c", b"d"))


def other_tag(store: MemoryStore) -> None:
    store.rows[PLACE] = store.rows[PLACE]._replace(tag="hold-placed.v1")


def last_removed(store: MemoryStore) -> None:
    store.rows.pop()


def one_added(store: MemoryStore) -> None:
    last = store.rows[-1]
    store.rows.append(last._replace(position=last.position + 1, sequence=last.sequence + 1))


def other_letter(store: MemoryStore) -> None:
    offset = min(store.dead_letters)
    store.dead_letters[offset] = store.dead_letters[offset]._replace(detail="of no matter")


def no_letter(store: MemoryStore) -> None:
    del store.dead_letters[min(store.dead_letters)]


def a_letter_too_many(store: MemoryStore) -> None:
    letter = store.dead_letters[max(store.dead_letters)]
    store.dead_letters[letter.offset + 1] = letter._replace(offset=letter.offset + 1)


@pytest.mark.parametrize(
    ("tamper", "check"),
    [
        (other_fingerprint, Check.IDS),
        (no_id, Check.IDS),
        (other_bytes, Check.DECISIONS),
        (other_tag, Check.DECISIONS),
        (last_removed, Check.DECISIONS),
        (one_added, Check.DECISIONS),
        (other_letter, Check.DECISIONS),
        (no_letter, Check.DECISIONS),
        (a_letter_too_many, Check.DECISIONS),
    ],
)
async def test_what_was_changed_in_the_journal_is_found_by_deciding_again(
    stage: Stage, tamper: Callable[[MemoryStore], None], check: Check
) -> None:
    tamper(stage.store)

    fault = (await again(stage)).fault

    assert fault is not None
    assert fault.check == check


async def test_what_older_rules_decided_is_no_fault(stage: Stage) -> None:
    rows = stage.store.rows
    place = next(place for place, row in enumerate(rows) if b'"kind":"deposit","postings"' in row.data)
    rows[place] = rows[place]._replace(data=rows[place].data.replace(b'"kind":"deposit"', b'"kind":"transfer"'))
    end = stage.commands.bounds().end

    strict = await again(stage)
    old = await again(stage, [Release(0, "0"), Release(end, RULES)])

    assert strict.fault is not None
    assert (strict.fault.ledger, strict.fault.sequence) == (rows[place].ledger, rows[place].sequence)
    assert (old.fault, len(old.older), old.records) == (None, 1, end)


AT = 5
"""The offset of the first payment after `opened`."""


async def decided_otherwise(*paid: tuple[int, int]) -> Stage:
    """Payments from alice to bob of the amounts asked for, and of those that other rules made of them."""
    asked, made = Stage(), Stage()
    for stage, which in ((asked, 0), (made, 1)):
        stage.publish(*opened())
        stage.publish(*(pay(f"p{n}", "alice", "bob", amounts[which]) for n, amounts in enumerate(paid)), b"?")
    await made.write()
    made.commands = asked.commands
    return made


@pytest.mark.parametrize(
    "releases",
    [
        [(0, "1")],
        [(0, "1"), (AT + 1, RULES)],
        [(0, RULES), (AT, "1"), (AT + 1, RULES)],
        [(0, "1"), (AT, RULES), (AT, "1")],
        [(0, "1"), (AT + 1, RULES), (AT - 1, "1")],
    ],
)
async def test_a_command_was_decided_by_the_last_release_that_does_not_begin_after_it(
    releases: list[tuple[int, str]],
) -> None:
    stage = await decided_otherwise((7, 8), (1, 1))

    found = await again(stage, [Release(*release) for release in releases])

    assert (found.fault, found.older) == (None, [AT])


@pytest.mark.parametrize(
    "releases",
    [
        [],
        [(0, RULES), (AT + 1, "1")],
        [(0, "1"), (AT - 1, "0"), (AT - 1, RULES)],
        [(0, "1"), (AT + 1, "0"), (AT, RULES)],
    ],
)
async def test_what_these_rules_decided_otherwise_is_a_fault_whoever_decided_before_and_after(
    releases: list[tuple[int, str]],
) -> None:
    stage = await decided_otherwise((7, 8), (1, 1))

    fault = (await again(stage, [Release(*release) for release in releases])).fault

    assert fault is not None
    assert (fault.check, fault.sequence) == (Check.DECISIONS, AT + 1)


async def test_after_each_that_was_decided_otherwise_it_goes_on_from_what_the_journal_says_and_reads_it_once() -> None:
    stage = await decided_otherwise((7, 8), (5, 5), (3, 2), (20, 2000), (1, 1))
    same = await decided_otherwise((8, 8), (5, 5), (2, 2), (2000, 2000), (1, 1))
    reads: list[str] = []

    async def note(where: str) -> None:
        reads.extend([where] * (where == "read"))

    found = await again(stage, [Release(0, "0")], note)
    of_it = len(reads)
    nothing = await again(same, [Release(0, "0")], note)

    assert (found.fault, found.older) == (None, [AT, AT + 2, AT + 3])
    assert (nothing.fault, nothing.older) == (None, [])
    assert of_it == len(reads) - of_it


async def test_a_dead_letter_that_older_rules_gave_another_detail_is_no_fault(stage: Stage) -> None:
    other_letter(stage.store)

    old = await again(stage, [Release(0, "0"), Release(stage.commands.bounds().end, RULES)])

    assert (old.fault, old.older) == (None, [min(stage.store.dead_letters)])


async def test_an_event_that_is_missing_is_not_taken_for_what_older_rules_decided(database: str) -> None:
    past = Past(database)
    await past.happen(["main"], steps=4)
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("alter table journal.shard_0_events disable trigger all")
        owner.execute("delete from journal.shard_0_events where originator_version = %s", (PLACE,))
    journal = PostgresJournal(database, 0, READER)

    found = await redecide(ListInbox(past.commands), journal, 1, [Release(0, "0")])

    await journal.close()
    assert found.fault is not None
    assert (found.fault.check, found.fault.sequence) == (Check.SEQUENCES, PLACE)


async def test_a_topic_that_lost_its_beginning_cannot_be_decided_again(stage: Stage) -> None:
    stage.commands.drop_before(5)

    with pytest.raises(Unexpected, match="offsets 5 up to"):
        await again(stage)
