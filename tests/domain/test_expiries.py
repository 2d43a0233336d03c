"""When holds expire: whatever came and went, those that are due are those of a plain sorted list."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from domain.expiries import Expiries, Expiry

TIMES = st.integers(0, 9).map(lambda second: f"2026-11-21T09:30:0{second}.000Z")
EXPIRIES = st.tuples(TIMES, st.text("abc", min_size=1, max_size=3))
CHANCE = st.randoms(use_true_random=False)


@given(st.lists(EXPIRIES, unique=True), st.lists(EXPIRIES, max_size=40), CHANCE)
def test_what_is_due_is_what_a_sorted_list_says(begun: list[Expiry], coming: list[Expiry], chance: Random) -> None:
    expiries, plain, seen = Expiries(begun), sorted(begun), set(begun)

    for one in coming:
        if plain and chance.random() < 0.6:
            gone = chance.choice(plain[:2] + plain[-1:])
            expiries.remove(gone)
            plain.remove(gone)
        elif one not in seen:
            seen.add(one)
            expiries.add(one)
            plain = sorted([*plain, one])
        assert expiries.due(one[0]) == [expiry for expiry in plain if expiry[0] <= one[0]]
        assert (expiries.first <= one[0]) == bool(expiries.due(one[0]))
        assert expiries == Expiries(plain)
