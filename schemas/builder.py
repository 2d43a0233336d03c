"""Transfers put together step by step, and ids for callers who want one made.

Law: what a builder gives has been through the codec. So it cannot say what may not be said, and what it says is read by
everyone as it was meant. A builder is never changed: each step gives another one, and one that is kept may be gone on
from twice.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Self

from msgspec import Struct
from msgspec.structs import replace

from .codec import MOST_BYTES, MalformedError, decode_command
from .commands import Transfer
from .values import DEFAULT_LEDGER

_Fields = Mapping[str, Any]

_TRANSFER: Final = "transfer"
_MS_BITS: Final = 40
_COUNTER_BITS: Final = 23
_BEGINNING_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z, in milliseconds since 1970."""


class TransferBuilder(Struct, frozen=True):
    """A transfer in the making.

    >>> order = TransferBuilder("order-77").pay("alice", "bob", "QAZ", 300).fee(7).expect("alice", version=3)
    >>> order.build().movements[0].amount
    300
    >>> order.encode().decode()[:43]
    '{"type":"transfer.v1","id":"order-77","move'
    >>> order.pay("alice", "carol", "qaz", 0).build()
    Traceback (most recent call last):
    schemas.codec.MalformedError: Expected `int` >= 1 - at `$.movements[1].amount`

    Args:
        id: yours to choose, unique within its ledger; `AutoIds` makes one.
        ledger: whose accounts are meant.
    """

    id: str
    ledger: str = DEFAULT_LEDGER
    said: _Fields = {}
    """All that was said so far, as a command says it."""

    def pay(self, source: str, destination: str, unit: str, amount: int, *, kind: str = _TRANSFER) -> Self:
        """Add a movement: `amount` minimal parts of `unit`. All movements of a transfer are of one kind.

        Raises:
            MalformedError: the kind differs from that of the movements before.
        """
        movements = self.said.get("movements", ())
        if movements and kind != self.said["kind"]:
            raise MalformedError(f"Expected `{self.said['kind']}`, as before - at `$.kind`")
        movement = {"source": source, "destination": destination, "unit": unit, "amount": amount}
        return self._and(kind=kind, movements=(*movements, movement))

    def deposit(self, account: str, unit: str, amount: int, source: str) -> Self:
        """Bring an amount in, from an account that stands for the outside."""
        return self.pay(source, account, unit, amount, kind="deposit")

    def withdraw(self, account: str, unit: str, amount: int, destination: str) -> Self:
        """Take an amount out, to an account that stands for the outside."""
        return self.pay(account, destination, unit, amount, kind="withdrawal")

    def mint(self, issuer: str, account: str, unit: str, amount: int) -> Self:
        """Bring an amount into being."""
        return self.pay(issuer, account, unit, amount, kind="mint")

    def fee(self, amount: int) -> Self:
        """Charge the first movement's source on top, in its unit; 0 is no fee. Said again, it replaces."""
        return self._and(fee=amount)

    def book(self, book: str) -> Self:
        """Let all postings go by this book. Said again, it replaces."""
        return self._and(book=book)

    def expect(
        self,
        account: str,
        unit: str | None = None,
        *,
        version: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
    ) -> Self:
        """Move only if the account is still at this version, or its balance in `unit` within these bounds, or both.

        Each call adds; another version of an account that was named before replaces.
        """
        expect = dict(self.said.get("expect", {}))
        if version is not None:
            expect["versions"] = {**expect.get("versions", {}), account: version}
        if version is None or (unit, at_least, at_most) != (None, None, None):
            pin = {"account": account, "unit": unit, "at_least": at_least, "at_most": at_most}
            expect["balances"] = (*expect.get("balances", ()), _without_none(pin.items()))
        return self._and(expect=expect)

    def metadata(self, /, **pairs: str) -> Self:
        """Add pairs of your own, kept with the event. A key that was said before is said anew."""
        return self._and(metadata={**self.said.get("metadata", {}), **pairs})

    def effective_at(self, at: str) -> Self:
        """Say when it counts from, for people: UTC, such as `2026-11-21T09:30:00Z`. Said again, it replaces."""
        return self._and(effective_at=at)

    def build(self) -> Transfer:
        """Give the transfer.

        Raises:
            MalformedError: it is none yet, or something that was said may not be said; the message names the field.
        """
        return self._checked()[0]

    def encode(self) -> bytes:
        """Give the bytes to be sent, under the ledger's name as their key. Raises as `build`."""
        return self._checked()[1]

    def _and(self, **said: object) -> Self:
        return replace(self, said={**self.said, **said})

    def _checked(self) -> tuple[Transfer, bytes]:
        try:
            said = {"type": "transfer.v1", "id": self.id, "ledger": self.ledger, **self.said}
            # Not by msgspec, which writes NaN as null, and so as nothing said.
            value = json.dumps(said, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError) as error:
            raise MalformedError(f"{type(error).__name__}: not to be said in JSON - at `$`") from error
        transfer, canonical = decode_command(value, None)
        if len(canonical) > MOST_BYTES:
            raise MalformedError(f"{len(canonical)} bytes, at most {MOST_BYTES} - at `$`")
        assert isinstance(transfer, Transfer), transfer
        return transfer, canonical


class AutoIds:
    """Ids made one after the other, each greater than the one before.

    An id is one number of 63 bits: 40 of milliseconds since 2026, then 23 of a counter that begins anew with each. The
    next is made of the present millisecond or, where that would not be greater, is the last one plus 1. So when the
    8,388,608 numbers of a millisecond are used up, it goes on in the next millisecond before that has come; and when
    the clock goes back, it goes on counting where it was until the clock has caught up. It never waits.

    What it knows is lost when its process ends. So a clock that went back meanwhile may bring the same ids again, and
    so do two processes in the same millisecond, unless their `first` lie far apart. One thread at a time may use it.

    >>> ids = AutoIds(lambda: 1_767_225_600_001)
    >>> ids.next(), ids.next()
    ('8388608', '8388609')

    Args:
        now_ms: the clock: milliseconds since 1970.
        first: what the counter begins with, 0 to 8,388,607.
    """

    def __init__(self, now_ms: Callable[[], int], first: int = 0) -> None:
        self._now_ms = now_ms
        self._first = first
        self._last = -1

    def next(self) -> str:
        """Make an id.

        Raises:
            ValueError: it is not in the range: before 2026, or after 2060.
        """
        made = max(auto_id(self._now_ms(), self._first), self._last + 1)
        if made >> (_MS_BITS + _COUNTER_BITS):
            raise ValueError("all ids are used up")
        self._last = made
        return str(made)


def auto_id(at_ms: int, count: int) -> int:
    """Put an id together: never below zero, never more than 63 bits.

    Args:
        at_ms: when: milliseconds since 1970.
        count: 0 to 8,388,607.

    Raises:
        ValueError: one of them does not fit.
    """
    since_ms = at_ms - _BEGINNING_MS
    if since_ms >> _MS_BITS:
        raise ValueError(f"{at_ms} ms is not of the years 2026 to 2060")
    if count >> _COUNTER_BITS:
        raise ValueError(f"the counter has {_COUNTER_BITS} bits, and {count} does not fit")
    return since_ms << _COUNTER_BITS | count


def _without_none(fields: Iterable[tuple[str, object]]) -> dict[str, object]:
    return {name: value for name, value in fields if value is not None}
