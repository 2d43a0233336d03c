"""What is looked at by hand, because that is faster, is right exactly when its form says so."""

from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.values import CommandId, Party, Unit
from tests.schemas.said import MOVEMENT, TRANSFER, canonical, fault

LENGTHS = (61, 62, 63, 127, 128)
NAMES = st.text("aA0@._-\n", max_size=6) | st.sampled_from([a + b * n for a in "a@" for b in "aA" for n in LENGTHS])
UNITS = NAMES | st.sampled_from(["QAZ", "Q" * 16, "Q" * 17, "Q\n", ""])
IDS = (
    NAMES | st.text(max_size=3) | st.text([chr(code) for code in range(0x1F, 0x22)] + ["~", "\x7f", "\x80"], max_size=3)
)


@given(NAMES, NAMES, UNITS)
@example("@alice", "A" * 128, "Q" * 16)
def test_the_names_of_a_movement(source: str, destination: str, unit: str) -> None:
    said = {"source": source, "destination": destination, "unit": unit, "amount": 5}
    forms = {"source": Party, "destination": Party, "unit": Unit}
    wrong = [field for field, form in forms.items() if not _is(form, said[field])]
    transfer = TRANSFER | {"movements": [MOVEMENT, said]}
    if wrong:
        assert fault(transfer).endswith(f" - at `$.movements[1].{wrong[0]}`")
    else:
        assert canonical(transfer)


@given(IDS)
@example("!" * 128)
@example("~" * 129)
def test_the_id_of_a_transfer(said: str) -> None:
    if _is(CommandId, said):
        assert canonical(TRANSFER | {"id": said})
    else:
        # As of any other command, where the decoder looks at it.
        assert fault(TRANSFER | {"id": said}) == fault({"type": "tick.v1", "id": said})


def _is(form: Any, value: object) -> bool:
    try:
        return bool(msgspec.convert(value, form) == value)
    except msgspec.ValidationError:
        return False
