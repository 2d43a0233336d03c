"""The ladders of who and what may take part, and how: accounts, registries, books, ads."""

from typing import Final

from schemas.commands import (
    CloseAccount,
    DefineAccountType,
    DefineBook,
    DefineTransferKind,
    DefineUnit,
    FreezeAccount,
    OpenAccount,
    OpenLedger,
    PostAd,
    UnfreezeAccount,
    UpdateAccount,
    WithdrawAd,
)
from schemas.reasons import Reason
from schemas.values import Policy
from tests.domain.given import ALICE, CREDIT, GOLD, MINT, QAZ, USD
from tests.domain.ladders import COLD, GONE, MEMBERS, Fault, Ladder, fields_alone

_NO_ACCOUNT: Final = Fault(Reason.ACCOUNT_NOT_FOUND, {"account": "@nobody"}, fields={"account": "@nobody"})
_CLOSED: Final = Fault(Reason.ACCOUNT_CLOSED, {"account": GONE}, fields={"account": "@gone"})
_FROZEN: Final = Fault(Reason.ACCOUNT_FROZEN, {"account": COLD}, fields={"account": "@cold"})
_NO_BOOK: Final = Fault(Reason.BOOK_NOT_FOUND, {"book": "nowhere"}, fields={"book": "nowhere"})
_ALIAS: Final = Fault(Reason.ALIAS_TAKEN, {"alias": "@cold", "account": COLD}, fields={"alias": "@cold"})

_OPEN: Final = (
    Fault(Reason.ACCOUNT_EXISTS, {"account": ALICE}, fields={"account": ALICE}),
    _ALIAS,
    Fault(
        Reason.SINGLETON_EXISTS,
        {"account_type": "issuer", "account": MINT},
        fields={"account_type": "issuer"},
    ),
    Fault(Reason.UNKNOWN_ACCOUNT_TYPE, {"account_type": "pirate"}, fields={"account_type": "pirate"}),
    Fault(
        Reason.POLICY_NOT_ALLOWED,
        {"account_type": "user", "policy": "system"},
        fields={"account_type": "user", "policy": Policy.SYSTEM},
    ),
    Fault(
        Reason.INVALID_FLOOR,
        {"policy": "uncapped_overdraft", "floor": "5"},
        fields={"account_type": "credit", "policy": Policy.UNCAPPED_OVERDRAFT, "floor": 5},
    ),
    Fault(Reason.BOOK_NOT_FOUND, {"book": "nowhere"}, fields={"account": "new", "book": "nowhere"}),
)
_UPDATE: Final = (
    _ALIAS,
    Fault(
        Reason.POLICY_NOT_ALLOWED,
        {"account_type": "user", "policy": "system"},
        fields={"account": GONE, "policy": Policy.SYSTEM},
    ),
    Fault(
        Reason.INVALID_FLOOR,
        {"policy": "no_overdraft", "floor": "-9"},
        fields={"account": GONE, "policy": Policy.NO_OVERDRAFT, "floor": -9},
    ),
    _NO_ACCOUNT,
    Fault(Reason.ACCOUNT_CLOSED, {"account": GONE}, fields={"account": GONE, "policy": None, "floor": None}),
    _NO_BOOK,
    Fault(
        Reason.VERSION_MISMATCH,
        {"account": CREDIT, "expected": "2", "actual": "1"},
        fields={"expected_version": 2},
    ),
    Fault(
        Reason.OVERDRAFT_EXCEEDED,
        {"account": CREDIT, "unit": QAZ, "available": "-100", "requested": "0", "floor": "-99", "projected": "-100"},
        fields={"account": CREDIT, "policy": Policy.CAPPED_OVERDRAFT, "floor": -99},
    ),
)
_FREEZE: Final = (
    _NO_ACCOUNT,
    _CLOSED,
    _FROZEN,
    Fault(
        Reason.VERSION_MISMATCH,
        {"account": ALICE, "expected": "0", "actual": "1"},
        fields={"account": ALICE, "expected_version": 0},
    ),
)
_UNFREEZE: Final = (
    _NO_ACCOUNT,
    _CLOSED,
    Fault(Reason.ACCOUNT_NOT_FROZEN, {"account": ALICE}, fields={"account": ALICE}),
    Fault(
        Reason.VERSION_MISMATCH,
        {"account": COLD, "expected": "3", "actual": "2"},
        fields={"account": COLD, "expected_version": 3},
    ),
)
_CLOSE: Final = (
    _NO_ACCOUNT,
    _CLOSED,
    Fault(
        Reason.VERSION_MISMATCH,
        {"account": ALICE, "expected": "0", "actual": "1"},
        fields={"expected_version": 0},
    ),
    Fault(
        Reason.ACCOUNT_NOT_EMPTY,
        {"account": ALICE, "unit": QAZ, "balance": "995"},
        fields={"account": ALICE},
    ),
)
_POST_AD: Final = (
    Fault(Reason.AD_EXISTS, {"ad": "ad"}, fields={"ad": "ad"}),
    _NO_ACCOUNT,
    Fault(Reason.UNKNOWN_UNIT, {"unit": GOLD}, fields={"quote": GOLD}),
    _CLOSED,
    Fault(
        Reason.ACCOUNT_FROZEN,
        {"account": COLD},
        fields={"ad": "new", "account": COLD, "base": USD, "quote": QAZ, "rate": "1"},
    ),
)

ON_TERMS: Final = (
    Ladder(OpenLedger, (Fault(Reason.LEDGER_EXISTS, {"ledger": "main"}),), fields_alone),
    Ladder(
        DefineUnit,
        (Fault(Reason.UNIT_EXISTS, {"unit": QAZ}, fields={"unit": QAZ, "scale": 2}),),
        fields_alone,
    ),
    Ladder(
        DefineAccountType,
        (
            Fault(
                Reason.ACCOUNT_TYPE_EXISTS,
                {"account_type": "user"},
                fields={"account_type": "user", "policies": (Policy.SYSTEM,)},
            ),
        ),
        fields_alone,
    ),
    Ladder(
        DefineTransferKind,
        (
            Fault(Reason.KIND_EXISTS, {"kind": "fee"}, fields={"kind": "fee"}),
            Fault(
                Reason.UNKNOWN_ACCOUNT_TYPE,
                {"account_type": "pirate"},
                fields={"kind": "raid", "source_types": ("user",), "destination_types": ("pirate",)},
            ),
        ),
        fields_alone,
    ),
    Ladder(
        DefineBook,
        (
            Fault(
                Reason.VERSION_MISMATCH,
                {"book": MEMBERS, "expected": "0", "actual": "1"},
                fields={"book": MEMBERS, "expected_version": 0},
            ),
        ),
        fields_alone,
    ),
    Ladder(OpenAccount, _OPEN, fields_alone),
    Ladder(UpdateAccount, _UPDATE, fields_alone),
    Ladder(FreezeAccount, _FREEZE, fields_alone),
    Ladder(UnfreezeAccount, _UNFREEZE, fields_alone),
    Ladder(CloseAccount, _CLOSE, fields_alone),
    Ladder(PostAd, _POST_AD, fields_alone),
    Ladder(WithdrawAd, (Fault(Reason.AD_NOT_FOUND, {"ad": "none"}, fields={"ad": "none"}),), fields_alone),
)
