"""Partitions are shared out among the writers that live, and each knows its own."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import Unexpected
from services.kafka.group import Joined, deal
from services.kafka.membership import Membership
from services.settings import Kafka

ALL = frozenset({0, 1, 2, 3})
NONE: frozenset[int] = frozenset()

Join = Callable[[str, int], Membership]


@pytest.fixture
def member(kafka: str, prefix: str) -> Join:
    def make(instance: str, partitions: int) -> Membership:
        return Membership(Kafka(servers=kafka), f"{prefix}writers", f"{prefix}commands", partitions, instance)

    return make


class Told:
    """Listens to a membership, and keeps what it was told last."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self.owned: list[frozenset[int]] = []

    async def until(self, wanted: Callable[[frozenset[int]], bool]) -> frozenset[int]:
        async for owned in self._membership.changes():
            self.owned.append(owned)
            if wanted(owned):
                return owned
        raise AssertionError("the membership ended without saying why")


async def joined(stack: AsyncExitStack, membership: Membership) -> frozenset[int]:
    await stack.enter_async_context(membership)
    return await anext(membership.changes())


async def test_a_writer_alone_has_all_partitions(member: Join) -> None:
    async with AsyncExitStack() as stack:
        assert await joined(stack, member("a", 4)) == ALL


async def test_two_writers_share_and_the_first_keeps_what_it_can(member: Join) -> None:
    async with AsyncExitStack() as stack:
        a, b = member("b", 4), member("a", 4)
        await joined(stack, a)
        second = await joined(stack, b)

        first = await Told(a).until(lambda owned: len(owned) == 2)

    assert first | second == ALL
    assert first == {0, 1}


async def test_one_that_stands_by_takes_nothing_from_the_one_that_writes(member: Join) -> None:
    async with AsyncExitStack() as stack:
        writer, standby = member("z", 1), member("a", 1)
        await joined(stack, writer)

        assert await joined(stack, standby) == NONE
        assert await writer.confirmed() == {0}


async def test_a_writer_that_is_started_again_has_its_partitions_back_and_disturbs_nobody(member: Join) -> None:
    async with AsyncExitStack() as stack, AsyncExitStack() as dying:
        await joined(dying, member("a", 1))
        standby = member("b", 1)
        await joined(stack, standby)
        await dying.aclose()

        assert await joined(stack, member("a", 1)) == {0}
        assert await standby.confirmed() == NONE


async def test_when_a_writer_dies_the_one_that_stands_by_takes_over(member: Join) -> None:
    async with AsyncExitStack() as stack, AsyncExitStack() as dying:
        await joined(dying, member("a", 1))
        standby = member("b", 1)
        await joined(stack, standby)
        await dying.aclose()

        assert await Told(standby).until(bool) == {0}


async def test_of_two_processes_with_one_name_the_older_is_told_so(member: Join) -> None:
    async with AsyncExitStack() as stack:
        older, newer = member("a", 1), member("a", 1)
        await joined(stack, older)
        await joined(stack, newer)

        with pytest.raises(Unexpected, match="as instance a") as told:
            await Told(older).until(lambda _: False)

        assert "DEFTER_INSTANCE" in told.value.remedy
        with pytest.raises(Unexpected, match="as instance a"):
            await older.confirmed()
        assert await newer.confirmed() == {0}


async def test_two_that_are_started_at_one_moment_share_all(member: Join) -> None:
    async with AsyncExitStack() as stack:
        members = [member(name, 4) for name in "abc"]
        await asyncio.gather(*(stack.enter_async_context(one) for one in members))

        while True:
            owned = [await one.confirmed() for one in members]
            if sum(len(one) for one in owned) == 4 and frozenset().union(*owned) == ALL:
                break

    assert sorted(len(one) for one in owned) == [1, 1, 2]


async def test_what_the_group_answered_before_the_question_confirms_nothing(
    member: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        membership = member("a", 1)
        answered, goes_on = asyncio.Event(), asyncio.Event()
        beat = membership._group.beat

        async def slowly(joined: Joined) -> None:
            await beat(joined)
            answered.set()
            await goes_on.wait()

        monkeypatch.setattr(membership._group, "beat", slowly)
        await joined(stack, membership)
        await answered.wait()
        answered.clear()

        asking = asyncio.create_task(membership.confirmed())
        await asyncio.sleep(0)
        goes_on.set()
        await answered.wait()

        assert not asking.done()
        assert await asking == {0}


MEMBERS = st.dictionaries(st.text(min_size=1, max_size=3), st.frozensets(st.integers(0, 9)), min_size=1, max_size=6)


@given(st.integers(1, 8), MEMBERS)
def test_every_partition_is_dealt_to_exactly_one_and_evenly(partitions: int, owned: dict[str, frozenset[int]]) -> None:
    dealt = deal(partitions, owned)

    assert dealt.keys() == owned.keys()
    assert sorted(number for share in dealt.values() for number in share) == list(range(partitions))
    assert max(map(len, dealt.values())) - min(map(len, dealt.values())) <= 1


@given(st.integers(1, 8), MEMBERS)
def test_dealing_again_changes_nothing(partitions: int, owned: dict[str, frozenset[int]]) -> None:
    dealt = deal(partitions, owned)

    assert deal(partitions, dealt) == dealt


@given(st.integers(1, 8), MEMBERS)
def test_one_more_member_takes_partitions_only_for_itself(partitions: int, owned: dict[str, frozenset[int]]) -> None:
    dealt = deal(partitions, owned)

    again = deal(partitions, {**dealt, "\x00new": frozenset()})

    assert all(again[member] <= share for member, share in dealt.items())
