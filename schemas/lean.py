"""Transfers for whoever folds totals and no more: read models, replay, `verify`.

Nearly all events are transfers. Read into these structs, without patterns and with numbers as numbers, one costs a
tenth of what the full event costs (`schemas.events.TransferPosted`). What is not named here is passed over.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from .events import TransferPosted

TRANSFER: Final = str(TransferPosted.__struct_config__.tag)
"""The tag of the events that `decode_transfer` reads."""


class LeanPosting(Struct, frozen=True, gc=False):
    """A posting with its numbers as numbers."""

    account: str
    unit: str
    amount: int
    debits: int
    credits: int


class LeanTransfer(Struct, frozen=True, gc=False):
    """What `transfer-posted.v1` says of totals, and who brought it about."""

    at: str
    command: str
    kind: str
    postings: tuple[LeanPosting, ...]
    hold: str | None = None
    final: bool = False
    ads: tuple[str, ...] = ()


# Not strict: numbers stand in events as text. They are our own, and were checked when they were written.
decode_transfer: Final[Callable[[bytes], LeanTransfer]] = msgspec.json.Decoder(LeanTransfer, strict=False).decode
"""Bytes of a `transfer-posted.v1` to what is kept of it."""
