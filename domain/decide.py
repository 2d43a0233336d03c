"""The one door: a command comes in, and what has happened comes out.

Law: the same ledger, command, time and facts give the same event, everywhere and always. Nothing that a caller can send
makes it raise.
"""

from typing import assert_never

from domain import accounts, books, envelopes, exchange, holds, registries, reversals, transfers
from domain.facts import NO_FACTS, Facts
from domain.ledger import apply
from domain.state import Ledger
from schemas.commands import (
    CaptureHold,
    CloseAccount,
    Command,
    CommitEnvelope,
    DefineAccountType,
    DefineBook,
    DefineTransferKind,
    DefineUnit,
    Exchange,
    FreezeAccount,
    OpenAccount,
    OpenLedger,
    PlaceHold,
    PostAd,
    ReleaseHold,
    ReverseTransfer,
    Tick,
    Transfer,
    UnfreezeAccount,
    UpdateAccount,
    WithdrawAd,
)
from schemas.events import Event, HoldExpired

Terms = (
    OpenAccount
    | UpdateAccount
    | FreezeAccount
    | UnfreezeAccount
    | CloseAccount
    | DefineBook
    | DefineUnit
    | DefineAccountType
    | DefineTransferKind
    | OpenLedger
    | Tick
)


def lapse(ledger: Ledger, at: str, most: int | None = None) -> list[HoldExpired]:
    """Let holds expire that have come due, the first `most` of them or all: the rest expires when asked again."""
    expired = holds.due(ledger, at, most)
    for event in expired:
        apply(ledger, event)
    return expired


def decide(ledger: Ledger, command: Command, at: str, facts: Facts = NO_FACTS) -> Event:
    """Decide one command: what it brings about, or why not. Pure: what a ledger says is read, and never changed."""
    # Nearly all are transfers, and to find the first case of a `match` takes longer than to ask.
    if isinstance(command, Transfer):
        return transfers.post(ledger, command, at)
    match command:
        case PlaceHold():
            return holds.place(ledger, command, at)
        case CaptureHold():
            return holds.capture(ledger, command, at)
        case ReleaseHold():
            return holds.release(ledger, command, at)
        case ReverseTransfer():
            return reversals.reverse(ledger, command, at, facts)
        case CommitEnvelope():
            return envelopes.commit(ledger, command, at, facts)
        case Exchange():
            return exchange.exchange(ledger, command, at)
        case PostAd():
            return exchange.post_ad(ledger, command, at)
        case WithdrawAd():
            return exchange.withdraw_ad(ledger, command, at)
        case _:
            return _decide_on_terms(ledger, command, at)


def _decide_on_terms(ledger: Ledger, command: Terms, at: str) -> Event:
    """Decide what moves nothing: who and what may take part, and how."""
    match command:
        case OpenAccount():
            return accounts.open_account(ledger, command, at)
        case UpdateAccount():
            return accounts.update(ledger, command, at)
        case FreezeAccount():
            return accounts.freeze(ledger, command, at)
        case UnfreezeAccount():
            return accounts.unfreeze(ledger, command, at)
        case CloseAccount():
            return accounts.close(ledger, command, at)
        case DefineBook():
            return books.define(ledger, command, at)
        case DefineUnit():
            return registries.define_unit(ledger, command, at)
        case DefineAccountType():
            return registries.define_account_type(ledger, command, at)
        case DefineTransferKind():
            return registries.define_transfer_kind(ledger, command, at)
        case OpenLedger():
            return registries.open_ledger(ledger, command, at)
        case Tick():
            raise AssertionError("a tick has no outcome of its own; `lapse` lets time pass")
        case _:
            assert_never(command)
