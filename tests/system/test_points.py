"""A process is killed at a named point of its way. Whoever is started in its place goes on as if nothing had been."""

import pytest

from tests.system.checks import check
from tests.system.conftest import MakeHouse
from tests.system.house import at_rest
from tests.system.load import Load

KILLED = -9
SLICES, SLICE = 12, 60

POINTS = [
    ("writer", "decided:3"),
    ("writer", "committing:3"),
    ("writer", "committed:3"),
    ("publisher", "sent:2"),
    ("projector", "read:2"),
    ("projector", "written:2"),
    ("projector", "committed:2"),
]
"""After deciding, before the commit, after it and before that is known; between a page published and the next; before a
page is projected, before that is committed, and between it and the next."""


@pytest.mark.parametrize(("name", "point"), POINTS, ids=[f"{name}-{point}" for name, point in POINTS])
async def test_a_process_killed_at_a_point_has_lost_nothing_and_repeats_nothing(
    make_house: MakeHouse, name: str, point: str
) -> None:
    house = await make_house()
    victim = house.start(name, "--kill-at", point)
    for other in {"writer", "publisher", "projector"} - {name}:
        house.start(other)
    load = Load(7, 0, 1)

    for _ in range(SLICES):
        await house.send(0, load.messages(SLICE))
        if victim.runs:
            await house.until(lambda reach: at_rest(reach) or not victim.runs)
    assert await victim.ended() == KILLED
    victim.arguments = ()
    victim.start()
    await house.settled()

    found = await check(house)
    assert found.commands == SLICES * SLICE
    assert found.duplicates_published == 0
