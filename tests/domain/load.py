"""Commands as they may come: every type of them, mostly sensible, often refused, drawn from one source of randomness.

The same load serves the laws under hypothesis, which draws and shrinks the choices, and runs with a seed.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

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
from schemas.events import AccountOpened, AdPosted, Event, HoldPlaced, TransferPosted
from schemas.values import LARGEST, BalancePin, Creation, Expect, Movement, Policy, timestamp
from tests.domain.given import ALICE, BOB, CAROL, CASH, CREDIT, GOLD, MINT, NOBODY, QAZ, USD, VAULT, opened

EUR: Final = "EUR"
LOAN: Final = "loan"
UNITS: Final = (QAZ, QAZ, USD, EUR)
USERS: Final = (ALICE, "@alice", BOB, CAROL, CREDIT, LOAN)
ANYONE: Final = (*USERS, *USERS, CASH, MINT, VAULT, NOBODY)
AMOUNTS: Final = (1, 1, 7, 20, 60, 150)
OPENING: Final[tuple[Command, ...]] = (
    OpenLedger(id="ledger"),
    DefineUnit(id="usd", unit=USD, scale=2),
    DefineUnit(id="eur", unit=EUR, scale=0),
    opened(CASH, "external"),
    opened(MINT, "issuer"),
    opened(ALICE, alias="@alice", flags=("A",)),
    opened(BOB, flags=("A", "B")),
    opened(CAROL),
    opened(CREDIT, "credit", policy=Policy.CAPPED_OVERDRAFT, floor=-100),
    opened(LOAN, "credit", policy=Policy.UNCAPPED_OVERDRAFT),
    DefineBook(id="book", book="till", flags=("A",), accounts=(CASH, LOAN)),
    DefineBook(id="euros", book="euros", units=(EUR,)),
)


class Load:
    """One stream of commands for one ledger.

    Args:
        source: of randomness.
    """

    def __init__(self, source: random.Random) -> None:
        self._source = source
        self._count = 0
        self._transfers = ["nothing"]
        self._holds: list[tuple[str, tuple[Movement, ...]]] = [("nothing", (Movement(ALICE, BOB, QAZ, 1),))]
        self._ads = ["nothing"]
        self._postings = ["1.0"]
        self._accounts = [NOBODY]

    def hear(self, events: Sequence[Event]) -> None:
        """Learn what came of earlier commands, so that later ones can name it."""
        for event in events:
            match event:
                case TransferPosted():
                    self._transfers.append(str(event.command))
                    for index, posting in enumerate(event.postings):
                        if int(posting.amount) > 0:
                            self._postings.append(f"{event.sequence}.{index}")
                case HoldPlaced():
                    movements = [Movement(m.source, m.destination, m.unit, int(m.amount)) for m in event.movements]
                    self._holds.append((str(event.command), tuple(movements)))
                case AccountOpened():
                    self._accounts.append(event.account)
                case AdPosted():
                    self._ads.append(event.ad)
                case _:
                    pass

    def command(self, at: str) -> Command:
        """Give the next command; what it says of times is about `at`."""
        self._count += 1
        makes, weights = zip(*_MAKES, strict=True)
        make: Callable[[Load, str], Command] = self._source.choices(makes, weights)[0]
        return make(self, at)

    def _id(self) -> str:
        return f"c{self._count}"

    def _one(self, *among: Any) -> Any:
        return self._source.choice(among)

    def _recent(self, among: Sequence[Any]) -> Any:
        return self._source.choice(among[-6:])

    def _amount(self) -> int:
        return LARGEST if self._source.random() < 0.003 else self._one(*AMOUNTS)

    def _movement(self, among: Sequence[str] = USERS) -> Movement:
        source, destination = self._source.sample(among, 2)
        unit = GOLD if self._source.random() < 0.01 else self._one(*UNITS)
        return Movement(source, destination, unit, self._amount())

    def _movements(self, most: int = 3) -> tuple[Movement, ...]:
        return tuple(self._movement() for _ in range(self._one(*range(1, most + 1))))

    def _deposit(self, _: str) -> Command:
        movement = Movement(CASH, self._one(*USERS), self._one(*UNITS), self._amount())
        return Transfer(id=self._id(), kind="deposit", movements=(movement,))

    def _transfer(self, _: str) -> Command:
        pin = BalancePin(account=self._one(*USERS), unit=QAZ, at_least=self._one(None, 0, 50), at_most=LARGEST)
        expect = Expect(versions=self._one(None, {self._one(*USERS): 1}), balances=(pin,))
        return Transfer(
            id=self._id(),
            movements=self._movements(),
            kind=self._one("transfer", "transfer", "transfer", "burn", "sale"),
            book=self._one(None, None, None, None, "till", "euros", "nowhere"),
            fee=self._one(None, None, 1),
            expect=self._one(None, None, expect),
            metadata=self._one({}, {"b": "2", "a": "1"}),
        )

    def _odd_transfer(self, _: str) -> Command:
        kind = self._one("mint", "withdrawal", "disbursement", "transfer", "deposit")
        return Transfer(id=self._id(), kind=kind, movements=(self._movement(ANYONE),))

    def _hold(self, at: str) -> Command:
        expires_at = self._one(None, at, timestamp(at[:17] + "59Z"))
        return PlaceHold(id=self._id(), movements=self._movements(), expires_at=expires_at)

    def _capture(self, _: str) -> Command:
        hold, movements = self._recent(self._holds)
        some = tuple(Movement(m.source, m.destination, m.unit, self._one(1, m.amount, 200)) for m in movements[:2])
        return CaptureHold(id=self._id(), hold=hold, movements=self._one(None, some), final=self._one(True, False))

    def _release(self, _: str) -> Command:
        return ReleaseHold(id=self._id(), hold=self._recent(self._holds)[0])

    def _reverse(self, _: str) -> Command:
        movements = self._one(None, None, (self._movement(),))
        return ReverseTransfer(id=self._id(), transfer=self._recent(self._transfers), movements=movements)

    def _envelope(self, _: str) -> Command:
        amount = self._amount()
        creates = (Creation(self._one(CASH, LOAN, BOB), QAZ, -amount), Creation(self._one(*USERS), QAZ, amount))
        posting = self._recent(self._postings)
        return CommitEnvelope(
            id=self._id(),
            consumes=self._one((), (), (posting,), (posting, posting)),
            creates=self._one((), creates, creates, creates),
            versions=self._one({}, {ALICE: 1}),
        )

    def _passing_on(self, _: str) -> Command:
        consumed = self._one(*self._postings)
        creates = tuple(Creation(self._one(*USERS), unit, amount) for unit, amount in ((self._one(*UNITS), 20),))
        return CommitEnvelope(id=self._id(), consumes=(consumed,), creates=creates)

    def _exchange(self, _: str) -> Command:
        sell, buy = self._source.sample((QAZ, USD, EUR), 2)
        return Exchange(
            id=self._id(),
            source=self._one(*USERS),
            destination=self._one(*USERS),
            sell=sell,
            amount=self._one(*AMOUNTS),
            buy=buy,
            at_least=self._one(1, 1, 40),
        )

    def _ad(self, _: str) -> Command:
        base, quote = self._source.sample((QAZ, USD, EUR), 2)
        rate, limit = self._one("1", "0.5", "2.75", "100"), self._one(None, 50)
        account = self._one(*USERS, CASH)
        ad = self._one(self._id(), self._id(), self._id(), self._recent(self._ads))
        return PostAd(id=self._id(), ad=ad, account=account, base=base, quote=quote, rate=rate, limit=limit)

    def _unad(self, _: str) -> Command:
        return WithdrawAd(id=self._id(), ad=self._recent(self._ads))

    def _update(self, _: str) -> Command:
        said = self._one(
            {"alias": self._one("@alice", "@alice", "@bob", None)},
            {"flags": ("A",)},
            {"book": self._one("till", None)},
            {"floor": self._one(-10, -500)},
            {"policy": Policy.CAPPED_OVERDRAFT, "floor": -200},
        )
        return UpdateAccount(id=self._id(), account=self._one(*USERS), **said)

    def _stop(self, _: str) -> Command:
        user, other = self._one(*USERS), self._recent(self._accounts)
        # Who is stopped is mostly let go again, and only those are closed whom nobody will miss.
        again = [(UnfreezeAccount, self._one(*USERS)) for _ in range(6)]
        of_other = [(FreezeAccount, other), (UnfreezeAccount, other), (CloseAccount, other)]
        stop, account = self._one((FreezeAccount, user), *again, *of_other)
        made: Command = stop(id=self._id(), account=account, expected_version=self._one(None, None, 1, 2))
        return made

    def _define(self, _: str) -> Command:
        made: Command = self._one(
            OpenLedger(id=self._id()),
            DefineUnit(id=self._id(), unit=self._one(QAZ, f"U{self._count}"), scale=0),
            DefineAccountType(id=self._id(), account_type="shop", policies=(Policy.NO_OVERDRAFT,), singleton=True),
            DefineTransferKind(id=self._id(), kind="sale", destination_types=(self._one("shop", "user", "pirate"),)),
            DefineBook(
                id=self._id(), book="till", flags=("A",), accounts=(CASH, LOAN), expected_version=self._one(None, 1)
            ),
            OpenAccount(
                id=self._id(), account=self._one(f"a{self._count}", ALICE), account_type=self._one("user", "shop")
            ),
            opened(VAULT, "treasury", flags=("A",)),
        )
        return made

    def _tick(self, _: str) -> Command:
        return Tick(id=self._id())


_MAKES: Final[tuple[tuple[Callable[[Load, str], Command], int], ...]] = (
    (Load._deposit, 6),
    (Load._transfer, 8),
    (Load._odd_transfer, 2),
    (Load._hold, 6),
    (Load._capture, 4),
    (Load._release, 1),
    (Load._reverse, 3),
    (Load._envelope, 2),
    (Load._passing_on, 3),
    (Load._exchange, 4),
    (Load._ad, 3),
    (Load._unad, 1),
    (Load._update, 2),
    (Load._stop, 4),
    (Load._define, 2),
    (Load._tick, 1),
)
