"""Which reason comes first, for each type of command. Every reason of the contract has a rung somewhere."""

from typing import Final, get_args

import pytest

from schemas.commands import Command, Tick
from schemas.events import CommandRefused
from schemas.reasons import Reason
from tests.domain.ladders import WORLD, Ladder
from tests.domain.ladders_of_movement import MOVING
from tests.domain.ladders_of_terms import ON_TERMS

LADDERS: Final = (*MOVING, *ON_TERMS)
RUNGS: Final = [
    pytest.param(ladder, number, id=f"{ladder.command.__name__}-{fault.reason}")
    for ladder in LADDERS
    for number, fault in enumerate(ladder.faults)
]


@pytest.mark.parametrize(("ladder", "number"), RUNGS)
def test_the_first_reason_that_holds_is_given_with_its_details(ladder: Ladder, number: int) -> None:
    fault = ladder.faults[number]

    event = WORLD.decide(ladder.rung(number))

    assert isinstance(event, CommandRefused)
    assert event.reason is fault.reason
    assert list(event.details.items()) == list(fault.details.items())


@pytest.mark.parametrize("ladder", LADDERS, ids=lambda ladder: ladder.command.__name__)
def test_a_ladder_goes_down_in_the_order_of_the_contract(ladder: Ladder) -> None:
    order = list(Reason)

    places = [order.index(fault.reason) for fault in ladder.faults]

    assert places == sorted(set(places))


def test_every_reason_has_a_rung_and_every_command_that_can_be_refused_a_ladder() -> None:
    assert {fault.reason for ladder in LADDERS for fault in ladder.faults} == set(Reason)
    assert {ladder.command for ladder in LADDERS} == set(get_args(Command)) - {Tick}
    assert len(LADDERS) == len({ladder.command for ladder in LADDERS})
