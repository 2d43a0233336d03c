"""The ladders of what moves: transfers, holds, captures, reversals, envelopes, exchanges."""

from typing import Final

from schemas.commands import CaptureHold, CommitEnvelope, Exchange, PlaceHold, ReleaseHold, ReverseTransfer, Transfer
from schemas.reasons import Reason
from schemas.values import LARGEST, BalancePin, Creation
from tests.domain.given import ALICE, BOB, CAROL, CASH, CREDIT, GOLD, MINT, NOBODY, QAZ, USD, movement
from tests.domain.ladders import (
    COLD,
    FULL,
    GONE,
    MEMBERS,
    NARROW,
    SPENT,
    WORLD,
    Fault,
    Ladder,
    fields_alone,
    with_movements,
    with_postings,
)

_UNKNOWN: Final = Fault(Reason.ACCOUNT_NOT_FOUND, {"account": NOBODY}, (movement(NOBODY, BOB, 1),))
_PARTIES: Final = (
    _UNKNOWN,
    Fault(Reason.SAME_ACCOUNT, {"account": ALICE}, (movement(ALICE, ALICE, 1),)),
    Fault(Reason.UNKNOWN_UNIT, {"unit": GOLD}, (movement(ALICE, BOB, 1, GOLD),)),
    Fault(Reason.ACCOUNT_CLOSED, {"account": GONE}, (movement(ALICE, GONE, 1),)),
    Fault(Reason.ACCOUNT_FROZEN, {"account": COLD}, (movement(ALICE, "@cold", 1),)),
    Fault(Reason.UNKNOWN_KIND, {"kind": "reversal"}, fields={"kind": "reversal"}),
    Fault(
        Reason.ACCOUNT_TYPE_NOT_ALLOWED, {"account": MINT, "account_type": "issuer"}, (movement(ALICE, MINT, 1, USD),)
    ),
)
_NO_BOOK: Final = Fault(Reason.BOOK_NOT_FOUND, {"book": "nowhere"}, fields={"book": "nowhere"})
_BOOKS: Final = (
    _NO_BOOK,
    Fault(
        Reason.BOOK_UNIT_NOT_ALLOWED, {"book": NARROW, "unit": USD}, (movement(BOB, ALICE, 1, USD),), {"book": NARROW}
    ),
    Fault(Reason.BOOK_ACCOUNT_NOT_ALLOWED, {"book": MEMBERS, "account": CASH}, fields={"book": MEMBERS}),
)
_SUMS: Final = (
    Fault(Reason.OVERFLOW, {"account": CASH, "unit": QAZ}, (movement(CASH, BOB, LARGEST),)),
    Fault(
        Reason.INSUFFICIENT_FUNDS,
        {"account": ALICE, "unit": QAZ, "available": "980", "requested": "982"},
        (movement(ALICE, BOB, 982),),
    ),
    Fault(
        Reason.OVERDRAFT_EXCEEDED,
        {
            "account": CREDIT,
            "unit": QAZ,
            "available": "-100",
            "requested": "1",
            "floor": "-100",
            "projected": "-101",
        },
        (movement(CREDIT, BOB, 1),),
    ),
)
_TRANSFER: Final = (
    *_PARTIES,
    Fault(Reason.TREASURY_NOT_FOUND, {}, fields={"fee": 1}),
    *_BOOKS,
    Fault(
        Reason.VERSION_MISMATCH,
        {"account": ALICE, "expected": "9", "actual": "1"},
        fields={"versions": {CAROL: 9, ALICE: 9}},
    ),
    Fault(
        Reason.EXPECTATION_FAILED,
        {"account": ALICE, "unit": QAZ, "expected": "997", "actual": "995"},
        fields={"balances": (BalancePin(account=ALICE, unit=QAZ, at_least=997),)},
    ),
    *_SUMS,
)
_CAPTURE: Final = (
    Fault(Reason.HOLD_NOT_OPEN, {"hold": "nothing"}, fields={"hold": "nothing"}),
    Fault(
        Reason.MOVEMENT_NOT_FOUND,
        {"source": ALICE, "destination": "@nobody", "unit": QAZ},
        (movement(ALICE, "@nobody", 1),),
        {"hold": "h"},
    ),
    Fault(
        Reason.AMOUNT_EXCEEDS_REMAINING,
        {"source": ALICE, "destination": COLD, "unit": QAZ, "remaining": "5", "requested": "8"},
        (movement(ALICE, "@cold", 3), movement(ALICE, COLD, 4)),
    ),
    Fault(Reason.ACCOUNT_FROZEN, {"account": COLD}, (movement(ALICE, COLD, 1),)),
    Fault(Reason.BOOK_UNIT_NOT_ALLOWED, {"book": NARROW, "unit": USD}, (movement(ALICE, BOB, 5, USD),)),
    Fault(Reason.BOOK_ACCOUNT_NOT_ALLOWED, {"book": NARROW, "account": CAROL}, (movement(ALICE, CAROL, 5),)),
    Fault(Reason.OVERFLOW, {"account": FULL, "unit": QAZ}, (movement(ALICE, FULL, 5),), {"hold": "h"}),
)
_REVERSAL: Final = (
    Fault(Reason.TRANSFER_NOT_FOUND, {"transfer": "freeze"}, fields={"transfer": "freeze"}),
    Fault(
        Reason.MOVEMENT_NOT_FOUND,
        {"source": BOB, "destination": ALICE, "unit": USD},
        (movement(BOB, ALICE, 1, USD),),
        {"transfer": "t"},
    ),
    Fault(
        Reason.AMOUNT_EXCEEDS_REMAINING,
        {"source": ALICE, "destination": GONE, "unit": QAZ, "remaining": "1", "requested": "2"},
        (movement(ALICE, GONE, 1),),
    ),
    Fault(
        Reason.ALREADY_REVERSED,
        {"transfer": "done", "remaining": "0"},
        only={"transfer": "done", "movements": None},
    ),
    Fault(Reason.ACCOUNT_CLOSED, {"account": GONE}, (movement(ALICE, GONE, 1),), {"transfer": "t"}),
    Fault(Reason.ACCOUNT_FROZEN, {"account": COLD}, (movement(ALICE, COLD, 1),)),
    Fault(Reason.BOOK_UNIT_NOT_ALLOWED, {"book": NARROW, "unit": USD}, (movement(ALICE, BOB, 1, USD),)),
    Fault(Reason.BOOK_ACCOUNT_NOT_ALLOWED, {"book": NARROW, "account": CAROL}, (movement(ALICE, CAROL, 1),)),
    Fault(Reason.OVERFLOW, {"account": FULL, "unit": QAZ}, (movement(FULL, BOB, 1),)),
    Fault(
        Reason.INSUFFICIENT_FUNDS,
        {"account": SPENT, "unit": QAZ, "available": "0", "requested": "1"},
        (movement(ALICE, SPENT, 1),),
    ),
    Fault(
        Reason.OVERDRAFT_EXCEEDED,
        {"account": CREDIT, "unit": QAZ, "available": "-100", "requested": "1", "floor": "-100", "projected": "-101"},
        (movement(ALICE, CREDIT, 1),),
        {"transfer": "t"},
    ),
)
_ENVELOPE: Final = (
    Fault(Reason.POSTING_NOT_FOUND, {"posting": "999.0"}, ("999.0",)),
    Fault(Reason.EMPTY_TRANSFER, {}, only={"consumes": (), "creates": ()}),
    Fault(Reason.DUPLICATE_POSTING, {"posting": WORLD.posting("done", 1)}, (WORLD.posting("done", 1),) * 2),
    Fault(Reason.ACCOUNT_NOT_FOUND, {"account": NOBODY}, (Creation(NOBODY, QAZ, 1),)),
    Fault(Reason.UNKNOWN_UNIT, {"unit": GOLD}, (Creation(BOB, GOLD, 1),)),
    Fault(Reason.ACCOUNT_CLOSED, {"account": GONE}, (Creation("@gone", QAZ, 1),)),
    Fault(Reason.ACCOUNT_FROZEN, {"account": COLD}, (Creation(COLD, QAZ, 1),)),
    _NO_BOOK,
    Fault(Reason.BOOK_UNIT_NOT_ALLOWED, {"book": NARROW, "unit": USD}, (Creation(BOB, USD, 1),), {"book": NARROW}),
    Fault(Reason.BOOK_ACCOUNT_NOT_ALLOWED, {"book": MEMBERS, "account": SPENT}, fields={"book": MEMBERS}),
    Fault(
        Reason.VERSION_MISMATCH,
        {"account": FULL, "expected": "0", "actual": "1"},
        fields={"versions": {CAROL: 9, "@full": 0}},
    ),
    Fault(Reason.POSTING_ALREADY_CONSUMED, {"posting": WORLD.posting("t", 11)}, (WORLD.posting("t", 11),)),
    Fault(
        Reason.POSTING_NOT_NEXT,
        {"posting": WORLD.posting("deposit-alice", 1)},
        (WORLD.posting("deposit-alice", 1),),
    ),
    Fault(
        Reason.CONSERVATION_VIOLATION,
        {"unit": QAZ, "consumed": "0", "created": "7"},
        (Creation(BOB, USD, 7), Creation(BOB, QAZ, 7)),
    ),
    Fault(
        Reason.NEGATIVE_POSTING,
        {"account": BOB, "unit": QAZ, "amount": "-1"},
        (Creation(BOB, QAZ, -1), Creation(CAROL, QAZ, 1)),
    ),
    Fault(
        Reason.OVERFLOW,
        {"account": CASH, "unit": QAZ},
        (Creation(CASH, QAZ, -LARGEST), Creation(CAROL, QAZ, LARGEST)),
    ),
    Fault(
        Reason.OVERDRAFT_EXCEEDED,
        {"account": CREDIT, "unit": QAZ, "available": "-100", "requested": "1", "floor": "-100", "projected": "-101"},
        (Creation(CREDIT, QAZ, -1), Creation(CAROL, QAZ, 1)),
    ),
)

