"""What every ledger begins with: a unit, types of account and kinds of transfer."""

from typing import Final

from domain.state import Admission, Kind, Ledger, TypeOfAccount
from schemas.values import Policy

_ISSUER: Final = frozenset({"issuer"})
_HOUSE: Final = frozenset({"issuer", "treasury"})
_OUTSIDE: Final = frozenset({"external", "system"})

UNITS: Final = {"QAZ": 2}
ACCOUNT_TYPES: Final = {
    "user": TypeOfAccount((Policy.NO_OVERDRAFT,)),
    "issuer": TypeOfAccount((Policy.SYSTEM,), singleton=True),
    "treasury": TypeOfAccount((Policy.NO_OVERDRAFT,), singleton=True),
    "external": TypeOfAccount((Policy.EXTERNAL,)),
    "system": TypeOfAccount((Policy.SYSTEM, Policy.UNCAPPED_OVERDRAFT)),
    "credit": TypeOfAccount((Policy.CAPPED_OVERDRAFT, Policy.UNCAPPED_OVERDRAFT)),
}
KINDS: Final = {
    "transfer": Kind(Admission(never=_HOUSE), Admission(never=_ISSUER)),
    "mint": Kind(Admission(only=_ISSUER), Admission(never=_ISSUER)),
    "burn": Kind(Admission(never=_ISSUER), Admission(only=_ISSUER)),
    "deposit": Kind(Admission(only=_OUTSIDE), Admission(never=_ISSUER)),
    "withdrawal": Kind(Admission(never=_HOUSE), Admission(only=_OUTSIDE)),
    "disbursement": Kind(Admission(only=frozenset({"treasury"})), Admission(never=_ISSUER)),
}
OWN_KINDS: Final = frozenset({"fee", "exchange", "reversal", "capture", "envelope"})
"""The ledger's own: no command names or defines one."""


def built_in(ledger: Ledger) -> None:
    """Put the registries in place that every ledger starts with."""
    for unit, scale in UNITS.items():
        ledger.add_unit(unit, scale)
    ledger.account_types.update(ACCOUNT_TYPES)
    ledger.kinds.update(KINDS)
