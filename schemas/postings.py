"""One posting by itself, for subscribers that follow accounts rather than ledgers: the messages of `postings`.

Law: it says nothing that the event does not say, and it comes from the event's bytes alone. `id` is the posting's own
(`<sequence>.<index>`), so a duplicate is told by `ledger` and `id`.
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from .values import AccountName, CommandId, KindName, LedgerName, PostingId, Sequence, Timestamp, Unit, WireNumber


class AccountPosted(Struct, frozen=True, kw_only=True, tag_field="type", tag="posting.v1", gc=False):
    """One signed amount landed on one account; `debits` and `credits` are the account's totals in that unit after it.

    `transfer` is the id of the command that brought it about.
    """

    ledger: LedgerName
    id: PostingId
    sequence: Sequence
    at: Timestamp
    transfer: CommandId
    kind: KindName
    account: AccountName
    unit: Unit
    amount: WireNumber
    debits: WireNumber
    credits: WireNumber


class _Landed(Struct, frozen=True, gc=False):
    account: str
    unit: str
    amount: str
    debits: str
    credits: str


class _Posted(Struct, frozen=True, gc=False):
    ledger: str
    sequence: int
    at: str
    command: str
    kind: str
    postings: tuple[_Landed, ...]


encode_posting: Final[Callable[[AccountPosted], bytes]] = msgspec.json.Encoder().encode
"""Posting to the bytes that are published: compact JSON, fields in the order above."""

decode_posting: Final[Callable[[bytes], AccountPosted]] = msgspec.json.Decoder(AccountPosted).decode
"""Bytes to posting. Unknown fields are passed over."""

_posted: Final[Callable[[bytes], _Posted]] = msgspec.json.Decoder(_Posted).decode


def postings(event: bytes) -> Iterator[AccountPosted]:
    """Take a `transfer-posted.v1` apart into its postings, in order.

    Args:
        event: its bytes, as they are stored.
    """
    told = _posted(event)
    for index, landed in enumerate(told.postings):
        yield AccountPosted(
            ledger=told.ledger,
            id=f"{told.sequence}.{index}",
            sequence=told.sequence,
            at=told.at,
            transfer=told.command,
            kind=told.kind,
            account=landed.account,
            unit=landed.unit,
            amount=landed.amount,
            debits=landed.debits,
            credits=landed.credits,
        )