_EXCHANGE: Final = (
    Fault(Reason.ACCOUNT_NOT_FOUND, {"account": NOBODY}, fields={"destination": NOBODY}),
    Fault(Reason.UNKNOWN_UNIT, {"unit": GOLD}, fields={"buy": GOLD}),
    Fault(Reason.ACCOUNT_CLOSED, {"account": GONE}, fields={"source": COLD, "destination": "@gone"}),
    Fault(Reason.ACCOUNT_FROZEN, {"account": COLD}, fields={"destination": COLD}),
    _NO_BOOK,
    Fault(Reason.BOOK_UNIT_NOT_ALLOWED, {"book": NARROW, "unit": USD}, fields={"book": NARROW, "destination": CAROL}),
    Fault(Reason.BOOK_ACCOUNT_NOT_ALLOWED, {"book": MEMBERS, "account": CASH}, fields={"book": MEMBERS}),
    Fault(Reason.OVERFLOW, {"account": CASH, "unit": QAZ}, fields={"source": CASH, "amount": LARGEST}),
    Fault(
        Reason.INSUFFICIENT_FUNDS,
        {"account": ALICE, "unit": QAZ, "available": "980", "requested": "982"},
        fields={"source": ALICE, "amount": 982},
    ),
    Fault(
        Reason.OVERDRAFT_EXCEEDED,
        {"account": CREDIT, "unit": QAZ, "available": "-100", "requested": "1", "floor": "-100", "projected": "-101"},
        fields={"source": CREDIT},
    ),
    Fault(Reason.NO_ROUTE, {"sell": QAZ, "buy": USD}, fields={"sell": QAZ, "buy": USD}),
    Fault(
        Reason.BELOW_AT_LEAST,
        {"unit": QAZ, "available": "1", "requested": "2"},
        fields={"source": ALICE, "destination": ALICE, "sell": USD, "amount": 1, "buy": QAZ, "at_least": 2},
    ),
)

MOVING: Final = (
    Ladder(Transfer, _TRANSFER, with_movements),
    Ladder(PlaceHold, (*_PARTIES, *_BOOKS, *_SUMS), with_movements),
    Ladder(CaptureHold, _CAPTURE, with_movements),
    Ladder(ReleaseHold, _CAPTURE[:1], fields_alone),
    Ladder(ReverseTransfer, _REVERSAL, with_movements),
    Ladder(CommitEnvelope, _ENVELOPE, with_postings),
    Ladder(Exchange, _EXCHANGE, fields_alone),
)
