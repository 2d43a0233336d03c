"""One world in which everything can go wrong, and what does, command by command, in the order of the contract.

A `Fault` breaks one rule. A rung of a ladder is a command that breaks one rule and every later one as well, so the
faults of a ladder are laid over each other: movements and the like add up, of two values of one field the earlier
stands.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from schemas.commands import CloseAccount, Command, DefineBook, FreezeAccount, PostAd
from schemas.reasons import Reason
from schemas.values import LARGEST, Expect
from tests.domain.given import (
    ALICE,
    BOB,
    CAROL,
    CASH,
    CREDIT,
    MINT,
    QAZ,
    USD,
    Story,
    deposit,
    given,
    hold,
    movement,
    opened,
    reverse,
    transfer,
    transfers,
)

GONE: Final = "gone"
"""Closed."""
COLD: Final = "cold"
"""Frozen."""
FULL: Final = "full"
"""Has had all the QAZ that a number can hold."""
SPENT: Final = "spent"
"""Has spent what it had."""
NARROW: Final = "narrow"
"""Once admitted everything, and now QAZ alone, and all but Carol."""
MEMBERS: Final = "members"
"""Admits Carol alone."""


class Fault(NamedTuple):
    """One rule broken.

    Args:
        reason: why that is refused.
        details: what is said of it.
        adds: elements of the command's list of movements, or of `consumes` and `creates`.
        fields: the command's other fields.
        only: those that leave no room for other faults, and so are said on the fault's own rung alone.
    """

    reason: Reason
    details: dict[str, str]
    adds: tuple[Any, ...] = ()
    fields: Mapping[str, Any] = MappingProxyType({})
    only: Mapping[str, Any] = MappingProxyType({})


class Ladder(NamedTuple):
    """The faults of one type of command, in the order of the contract, and how they make a command together."""

    command: type[Command]
    faults: tuple[Fault, ...]
    make: Callable[[dict[str, Any], list[Any]], dict[str, Any]]

    def rung(self, number: int) -> Command:
        """Make the command that breaks this rule and every later one."""
        broken = self.faults[number:]
        fields: dict[str, Any] = {}
        for fault in reversed(broken):
            fields |= fault.fields
        fields |= broken[0].only
        adds = [each for fault in broken for each in fault.adds]
        return self.command(**{"id": "rung", **self.make(fields, adds)})


def fields_alone(fields: dict[str, Any], _: Sequence[Any]) -> dict[str, Any]:
    """Make a command of its fields."""
    return fields


def with_movements(fields: dict[str, Any], adds: Sequence[Any]) -> dict[str, Any]:
    """Make a command of movements, pins and other fields."""
    pins = {name: fields.pop(name) for name in ("versions", "balances") if name in fields}
    return {"movements": tuple(adds), **({"expect": Expect(**pins)} if pins else {}), **fields}


def with_postings(fields: dict[str, Any], adds: Sequence[Any]) -> dict[str, Any]:
    """Make an envelope of the postings that it consumes, by their ids, and of those that it creates."""
    consumes = tuple(each for each in adds if isinstance(each, str))
    return {"consumes": consumes, "creates": tuple(each for each in adds if not isinstance(each, str)), **fields}


def world() -> Story:
    """Make the world."""
    everyone = (ALICE, BOB, CASH, CREDIT, GONE, COLD, FULL, SPENT)
    return given(
        *(opened(account, alias=f"@{account}") for account in (GONE, COLD, FULL, SPENT)),
        DefineBook(id="narrow-1", book=NARROW),
        DefineBook(id="members", book=MEMBERS, accounts=(CAROL,)),
        deposit(ALICE, 1000),
        deposit(ALICE, 100, USD, id="usd-in"),
        deposit(FULL, 1),
        hold(
            movement(ALICE, COLD, 5),
            movement(ALICE, BOB, 5, USD),
            movement(ALICE, CAROL, 5),
            movement(ALICE, FULL, 5),
            book=NARROW,
        ),
        transfers(
            movement(ALICE, GONE, 1),
            movement(ALICE, COLD, 1),
            movement(ALICE, BOB, 1, USD),
            movement(ALICE, CAROL, 1),
            movement(FULL, BOB, 1),
            movement(ALICE, SPENT, 1),
            movement(ALICE, CREDIT, 1),
            book=NARROW,
        ),
        transfer(ALICE, COLD, 1, id="done"),
        reverse(id="undone", transfer="done"),
        transfer(MINT, FULL, LARGEST - 1, id="fill", kind="mint"),
        transfer(SPENT, BOB, 1, id="spend"),
        transfer(CREDIT, BOB, 101, id="borrow"),
        transfer(GONE, BOB, 1, id="leave"),
        PostAd(id="ad", ad="ad", account=BOB, base=USD, quote=QAZ, rate="1"),
        CloseAccount(id="close", account=GONE),
        FreezeAccount(id="freeze", account=COLD),
        DefineBook(id="narrow-2", book=NARROW, units=(QAZ,), accounts=everyone),
    )


WORLD: Final = world()
