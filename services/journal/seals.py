"""The hash chain of a ledger: each seal covers an event's stored bytes and, through the seal before, all that was.

seal(0) = 32 zero bytes
seal(n) = SHA-256(seal(n - 1) + bytes(n))
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

NOTHING_YET: Final = bytes(32)
"""The seal of a ledger without events."""

_FRESH: Final = sha256()  # a copy of it costs less than a new one


def seal(previous: bytes, events: Iterable[bytes]) -> bytes:
    """Return the seal after `events`, which follow directly on the event that `previous` seals.

    >>> seal(seal(NOTHING_YET, [b"one"]), [b"two"]) == seal(NOTHING_YET, [b"one", b"two"])
    True

    Args:
        previous: 32 bytes.
        events: the stored bytes of each, in order of sequence.

    Returns:
        32 bytes; `previous` itself where there are no events.
    """
    for data in events:
        link = _FRESH.copy()
        link.update(previous + data)
        previous = link.digest()
    return previous
