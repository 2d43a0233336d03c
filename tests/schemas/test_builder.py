"""Transfers put together step by step say what a caller could have written, and nothing else; ids only grow."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.builder import AutoIds, TransferBuilder, auto_id
from schemas.codec import MOST_BYTES, MalformedError, decode_command, fingerprint
from schemas.commands import Transfer
from schemas.values import LARGEST, Expect, Movement

NEW_YEAR_MS: Final = 1_767_225_600_000
MOST: Final = 1 << 23
ORDER: Final = TransferBuilder("order-77").pay("alice", "bob", "QAZ", 300)


def test_everything_that_a_transfer_may_say_can_be_said() -> None:
    written = {
        "type": "transfer.v1",
        "id": "order-77",
        "ledger": "shop",
        "metadata": {"order": "77", "self": "service"},
        "movements": [
            {"source": "alice", "destination": "@bob", "unit": "QAZ", "amount": 300},
            {"source": "@bob", "destination": "carol", "unit": "USD", "amount": str(LARGEST)},
        ],
        "kind": "sale",
        "book": "sales",
        "fee": 7,
        "expect": {
            "versions": {"alice": 3, "carol": 1},
            "balances": [
                {"account": "alice", "unit": "QAZ", "at_least": 307},
                {"account": "carol", "unit": "USD", "at_most": 0},
            ],
        },
        "effective_at": "2026-11-21T09:30:00.500Z",
    }

    order = (
        TransferBuilder("order-77", "shop")
        .pay("alice", "@bob", "QAZ", 300, kind="sale")
        .pay("@bob", "carol", "USD", LARGEST, kind="sale")
        .book("sales")
        .fee(7)
        .expect("alice", "QAZ", version=3, at_least=307)
        .expect("carol", version=1)
        .expect("carol", "USD", at_most=0)
        .metadata(order="77")
        .metadata(self="service")
        .effective_at("2026-11-21T09:30:00.5Z")
    )

    assert (order.build(), order.encode()) == decode_command(json.dumps(written).encode(), None)


@pytest.mark.parametrize(
    ("built", "source", "destination", "kind"),
    [
        (TransferBuilder("t").deposit("alice", "QAZ", 5, "bank"), "bank", "alice", "deposit"),
        (TransferBuilder("t").withdraw("alice", "QAZ", 5, "bank"), "alice", "bank", "withdrawal"),
        (TransferBuilder("t").mint("mint", "alice", "QAZ", 5), "mint", "alice", "mint"),
        (TransferBuilder("t").pay("alice", "bob", "QAZ", 5), "alice", "bob", "transfer"),
    ],
)
def test_each_kind_of_movement_goes_its_way(built: TransferBuilder, source: str, destination: str, kind: str) -> None:
    assert built.build() == Transfer(id="t", movements=(Movement(source, destination, "QAZ", 5),), kind=kind)


def test_what_comes_of_a_builder_is_read_again_as_the_same_content() -> None:
    transfer, canonical = decode_command(ORDER.fee(7).encode(), b"main")

    assert transfer == ORDER.fee(7).build()
    assert fingerprint(canonical) == fingerprint(ORDER.fee(7).encode())


def test_a_builder_that_is_gone_on_from_twice_is_not_changed() -> None:
    before = ORDER.encode()

    to_carol, with_fee = ORDER.pay("alice", "carol", "QAZ", 1), ORDER.metadata(a="1").expect("bob", version=1).fee(1)

    assert ORDER.encode() == before
    assert len(to_carol.build().movements) == 2
    assert (len(with_fee.build().movements), with_fee.build().metadata) == (1, {"a": "1"})


def test_said_again_it_replaces() -> None:
    again = ORDER.fee(7).fee(0).book("a").book("b").metadata(k="1").metadata(k="2")
    again = again.expect("alice", version=1).expect("alice", version=2)

    built = again.build()

    assert (built.fee, built.book, built.metadata, built.expect) == (
        None,
        "b",
        {"k": "2"},
        Expect(versions={"alice": 2}),
    )


NaN: Final[Any] = float("nan")
WRONG: Final[list[tuple[TransferBuilder, str]]] = [
    (TransferBuilder("order 77").pay("a", "b", "QAZ", 1), "$.id"),
    (TransferBuilder("order-77", "Shop").pay("a", "b", "QAZ", 1), "$.ledger"),
    (TransferBuilder("order-77"), "`movements`"),
    (ORDER.pay("alice", "b b", "QAZ", 1), "$.movements[1].destination"),
    (ORDER.pay("", "bob", "QAZ", 1), "$.movements[1].source"),
    (ORDER.pay("alice", "bob", "qaz", 1), "$.movements[1].unit"),
    (ORDER.pay("alice", "bob", "QAZ", 0), "$.movements[1].amount"),
    (ORDER.pay("alice", "bob", "QAZ", LARGEST + 1), "$.movements[1].amount"),
    (TransferBuilder("t").pay("a", "b", "QAZ", 1, kind="Sale"), "$.kind"),
    (ORDER.fee(-1), "$.fee"),
    (ORDER.fee(NaN), "not to be said"),
    (ORDER.book(""), "$.book"),
    (ORDER.expect("alice"), "$.expect.balances[0]"),
    (ORDER.expect("alice", at_least=1), "$.expect.balances[0]"),
    (ORDER.expect("alice", version=-1), "$.expect.versions[...]"),
    (ORDER.metadata(k="\x00"), "$.metadata[...]"),
    (ORDER.metadata(k="\ud800"), "not to be said"),
    (ORDER.effective_at("2026-02-30T00:00:00Z"), "No such time - at `$.effective_at`"),
    (ORDER.effective_at("2026-11-21T09:30:00+00:00"), "$.effective_at"),
]


@pytest.mark.parametrize(("builder", "field"), WRONG, ids=lambda each: each if isinstance(each, str) else "")
def test_what_may_not_be_said_is_refused_by_the_name_of_the_field(builder: TransferBuilder, field: str) -> None:
    for ask in (builder.build, builder.encode):
        with pytest.raises(MalformedError) as caught:
            ask()

        assert field in str(caught.value)


def test_one_transfer_has_one_kind() -> None:
    with pytest.raises(MalformedError, match=r"Expected `transfer`, as before - at `\$.kind`"):
        ORDER.deposit("alice", "QAZ", 5, "bank")


def test_a_transfer_too_large_to_be_looked_at_is_not_built() -> None:
    large = ORDER.metadata(**{f"k{number}": "x" * 1024 for number in range(32)})
    for number in range(500):
        large = large.pay("alice", f"payee-{number:0>40}", "QAZ", 1)

    with pytest.raises(MalformedError, match=f"at most {MOST_BYTES}"):
        large.encode()


@given(st.integers(-(2**70), 2**70))
def test_an_amount_is_said_exactly_or_not_at_all(amount: int) -> None:
    builder = TransferBuilder("t").pay("alice", "bob", "QAZ", amount)

    if 1 <= amount <= LARGEST:
        assert builder.build().movements[0].amount == amount
    else:
        with pytest.raises(MalformedError):
            builder.build()


def test_an_id_has_forty_bits_of_milliseconds_and_twenty_three_of_a_counter() -> None:
    assert auto_id(NEW_YEAR_MS, 0) == 0
    assert auto_id(NEW_YEAR_MS + 3, 5) == 3 << 23 | 5
    assert auto_id(NEW_YEAR_MS + (1 << 40) - 1, MOST - 1) == LARGEST


@pytest.mark.parametrize(
    ("at_ms", "count"), [(NEW_YEAR_MS - 1, 0), (NEW_YEAR_MS + (1 << 40), 0), (NEW_YEAR_MS, MOST), (NEW_YEAR_MS, -1)]
)
def test_what_does_not_fit_is_no_id(at_ms: int, count: int) -> None:
    with pytest.raises(ValueError):
        auto_id(at_ms, count)


def clock(*times_ms: int) -> Callable[[], int]:
    """Show these times, counted from the new year, one after the other."""
    shown: Iterator[int] = iter(times_ms)
    return lambda: NEW_YEAR_MS + next(shown)


def test_the_counter_begins_anew_with_each_millisecond() -> None:
    ids = AutoIds(clock(1, 1, 2))

    assert [ids.next(), ids.next(), ids.next()] == [str(1 << 23), str(1 << 23 | 1), str(2 << 23)]


def test_when_a_millisecond_is_used_up_the_next_is_begun_before_it_comes() -> None:
    ids = AutoIds(clock(1, 1, 1, 2), first=MOST - 2)

    assert [int(ids.next()) for _ in range(3)] == [2 * MOST - 2, 2 * MOST - 1, 2 * MOST]
    assert int(ids.next()) == 3 * MOST - 2


def test_when_the_clock_goes_back_it_goes_on_counting_until_the_clock_has_caught_up() -> None:
    ids = AutoIds(clock(9, 3, 9, 10))

    assert [int(ids.next()) for _ in range(4)] == [9 << 23, 9 << 23 | 1, 9 << 23 | 2, 10 << 23]


def test_when_all_are_used_up_there_are_none() -> None:
    last = (1 << 40) - 1
    ids = AutoIds(clock(last, last), first=MOST - 1)
    ids.next()

    with pytest.raises(ValueError, match="used up"):
        ids.next()


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200), st.integers(0, MOST - 1))
def test_ids_only_grow_whatever_the_clock_does_and_are_ids_of_commands(times_ms: list[int], first: int) -> None:
    ids = AutoIds(clock(*times_ms), first)

    made = [ids.next() for _ in times_ms]

    assert [int(one) for one in made] == sorted({int(one) for one in made})
    assert TransferBuilder(made[-1]).pay("a", "b", "QAZ", 1).build().id == made[-1]
