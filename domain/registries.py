"""What a ledger counts, and which types of account and kinds of transfer it knows."""

from domain.beginning import OWN_KINDS
from domain.refusals import happening, objection, refused
from domain.state import Ledger
from schemas.commands import DefineAccountType, DefineTransferKind, DefineUnit, OpenLedger
from schemas.events import AccountTypeDefined, CommandRefused, LedgerOpened, TransferKindDefined, UnitDefined
from schemas.reasons import Reason


def open_ledger(ledger: Ledger, command: OpenLedger, at: str) -> LedgerOpened | CommandRefused:
    """Start the ledger, unless it has started."""
    if ledger.sequence:
        return refused(ledger, command, at, objection(Reason.LEDGER_EXISTS, ledger=ledger.name))
    return LedgerOpened(**happening(ledger, command, at))


def define_unit(ledger: Ledger, command: DefineUnit, at: str) -> UnitDefined | CommandRefused:
    """Register the unit, unless it is known: the scale of a unit never changes."""
    if command.unit in ledger.units:
        return refused(ledger, command, at, objection(Reason.UNIT_EXISTS, unit=command.unit))
    return UnitDefined(**happening(ledger, command, at), unit=command.unit, scale=command.scale, name=command.name)


def define_account_type(ledger: Ledger, command: DefineAccountType, at: str) -> AccountTypeDefined | CommandRefused:
    """Add the type, unless it is known."""
    if command.account_type in ledger.account_types:
        return refused(ledger, command, at, objection(Reason.ACCOUNT_TYPE_EXISTS, account_type=command.account_type))
    return AccountTypeDefined(
        **happening(ledger, command, at),
        account_type=command.account_type,
        policies=command.policies,
        singleton=command.singleton,
    )


def define_transfer_kind(ledger: Ledger, command: DefineTransferKind, at: str) -> TransferKindDefined | CommandRefused:
    """Add the kind, unless it is known or the ledger's own."""
    if command.kind in ledger.kinds or command.kind in OWN_KINDS:
        return refused(ledger, command, at, objection(Reason.KIND_EXISTS, kind=command.kind))
    for account_type in (*command.source_types, *command.destination_types):
        if account_type not in ledger.account_types:
            return refused(ledger, command, at, objection(Reason.UNKNOWN_ACCOUNT_TYPE, account_type=account_type))
    return TransferKindDefined(
        **happening(ledger, command, at),
        kind=command.kind,
        source_types=command.source_types,
        destination_types=command.destination_types,
    )
