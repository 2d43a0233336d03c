"""What may be asked for: one frozen struct a command, and the union of them all.

Law: strict. An unknown field, a missing one, a value out of its form is no command (`schemas.codec` sees to a field
given twice). A field with a default is optional. The version in the tag is for ever; a new shape is a new tag.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import force_setattr

from .values import (
    DEFAULT_LEDGER,
    MOST_MOVEMENTS,
    AccountName,
    AccountType,
    AdId,
    Alias,
    Amount,
    BookName,
    CommandId,
    Creation,
    DisplayName,
    Expect,
    Fee,
    Flag,
    Flags,
    KindName,
    LedgerName,
    Metadata,
    Moment,
    Movement,
    Party,
    Policy,
    PostingId,
    Rate,
    Scale,
    Signed,
    UncheckedId,
    Unit,
    Version,
    WrongField,
    check_id,
    moment,
    whole,
)

Movements = Annotated[tuple[Movement, ...], Meta(min_length=1, max_length=MOST_MOVEMENTS)]
Policies = Annotated[tuple[Policy, ...], Meta(min_length=1, max_length=5)]
_NOTHING_EXPECTED = Expect()


class Asked(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type", gc=False
):
    """What every command says: its id, and the ledger that it is for."""

    id: CommandId
    ledger: LedgerName = DEFAULT_LEDGER
    metadata: Metadata = {}


class OpenLedger(Asked, frozen=True, tag="open-ledger.v1", gc=False):
    """Start a ledger, with the built-in registries."""


class DefineUnit(Asked, frozen=True, kw_only=True, tag="define-unit.v1", gc=False):
    """Register a unit. Its scale never changes."""

    unit: Unit
    scale: Scale
    name: DisplayName | None = None


class DefineAccountType(Asked, frozen=True, kw_only=True, tag="define-account-type.v1", gc=False):
    """Add a type of account; the first of `policies` is its default."""

    account_type: AccountType
    policies: Policies
    singleton: bool = False


class DefineTransferKind(Asked, frozen=True, kw_only=True, tag="define-transfer-kind.v1", gc=False):
    """Add a kind of transfer; an empty list of types admits any."""

    kind: KindName
    source_types: tuple[AccountType, ...] = ()
    destination_types: tuple[AccountType, ...] = ()


class DefineBook(Asked, frozen=True, kw_only=True, tag="define-book.v1", gc=False):
    """Create a book, or replace it whole. Its lists may name what does not exist yet."""

    book: BookName
    name: DisplayName | None = None
    units: tuple[Unit, ...] = ()
    flags: tuple[Flag, ...] = ()
    accounts: tuple[AccountName, ...] = ()
    expected_version: Version | None = None


class OpenAccount(Asked, frozen=True, kw_only=True, tag="open-account.v1", gc=False):
    """Open an account, at version 1."""

    account: AccountName
    account_type: AccountType = "user"
    policy: Policy | None = None
    floor: Signed | None = None
    flags: Flags = ()
    book: BookName | None = None
    alias: Alias | None = None

    def __post_init__(self) -> None:
        whole(self, "floor")


class UpdateAccount(Asked, frozen=True, kw_only=True, tag="update-account.v1", gc=False):
    """Append a version of an account. What is left out stays; null clears `floor`, `book`, `alias`."""

    account: Party
    policy: Policy | None = None
    floor: Signed | UnsetType | None = UNSET
    flags: Flags | None = None
    book: BookName | UnsetType | None = UNSET
    alias: Alias | UnsetType | None = UNSET
    expected_version: Version | None = None

    def __post_init__(self) -> None:
        if (self.policy, self.flags, self.floor, self.book, self.alias) == (None, None, UNSET, UNSET, UNSET):
            raise ValueError("nothing to update")
        whole(self, "floor")


class OfAccount(Asked, frozen=True, kw_only=True, gc=False):
    """What is said of one account, and of nothing else."""

    account: Party
    expected_version: Version | None = None


class FreezeAccount(OfAccount, frozen=True, tag="freeze-account.v1", gc=False):
    """Let nothing in or out of an account."""


class UnfreezeAccount(OfAccount, frozen=True, tag="unfreeze-account.v1", gc=False):
    """Let a frozen account take part again."""


class CloseAccount(OfAccount, frozen=True, tag="close-account.v1", gc=False):
    """Close an empty account, for good."""


class Transfer(Asked, frozen=True, kw_only=True, tag="transfer.v1", gc=False):
    """Move, all or nothing. The fee is charged to the first movement's source, in its unit."""

    id: UncheckedId
    movements: Movements
    kind: KindName = "transfer"
    book: BookName | None = None
    fee: Fee | None = None
    expect: Expect | None = None
    effective_at: Moment | None = None

    def __post_init__(self) -> None:
        # Nearly all commands are transfers, so it is their id that is looked at in the faster way.
        check_id(self.id)
        # What may be said in several ways is kept in one: no fee, nothing expected.
        if self.fee is not None:
            whole(self, "fee")
            if self.fee == 0:
                force_setattr(self, "fee", None)
        if self.expect is not None and self.expect == _NOTHING_EXPECTED:
            force_setattr(self, "expect", None)
        if self.effective_at is not None:
            moment(self, "effective_at")


