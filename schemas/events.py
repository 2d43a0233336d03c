"""What has happened: one frozen struct an event, and the union of them all.

Law: a fact is never refused, changed or deleted, and its bytes are stored as they are published. So the fields stand in
the order of the wire (`SPEC.md` 5), a number that a reader could round is text (`WireNumber`), and a time is text of 24
characters. An event says all that happened: whoever folds it looks up nothing.
"""

from typing import TYPE_CHECKING

from msgspec import Struct

from . import values
from .reasons import Reason
from .values import DisplayName, Metadata, Policy, Scale, Sequence, Version

if TYPE_CHECKING:
    from .values import (
        AccountName,
        AccountType,
        AdId,
        Alias,
        BookName,
        CommandId,
        Flag,
        KindName,
        LedgerName,
        Rate,
        Timestamp,
        Unit,
        WireNumber,
    )
else:
    # What is in an event was checked when it was decided, and millions are read at start: forms are told, not checked.
    AccountName, AccountType, AdId, Alias = map(
        values.told, (values.AccountName, values.AccountType, values.AdId, values.Alias)
    )
    BookName, CommandId, Flag, KindName = map(
        values.told, (values.BookName, values.CommandId, values.Flag, values.KindName)
    )
    LedgerName, Rate, Timestamp, Unit, WireNumber = map(
        values.told, (values.LedgerName, values.Rate, values.Timestamp, values.Unit, values.WireNumber)
    )


class Happened(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """What every event says: its place in its ledger, its time, and the command that brought it about."""

    ledger: LedgerName
    sequence: Sequence
    at: Timestamp
    command: CommandId | None = None
    metadata: Metadata = {}


class LedgerOpened(Happened, frozen=True, tag="ledger-opened.v1", gc=False):
    """The ledger exists, with the built-in registries."""


class UnitDefined(Happened, frozen=True, kw_only=True, tag="unit-defined.v1", gc=False):
    """The unit may be used."""

    unit: Unit
    scale: Scale
    name: DisplayName | None = None


class AccountTypeDefined(Happened, frozen=True, kw_only=True, tag="account-type-defined.v1", gc=False):
    """Accounts of this type may be opened."""

    account_type: AccountType
    policies: tuple[Policy, ...]
    singleton: bool = False


class TransferKindDefined(Happened, frozen=True, kw_only=True, tag="transfer-kind-defined.v1", gc=False):
    """Transfers of this kind may be made."""

    kind: KindName
    source_types: tuple[AccountType, ...] = ()
    destination_types: tuple[AccountType, ...] = ()


class BookDefined(Happened, frozen=True, kw_only=True, tag="book-defined.v1", gc=False):
    """The book is now this."""

    book: BookName
    name: DisplayName | None = None
    units: tuple[Unit, ...] = ()
    flags: tuple[Flag, ...] = ()
    accounts: tuple[AccountName, ...] = ()
    version: Version


class AccountChanged(Happened, frozen=True, kw_only=True, gc=False):
    """The account is now this; `state` is `frozen`, `closed` or absent."""

    account: AccountName
    account_type: AccountType
    policy: Policy
    floor: WireNumber | None = None
    flags: tuple[Flag, ...] = ()
    book: BookName | None = None
    alias: Alias | None = None
    state: str | None = None
    version: Version


class AccountOpened(AccountChanged, frozen=True, tag="account-opened.v1", gc=False):
    """The account exists, at version 1."""


class AccountUpdated(AccountChanged, frozen=True, tag="account-updated.v1", gc=False):
    """Policy, floor, flags, book or alias are said anew."""


class AccountFrozen(AccountChanged, frozen=True, tag="account-frozen.v1", gc=False):
    """Nothing goes in or out."""


class AccountUnfrozen(AccountChanged, frozen=True, tag="account-unfrozen.v1", gc=False):
    """The account takes part again."""


class AccountClosed(AccountChanged, frozen=True, tag="account-closed.v1", gc=False):
    """The account is closed, for good."""


class Posting(Struct, frozen=True, gc=False):
    """One signed amount on one account, with the account's totals in that unit after it."""

    account: AccountName
    unit: Unit
    amount: WireNumber
    debits: WireNumber
    credits: WireNumber


class HeldMovement(Struct, frozen=True, gc=False):
    """One amount promised by a source to a destination."""

    source: AccountName
    destination: AccountName
    unit: Unit
    amount: WireNumber


class TransferPosted(Happened, frozen=True, kw_only=True, tag="transfer-posted.v1", gc=False):
    """All `postings` took effect, together. Per unit they add up to zero."""

    kind: KindName
    postings: tuple[Posting, ...]
    book: BookName | None = None
    book_version: Version | None = None
    fee: WireNumber | None = None
    hold: CommandId | None = None
    final: bool = False
    reverses: Sequence | None = None
    ads: tuple[AdId, ...] = ()
    effective_at: Timestamp | None = None


class HoldPlaced(Happened, frozen=True, kw_only=True, tag="hold-placed.v1", gc=False):
    """The amounts are reserved until captured, released or expired."""

    movements: tuple[HeldMovement, ...]
    kind: KindName
    book: BookName | None = None
    expires_at: Timestamp | None = None


class HoldReleased(Happened, frozen=True, kw_only=True, tag="hold-released.v1", gc=False):
    """What remained of the hold was given back."""

    hold: CommandId
    movements: tuple[HeldMovement, ...]


class HoldExpired(Happened, frozen=True, kw_only=True, tag="hold-expired.v1", gc=False):
    """What remained of the hold was given back, because its time had come."""

    hold: CommandId
    movements: tuple[HeldMovement, ...]


class AdPosted(Happened, frozen=True, kw_only=True, tag="ad-posted.v1", gc=False):
    """The offer stands."""

    ad: AdId
    account: AccountName
    base: Unit
    quote: Unit
    rate: Rate
    limit: WireNumber | None = None


class AdWithdrawn(Happened, frozen=True, kw_only=True, tag="ad-withdrawn.v1", gc=False):
    """The offer is gone, for good."""

    ad: AdId


class CommandRefused(Happened, frozen=True, kw_only=True, tag="command-refused.v1", gc=False):
    """The rules said no, and nothing else happened."""

    command_type: str
    reason: Reason
    details: dict[str, str]


Event = (
    LedgerOpened
    | UnitDefined
    | AccountTypeDefined
    | TransferKindDefined
    | BookDefined
    | AccountOpened
    | AccountUpdated
    | AccountFrozen
    | AccountUnfrozen
    | AccountClosed
    | TransferPosted
    | HoldPlaced
    | HoldReleased
    | HoldExpired
    | AdPosted
    | AdWithdrawn
    | CommandRefused
)
