"""What every journal does, on PostgreSQL and in memory alike."""

import asyncio

import pytest
from msgspec.structs import astuple

from services.journal.ports import Entry, Id, Journal, Known, OtherWriter, Row, Standing, Wanted
from services.journal.seals import NOTHING_YET, seal
from tests.services.journal.batches import TAG, after, batch, entry, fingerprint, id_of, key, letter, opening
from tests.services.journal.conftest import Shard

RULES = "1"


async def rows(journal: Journal) -> list[Row]:
    return [row async for page in journal.load(page=2) for row in page]


async def test_a_fresh_shard_stands_at_zero_and_holds_nothing(shard: Shard) -> None:
    journal = shard.open()

    assert await journal.standing() == Standing(0, 0, 0, None, None)
    assert await rows(journal) == []
    assert await journal.dead_letters(-1, 10) == []


async def test_a_claim_raises_the_epoch_and_moves_nothing_else(shard: Shard) -> None:
    journal = shard.open()

    assert await journal.claim(RULES) == Standing(0, 1, 0, None, None)
    assert await journal.claim(RULES) == Standing(0, 2, 0, None, None)
    assert await journal.standing() == Standing(0, 2, 0, None, None)


async def test_rules_are_noted_from_where_they_decide_and_only_when_they_change(shard: Shard) -> None:
    journal = shard.open()

    standing = await journal.claim("1")
    await journal.claim("1")
    standing = await journal.claim("2")
    await journal.append(opening(standing))
    await shard.open().claim("3")

    assert shard.releases() == [(0, "1"), (0, "2"), (3, "3")]


async def test_what_is_appended_is_read_in_the_order_decided_byte_for_byte(shard: Shard) -> None:
    journal = shard.open()
    standing = await journal.claim(RULES)
    entries = [
        entry(1),
        entry(1, "other"),
        entry(2, data=b"\x00\xff not text"),
        entry(2, "other"),
        Entry("main", 3, "ledger-opened.v1", b""),
    ]

    await journal.append(batch(standing, entries, opened=["main", "other"]))

    stored = await rows(journal)
    assert [row[1:] for row in stored] == [astuple(each) for each in entries]
    assert [row.position for row in stored] == sorted({row.position for row in stored})


async def test_batches_follow_each_other_and_the_standing_moves_with_them(shard: Shard) -> None:
    journal = shard.open()
    standing = await journal.claim(RULES)

    for number in range(3):
        following = batch(standing, [entry(number + 1)], opened=["main"] if number == 0 else [], replied=number)
        await journal.append(following)
        standing = after(following, standing)

    assert await journal.standing() == standing
    assert [row.sequence for row in await rows(journal)] == [1, 2, 3]


async def test_a_batch_that_only_moves_on_is_stored(shard: Shard) -> None:
    journal = shard.open()
    standing = await journal.claim(RULES)
    duplicates_only = batch(standing)

    await journal.append(duplicates_only)

    assert await journal.standing() == after(duplicates_only, standing)
    assert await rows(journal) == []


async def test_replies_can_be_noted_without_moving_on(shard: Shard) -> None:
    journal = shard.open()
    standing = await journal.claim(RULES)
    made = opening(standing)
    await journal.append(made)

    await journal.append(made._replace(entries=[], ids=[], opened=[], replied=3))

    assert (await journal.standing()).replied == 3


async def test_reading_begins_after_a_position_and_stops_at_the_limit(shard: Shard) -> None:
    journal = shard.open()
    await journal.append(opening(await journal.claim(RULES), 5))
    first, second, third, *_ = await rows(journal)

    assert await journal.read(0, 2) == [first, second]
    assert await journal.read(first.position, 2) == [second, third]
    assert [row async for page in journal.load(second.position, 1) for row in page][:1] == [third]


async def test_an_event_is_found_by_its_place(shard: Shard) -> None:
    journal = shard.open()
    await journal.append(opening(await journal.claim(RULES)))

    assert [await journal.event("main", row.sequence) for row in await rows(journal)] == await rows(journal)
    assert await journal.event("main", 4) is None
    assert await journal.event("other", 1) is None


