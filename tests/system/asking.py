"""Every command there is, as callers might say it who know more or less what is in the ledger."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from domain.state import Ledger
from schemas.events import Event, TransferPosted
from services.reading import time_of

Fields = dict[str, Any]

ACCOUNTS: Final = tuple(f"a{number}" for number in range(12))
PURSES: Final = tuple(f"purse{number}" for number in range(3))
CREDITS: Final = ("credit0", "credit1")
DEALERS: Final = ("dealer0", "dealer1")
UNITS: Final = ("QAZ", "USD", "RICE")
_RECENT: Final = 40


def opening(ledger: str) -> Iterator[Fields]:
    """Give what makes a ledger fit for the load."""
    yield {"type": "open-ledger.v1", "ledger": ledger}
    for unit, scale in (("USD", 2), ("RICE", 0)):
        yield {"type": "define-unit.v1", "unit": unit, "scale": scale, "ledger": ledger}
    for account, account_type in (("issuer", "issuer"), ("treasury", "treasury"), ("world", "external")):
        yield {"type": "open-account.v1", "account": account, "account_type": account_type, "ledger": ledger}
    for account in CREDITS:
        capped = {"account_type": "credit", "policy": "capped_overdraft", "floor": -500}
        yield {"type": "open-account.v1", "account": account, "ledger": ledger, **capped}
    for account in (*ACCOUNTS, *PURSES, *DEALERS, "spare"):
        more = {"alias": "@second"} if account == "a2" else {}
        yield {"type": "open-account.v1", "account": account, "flags": ["CUSTOMER"], "ledger": ledger, **more}
    rich = [(account, unit) for account in (*ACCOUNTS, *DEALERS) for unit in UNITS]
    movements = [{"source": "world", "destination": name, "unit": unit, "amount": 5000} for name, unit in rich]
    yield {"type": "transfer.v1", "kind": "deposit", "movements": movements, "ledger": ledger}


class Asking:
    """Makes commands up.

    Args:
        chance: decides which, and what they say.
        ledgers: as they are known, by name.
    """

    def __init__(self, chance: random.Random, ledgers: Mapping[str, Ledger]) -> None:
        self._chance = chance
        self._ledgers = ledgers
        self._number = 0
        self._transfers: dict[str, list[str]] = defaultdict(list)
        self._arrived: dict[tuple[str, str, str], list[tuple[str, int, int]]] = defaultdict(list)

    def command(self, ledger: str) -> Fields:
        """Make a command of any kind, payments most often."""
        (say,) = self._chance.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))
        fields = {"id": self.new_id(), **say(self, ledger), "ledger": ledger}
        if self._chance.random() < 0.1:
            fields["metadata"] = {"reference": "Größe → 漢字", "b": "", "a": str(self._number)}
        return fields

    def short(self) -> Fields:
        """Make a transfer in the short form."""
        source, destination = self._chance.choices(ACCOUNTS, k=2)
        fields = {"from_id": source, "to_id": destination, "currency": "QAZ", "amount": self._amount()}
        return fields | {"idempotency_key": self.new_id()}

    def new_id(self) -> str:
        """Make an id that was not used."""
        self._number += 1
        return f"command-{self._number}"

    def notice(self, event: Event) -> None:
        """Note what came of commands, so that others can refer to it: transfers, and what arrived in purses."""
        if isinstance(event, TransferPosted) and event.command is not None:
            recent = self._transfers[event.ledger]
            recent.append(event.command)
            del recent[:-_RECENT]
            for index, posting in enumerate(event.postings):
                if posting.account in PURSES and int(posting.amount) > 0:
                    arrived = self._arrived[event.ledger, posting.account, posting.unit]
                    arrived.append((f"{event.sequence}.{index}", int(posting.amount), int(posting.credits)))

    def _transfer(self, _: str) -> Fields:
        chance = self._chance
        fields: Fields = {"type": "transfer.v1", "movements": self._movements()}
        if chance.random() < 0.2:
            fields["fee"] = chance.choice([0, 1, "7"])
        if chance.random() < 0.1:
            fields["book"] = chance.choice(["shop", "nowhere"])
        if chance.random() < 0.1:
            pin = {"account": chance.choice(ACCOUNTS), "unit": "QAZ", "at_least": chance.randint(-10, 3000)}
            fields["expect"] = {"balances": [pin], "versions": {chance.choice(ACCOUNTS): chance.randint(1, 3)}}
        if chance.random() < 0.05:
            fields["effective_at"] = "2026-01-01T00:00:00Z"
        return fields

    def _deposit(self, _: str) -> Fields:
        return self._paid("deposit", "world", self._chance.choice([*ACCOUNTS, *PURSES, *DEALERS]))

    def _withdrawal(self, _: str) -> Fields:
        return self._paid("withdrawal", self._chance.choice(ACCOUNTS), "world")

    def _mint(self, _: str) -> Fields:
        return self._paid("mint", "issuer", self._chance.choice(ACCOUNTS))

    def _disbursement(self, _: str) -> Fields:
        return self._paid("disbursement", "treasury", self._chance.choice(ACCOUNTS))

    def _paid(self, kind: str, source: str, destination: str) -> Fields:
        movement = self._movement() | {"source": source, "destination": destination}
        return {"type": "transfer.v1", "kind": kind, "movements": [movement]}

    def _place_hold(self, _: str) -> Fields:
        fields: Fields = {"type": "place-hold.v1", "movements": self._movements()}
        if self._chance.random() < 0.7:
            fields["expires_at"] = time_of(time.time_ns() // 1_000_000 + self._chance.randint(0, 8000))
        return fields

    def _capture(self, ledger: str) -> Fields:
        chance, holds = self._chance, list(self._ledgers[ledger].holds.values())
        if not holds:
            return {"type": "capture-hold.v1", "hold": "none"}
        hold = chance.choice(holds)
        fields: Fields = {"type": "capture-hold.v1", "hold": hold.id, "final": chance.random() < 0.3}
        if chance.random() < 0.6:
            part = chance.choice(hold.parts)
            movement = {"source": part.source, "destination": part.destination, "unit": part.unit}
            fields["movements"] = [movement | {"amount": chance.randint(1, part.remaining + 2)}]
        return fields

    def _release(self, ledger: str) -> Fields:
        holds = list(self._ledgers[ledger].holds)
        return {"type": "release-hold.v1", "hold": self._chance.choice(holds or ["none"])}

    def _reverse(self, ledger: str) -> Fields:
        chance, done = self._chance, self._transfers[ledger]
        fields: Fields = {"type": "reverse-transfer.v1", "transfer": chance.choice([*done, "none"])}
        if chance.random() < 0.2:
            fields["movements"] = [self._movement()]
        return fields

    def _envelope(self, ledger: str) -> Fields:
        """Consume what is next in a purse, or what is not; give it on in two parts."""
        chance, purse, unit = self._chance, self._chance.choice(PURSES), self._chance.choice(UNITS)
        totals = self._ledgers[ledger].totals(purse, unit)
        arrived = self._arrived[ledger, purse, unit]
        arrived[:] = [posting for posting in arrived if posting[2] > totals.debits]
        consumed = arrived[: chance.randint(1, 3)] if chance.random() < 0.8 else arrived[1:2]
        parts = _split(sum(amount for _, amount, _ in consumed), chance)
        creates = [{"account": chance.choice(ACCOUNTS), "unit": unit, "amount": part} for part in parts]
        return {"type": "commit-envelope.v1", "consumes": [posting for posting, *_ in consumed], "creates": creates}

    def _post_ad(self, _: str) -> Fields:
        chance, (base, quote) = self._chance, self._chance.sample(UNITS, 2)
        fields: Fields = {"type": "post-ad.v1", "ad": f"ad-{self._number}", "account": chance.choice(DEALERS)}
        fields |= {"base": base, "quote": quote, "rate": chance.choice(["0.5", "1", "2.25", "0.333333333333333333"])}
        return fields | ({"limit": chance.randint(1, 500)} if chance.random() < 0.5 else {})

    def _withdraw_ad(self, ledger: str) -> Fields:
        ads = list(self._ledgers[ledger].ads)
        return {"type": "withdraw-ad.v1", "ad": self._chance.choice(ads if len(ads) > 8 else ["none"])}

    def _exchange(self, _: str) -> Fields:
        chance, (sell, buy) = self._chance, self._chance.sample(UNITS, 2)
        fields: Fields = {
            "type": "exchange.v1",
            "source": chance.choice(ACCOUNTS),
            "destination": chance.choice(ACCOUNTS),
        }
        return fields | {
            "sell": sell,
            "buy": buy,
            "amount": chance.randint(1, 60),
            "at_least": chance.choice([1, 1, 20]),
        }

    def _change_account(self, _: str) -> Fields:
        """Freeze, unfreeze, update or close one of a few accounts, so that most stay in use."""
        chance, account = self._chance, self._chance.choice(["a0", "a1", "@second", "spare", *CREDITS])
        said = chance.choice(["freeze", "unfreeze", "unfreeze", "update", "update", "close"])
        fields: Fields = {"type": f"{said}-account.v1", "account": "spare" if said == "close" else account}
        if said == "update":
            fields |= chance.choice(
                [
                    {"flags": ["CUSTOMER"]},
                    {"flags": []},
                    {"book": None},
                    {"floor": chance.randint(-900, 0)},
                    {"alias": None},
                ]
            )
        if chance.random() < 0.3:
            fields["expected_version"] = chance.randint(1, 4)
        return fields

    def _open_account(self, _: str) -> Fields:
        return {"type": "open-account.v1", "account": self._chance.choice(["spare", "a3", f"b{self._number}"])}

    def _define(self, _: str) -> Fields:
        says: Sequence[Fields] = (
            {"type": "define-unit.v1", "unit": "USD", "scale": 3},
            {"type": "define-unit.v1", "unit": f"U{self._number}", "scale": 0},
            {"type": "define-account-type.v1", "account_type": f"t{self._number}", "policies": ["no_overdraft"]},
            {"type": "define-transfer-kind.v1", "kind": f"k{self._number}", "source_types": ["user"]},
            {
                "type": "define-book.v1",
                "book": "shop",
                "units": ["QAZ"],
                "flags": ["CUSTOMER"],
                "accounts": [*ACCOUNTS[4:]],
            },
            {"type": "open-ledger.v1"},
        )
        return self._chance.choice(says)

    def _tick(self, _: str) -> Fields:
        return {"type": "tick.v1", "id": "tick"}

    def _movements(self) -> list[Fields]:
        return [self._movement() for _ in range(self._chance.choice([1, 1, 1, 1, 2, 3, 12]))]

    def _movement(self) -> Fields:
        chance = self._chance
        source, destination = chance.choices([*ACCOUNTS, *ACCOUNTS, *CREDITS, "@second"], k=2)
        amount: int | str = self._amount()
        amount = str(amount) if chance.random() < 0.1 else amount
        return {"source": source, "destination": destination, "unit": chance.choice(["QAZ", *UNITS]), "amount": amount}

    def _amount(self) -> int:
        return self._chance.choice([1, 2, 5, 10, 20, 50, 100, 700, 2**63 - 1 if self._chance.random() < 0.01 else 3])


_WEIGHTS: Final[dict[Callable[[Asking, str], Fields], int]] = {
    Asking._transfer: 40,
    Asking._deposit: 16,
    Asking._withdrawal: 3,
    Asking._mint: 3,
    Asking._disbursement: 2,
    Asking._place_hold: 8,
    Asking._capture: 6,
    Asking._release: 2,
    Asking._reverse: 6,
    Asking._envelope: 3,
    Asking._post_ad: 2,
    Asking._withdraw_ad: 2,
    Asking._exchange: 5,
    Asking._change_account: 3,
    Asking._open_account: 1,
    Asking._define: 1,
    Asking._tick: 2,
}


def _split(amount: int, chance: random.Random) -> list[int]:
    first = chance.randint(0, amount)
    return [part for part in (first, amount - first) if part]
