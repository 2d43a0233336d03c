"""Commands as callers say them, and what the codec makes of them."""

import json
from typing import Any, Final

import pytest

from schemas.codec import MalformedError, decode_command

MOVEMENT: Final = {"source": "a", "destination": "b", "unit": "QAZ", "amount": 5}
TRANSFER: Final[dict[str, Any]] = {"type": "transfer.v1", "id": "t", "movements": [MOVEMENT]}
SHORT: Final = {"from_id": "a", "to_id": "b", "currency": "QAZ", "amount": 5, "idempotency_key": "t"}
AD: Final = {"type": "post-ad.v1", "id": "p", "ad": "one", "account": "a", "base": "USD", "quote": "QAZ", "rate": "1"}


def canonical(said: dict[str, Any] | bytes, key: bytes | None = None) -> bytes:
    """Give the canonical text of a command."""
    return decode_command(said if isinstance(said, bytes) else json.dumps(said).encode(), key)[1]


def fault(said: dict[str, Any] | bytes, key: bytes | None = None) -> str:
    """Say why this is no command."""
    with pytest.raises(MalformedError) as caught:
        canonical(said, key)
    return str(caught.value)
