from hashlib import sha256

from hypothesis import given
from hypothesis.strategies import binary, lists

from services.journal.seals import NOTHING_YET, seal
from tests.services.journal.batches import after, batch, entry, opening
from tests.services.journal.conftest import Shard

RULES = "1"


def test_the_first_seal_is_made_of_zeros_and_the_first_event() -> None:
    assert seal(NOTHING_YET, [b"event"]) == sha256(b"\0" * 32 + b"event").digest()


@given(lists(binary(max_size=200)))
def test_a_chain_is_the_same_however_it_is_cut_into_batches(events: list[bytes]) -> None:
    step_by_step = NOTHING_YET
    for event in events:
        step_by_step = sha256(step_by_step + event).digest()

    assert seal(NOTHING_YET, events) == step_by_step
    assert seal(seal(NOTHING_YET, events[:3]), events[3:]) == step_by_step


async def test_a_ledger_is_sealed_at_the_last_sequence_of_each_batch(shard: Shard) -> None:
    journal = shard.open()
    standing = await journal.claim(RULES)
    first = batch(standing, [entry(1), entry(1, "other"), entry(2)], opened=["main", "other"])
    await journal.append(first)
    await journal.append(batch(after(first, standing), [entry(3)]))

    assert shard.seals("main") == {
        2: seal(NOTHING_YET, [entry(1).data, entry(2).data]),
        3: seal(NOTHING_YET, [entry(1).data, entry(2).data, entry(3).data]),
    }
    assert shard.seals("other") == {1: seal(NOTHING_YET, [entry(1, "other").data])}


async def test_the_chain_of_seals_goes_on_with_the_next_writer(shard: Shard) -> None:
    journal = shard.open()
    standing = await journal.claim(RULES)
    await journal.append(opening(standing))
    successor = shard.open()

    await successor.append(batch(await successor.claim(RULES), [entry(4)]))

    assert shard.seals("main")[4] == seal(NOTHING_YET, [entry(sequence).data for sequence in range(1, 5)])
