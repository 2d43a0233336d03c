"""Follows the rows of one ledger: each in its place, each told by its own bytes, all of them sealed.

Law: what events mean is not looked at here (`services.verify.audit`), and how they are stored is looked at nowhere
else. So two can look at one ledger, each by itself.
"""

from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

from services.verify.fault import Check, Fault

Used = tuple[str, int, int | None]
"""The id of a command, the sequence of its event, and what that reverses."""

_FRESH: Final = sha256()
_TIME: Final = 24


class _Named(Struct, frozen=True, gc=False):
    command: str | None = None
    reverses: int | None = None


_named: Final = msgspec.json.Decoder(_Named).decode


class Chain:
    """The rows of one ledger, as far as they were followed.

    Args:
        ledger: its name.
    """

    def __init__(self, ledger: str) -> None:
        self.ledger = ledger
        self.sequence = 0
        self.sealed = 0
        self._position = 0
        self._at = b""
        self._seal = bytes(32)
        self._heads: dict[str, bytes] = {}

    def follow(self, position: int, sequence: int, tag: str, data: bytes) -> Used | None:
        """See that an event is the next, and that its row says of it what its bytes say.

        Returns:
            The id that it used up; None where no command brought it about.

        Raises:
            Fault: something is not as it must be.
        """
        if sequence != self.sequence + 1:
            raise Fault(Check.SEQUENCES, self.ledger, self.sequence + 1, f"it is missing: {sequence} follows")
        self.sequence = sequence
        if position <= self._position:
            raise self._fault(Check.POSITIONS, f"position {position} is not after {self._position}")
        self._position = position
        head = (self._heads.get(tag) or self._head(tag)) % sequence
        if not data.startswith(head):
            raise self._fault(Check.COLUMNS, f"the row says {head.decode()}…, and its bytes {data[: len(head)]!r}…")
        start = len(head)
        at = data[start : start + _TIME]
        if at < self._at:
            raise self._fault(Check.TIMES, f"its time {at!r} is before that of the event before it, {self._at!r}")
        self._at = at
        link = _FRESH.copy()
        link.update(self._seal + data)
        self._seal = link.digest()
        try:
            named = _named(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise self._fault(Check.BYTES, f"the bytes are no event: {error}") from None
        return None if named.command is None else (named.command, sequence, named.reverses)

    def compare(self, seal: bytes) -> None:
        """Compare the seal that is stored of the event that was followed last. Raises `Fault`."""
        before, self.sealed = self.sealed, self.sequence
        if seal != self._seal:
            of = f"{self.sequence}" if before + 1 == self.sequence else f"{before + 1} to {self.sequence}"
            raise Fault(Check.SEALS, self.ledger, before + 1, f"the seal of {of} is not that of the bytes stored")

    def _head(self, tag: str) -> bytes:
        said = f'{{"type":"{tag}","ledger":"{self.ledger}","sequence":'.replace("%", "%%")
        head = self._heads[tag] = said.encode() + b'%d,"at":"'
        return head

    def _fault(self, check: Check, detail: str) -> Fault:
        return Fault(check, self.ledger, self.sequence, detail)