async def test_a_known_id_is_recalled_and_an_unknown_one_is_absent(shard: Shard) -> None:
    journal = shard.open()
    await journal.append(opening(await journal.claim(RULES)))

    recalled = await journal.recall(Wanted([key("main/2"), key("nobody's")], [], []))

    assert recalled.ids == {key("main/2"): Known(fingerprint("main/2"), 2)}
    assert recalled.transfers == {}
    assert recalled.events == {}


async def test_a_transfer_is_recalled_with_its_own_reversals_in_order(shard: Shard) -> None:
    journal = shard.open()
    standing = await journal.claim(RULES)
    entries = [*[entry(sequence) for sequence in range(1, 6)], entry(1, "other"), entry(2, "other")]
    ids = [id_of(1), id_of(2, reverses=1), id_of(3), id_of(4, reverses=1), id_of(5, reverses=2)]
    ids += [id_of(1, "other"), id_of(2, "other", reverses=1)]
    await journal.append(batch(standing, entries, ids, opened=["main", "other"]))

    recalled = await journal.recall(Wanted([], [key("main/1"), key("main/2"), key("main/3"), key("nobody's")], []))

    assert recalled.transfers == {
        key("main/1"): [entry(1).data, entry(2).data, entry(4).data],
        key("main/2"): [entry(2).data, entry(5).data],
        key("main/3"): [entry(3).data],
    }


async def test_events_are_recalled_by_place(shard: Shard) -> None:
    journal = shard.open()
    entries = [entry(1), entry(1, "other"), entry(2)]
    await journal.append(batch(await journal.claim(RULES), entries, opened=["main", "other"]))

    recalled = await journal.recall(Wanted([], [], [("other", 1), ("main", 2), ("main", 3), ("never-opened", 1)]))

    assert recalled.events == {("other", 1): entry(1, "other").data, ("main", 2): entry(2).data}


async def test_everything_is_recalled_at_once(shard: Shard) -> None:
    journal = shard.open()
    await journal.append(opening(await journal.claim(RULES)))

    recalled = await journal.recall(Wanted([key("main/1")], [key("main/2")], [("main", 3)]))

    assert recalled.ids == {key("main/1"): Known(fingerprint("main/1"), 1)}
    assert recalled.transfers == {key("main/2"): [entry(2).data]}
    assert recalled.events == {("main", 3): entry(3).data}


async def test_dead_letters_are_kept_as_they_came(shard: Shard) -> None:
    journal = shard.open()
    standing = await journal.claim(RULES)
    bare = letter(4)._replace(key=None, value=None, headers=())
    odd = letter(9)._replace(
        key=b"", value=b"\x00\xff", headers=(("twice", b"1"), ("twice", b""), ("nul\0", b"\xff"), ("", None))
    )

    await journal.append(batch(standing, dead_letters=[letter(2), bare, odd]))

    assert await journal.dead_letters(-1, 10) == [letter(2), bare, odd]
    assert await journal.dead_letters(2, 1) == [bare]
    assert await journal.dead_letters(9, 10) == []


async def test_a_detail_that_no_database_takes_is_written_out(shard: Shard) -> None:
    journal = shard.open()
    standing = await journal.claim(RULES)

    await journal.append(batch(standing, dead_letters=[letter(0, detail="unknown field \ud800 and \0")]))

    assert [each.detail for each in await journal.dead_letters(-1, 1)] == ["unknown field \\ud800 and \\u0000"]


async def test_who_takes_the_shard_back_goes_on_where_the_other_stopped(shard: Shard) -> None:
    first, second = shard.open(), shard.open()
    await first.append(opening(await first.claim(RULES)))
    await second.append(batch(await second.claim(RULES), [entry(4)]))

    await first.append(batch(await first.claim(RULES), [entry(5)]))

    assert [row.sequence for row in await rows(first)] == [1, 2, 3, 4, 5]
    assert shard.seals("main")[5] == seal(NOTHING_YET, [entry(sequence).data for sequence in range(1, 6)])


