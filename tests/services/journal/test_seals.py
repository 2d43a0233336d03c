from hashlib import sha256

from hypothesis import given
from hypothesis.strategies import binary, lists

from services.journal.seals import NOTHING_YET, seal


def test_the_first_seal_is_made_of_zeros_and_the_first_event() -> None:
    assert seal(NOTHING_YET, [b"event"]) == sha256(b"\0" * 32 + b"event").digest()


@given(lists(binary(max_size=200)))
def test_a_chain_is_the_same_however_it_is_cut_into_batches(events: list[bytes]) -> None:
    step_by_step = NOTHING_YET
    for event in events:
        step_by_step = sha256(step_by_step + event).digest()

    assert seal(NOTHING_YET, events) == step_by_step
    assert seal(seal(NOTHING_YET, events[:3]), events[3:]) == step_by_step