class CommitEnvelope(Asked, frozen=True, kw_only=True, tag="commit-envelope.v1", gc=False):
    """Commit a prepared transfer: consume exactly these postings and create exactly those."""

    consumes: Annotated[tuple[PostingId, ...], Meta(max_length=MOST_MOVEMENTS)]
    creates: Annotated[tuple[Creation, ...], Meta(max_length=MOST_MOVEMENTS)]
    versions: dict[Party, Version] = {}
    book: BookName | None = None


class PlaceHold(Asked, frozen=True, kw_only=True, tag="place-hold.v1", gc=False):
    """Reserve what is to be moved later."""

    movements: Movements
    kind: KindName = "transfer"
    book: BookName | None = None
    expires_at: Moment | None = None

    def __post_init__(self) -> None:
        moment(self, "expires_at")


class CaptureHold(Asked, frozen=True, kw_only=True, tag="capture-hold.v1", gc=False):
    """Move what was held, all of it or these parts; `final` releases the rest."""

    hold: CommandId
    movements: Movements | None = None
    final: bool = False


class ReleaseHold(Asked, frozen=True, kw_only=True, tag="release-hold.v1", gc=False):
    """Give back what remains of a hold."""

    hold: CommandId


class ReverseTransfer(Asked, frozen=True, kw_only=True, tag="reverse-transfer.v1", gc=False):
    """Move back what a transfer moved, all that remains of it or these parts."""

    transfer: CommandId
    movements: Movements | None = None


class PostAd(Asked, frozen=True, kw_only=True, tag="post-ad.v1", gc=False):
    """Offer to take `base` and give `quote` at `rate`, up to `limit` of base."""

    ad: AdId
    account: Party
    base: Unit
    quote: Unit
    rate: Rate
    limit: Amount | None = None

    def __post_init__(self) -> None:
        whole(self, "limit")
        if self.base == self.quote:
            raise WrongField("Expected another unit than `base`", "quote")
        if not self.rate.strip("0."):
            raise WrongField("Expected a rate above 0", "rate")


class WithdrawAd(Asked, frozen=True, kw_only=True, tag="withdraw-ad.v1", gc=False):
    """Take an offer back, for good."""

    ad: AdId


class Exchange(Asked, frozen=True, kw_only=True, tag="exchange.v1", gc=False):
    """Sell an amount along the best route of ads."""

    source: Party
    destination: Party
    sell: Unit
    amount: Amount
    buy: Unit
    at_least: Amount
    book: BookName | None = None

    def __post_init__(self) -> None:
        whole(self, "amount", "at_least")
        if self.sell == self.buy:
            raise WrongField("Expected another unit than `sell`", "buy")


class Tick(Asked, frozen=True, tag="tick.v1", gc=False):
    """Let time pass. It has no outcome of its own, and neither looks at nor uses up ids."""


class ShortTransfer(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The short form of a transfer of one movement: no type, its ledger is the record's key."""

    from_id: Party
    to_id: Party
    currency: Unit
    amount: Amount
    idempotency_key: CommandId

    def __post_init__(self) -> None:
        whole(self, "amount")


Command = (
    OpenLedger
    | DefineUnit
    | DefineAccountType
    | DefineTransferKind
    | DefineBook
    | OpenAccount
    | UpdateAccount
    | FreezeAccount
    | UnfreezeAccount
    | CloseAccount
    | Transfer
    | CommitEnvelope
    | PlaceHold
    | CaptureHold
    | ReleaseHold
    | ReverseTransfer
    | PostAd
    | WithdrawAd
    | Exchange
    | Tick
)