async def test_whoever_lost_the_shard_can_append_no_more(shard: Shard) -> None:
    old, new = shard.open(), shard.open()
    standing = await old.claim(RULES)
    await old.append(opening(standing))
    taken = await new.claim(RULES)

    with pytest.raises(OtherWriter):
        await old.append(batch(taken, [entry(4)], opened=["late"], dead_letters=[letter(3)]))
    with pytest.raises(OtherWriter):
        await old.append(batch(taken))
    await new.append(batch(taken, [entry(4, data=b"the new one's")]))

    assert (await rows(new))[3].data == b"the new one's"
    assert await new.dead_letters(-1, 10) == []
    assert (await new.recall(Wanted([key("main/4")], [], []))).ids[key("main/4")].sequence == 4


async def test_whoever_lost_the_shard_is_told_so_also_where_the_other_has_gone_further(shard: Shard) -> None:
    before = shard.open()
    written = opening(await before.claim(RULES))
    await before.append(written)
    old, new = shard.open(), shard.open()
    standing = await old.claim(RULES)
    await new.append(batch(await new.claim(RULES), [entry(4), entry(5)]))

    with pytest.raises(OtherWriter):
        await old.append(batch(standing, [entry(4)]))

    assert [row.sequence for row in await rows(new)] == [1, 2, 3, 4, 5]


async def test_nobody_appends_who_has_not_claimed(shard: Shard) -> None:
    with pytest.raises(OtherWriter):
        await shard.open().append(opening(Standing(0, 0, 0, None, None)))


async def test_of_two_writers_that_claim_in_turns_only_one_is_ever_stored(shard: Shard) -> None:
    writers = [shard.open() for _ in range(4)]
    standings = await asyncio.gather(*(writer.claim(RULES) for writer in writers))
    last = max(standings, key=lambda standing: standing.epoch)

    outcomes = await asyncio.gather(*(writer.append(opening(last)) for writer in writers), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes if outcome] == [OtherWriter] * 3
    assert [row.sequence for row in await rows(writers[0])] == [1, 2, 3]


FAULTY: dict[str, tuple[list[Entry], list[Id], list[str]]] = {
    "a sequence that is taken": ([entry(3), entry(4)], [id_of(3, name="a"), id_of(4, name="b")], []),
    "a gap in the sequence": ([entry(5)], [id_of(5)], []),
    "an id that has its outcome": ([entry(4)], [id_of(4, name="main/1")], []),
    "an id twice": ([entry(4), entry(5)], [id_of(4, name="a"), id_of(5, name="a")], []),
    "a ledger opened twice": ([entry(4)], [id_of(4)], ["main"]),
}


@pytest.mark.parametrize("fault", FAULTY)
async def test_a_batch_that_cannot_be_stored_whole_stores_nothing(shard: Shard, fault: str) -> None:
    journal = shard.open()
    standing = await journal.claim(RULES)
    made = opening(standing)
    await journal.append(made)
    standing = after(made, standing)
    entries, ids, opened = FAULTY[fault]

    with pytest.raises(Exception, match=r"main|outcome|open|exists"):
        await journal.append(batch(standing, entries, ids, opened=opened, dead_letters=[letter(3)]))

    assert await journal.standing() == standing
    assert [row.sequence for row in await rows(journal)] == [1, 2, 3]
    assert await journal.dead_letters(-1, 10) == []
    assert list(shard.seals("main")) == [3]


async def test_thousands_of_events_of_many_ledgers_come_back_in_order(shard: Shard) -> None:
    journal = shard.open()
    ledgers = [f"l{number}" for number in range(50)]
    entries = [entry(sequence, ledger, data=TAG.encode() * sequence) for sequence in range(1, 61) for ledger in ledgers]
    await journal.append(batch(await journal.claim(RULES), entries, opened=ledgers))

    stored = [row async for page in journal.load(page=777) for row in page]

    assert [row[1:] for row in stored] == [astuple(each) for each in entries]
