"""Ads and exchanges, told."""

from typing import Any

import pytest

from domain.exchange import gives, quote
from domain.state import Ad
from schemas.commands import Command, DefineUnit, Exchange, FreezeAccount, PostAd, WithdrawAd
from schemas.events import TransferPosted
from schemas.reasons import Reason
from tests.domain.given import ALICE, BOB, CAROL, CASH, QAZ, USD, Story, deposit, given, moved, opened, reverse

EUR = "EUR"
DESK = "desk"
"""Gives whatever is asked of it."""


def ad(name: str, base: str, sold_for: str, rate: str, account: str = DESK, **said: Any) -> PostAd:
    """Offer to take one unit and give another."""
    return PostAd(id=f"ad-{name}", ad=name, account=account, base=base, quote=sold_for, rate=rate, **said)


def sale(amount: int, sell: str, buy: str, at_least: int = 1, **said: Any) -> Exchange:
    """Sell for Alice, to Alice."""
    parties = {"id": "x", "source": ALICE, "destination": ALICE}
    return Exchange(**{**parties, **said}, sell=sell, amount=amount, buy=buy, at_least=at_least)


def market(*ads: Command) -> Story:
    """Open the market, with 1,000 dollars on Alice."""
    return given(DefineUnit(id="eur", unit=EUR, scale=0), opened(DESK, "system"), deposit(ALICE, 1000, USD), *ads)


def test_a_sale_is_one_transfer_through_the_ads_account() -> None:
    story = market(ad("one", USD, QAZ, "0.92"))

    event = story.ask(sale(500, USD, QAZ, 460))

    assert isinstance(event, TransferPosted)
    assert (event.kind, event.ads) == ("exchange", ("one",))
    assert moved(event) == [(ALICE, DESK, 500, USD), (DESK, ALICE, 460, QAZ)]


@pytest.mark.parametrize(
    ("base", "amount", "rate", "given_for_it"),
    [
        (USD, 100, "151.37", 151),  # a hundred cents are a dollar; EUR has no decimals here
        (USD, 199, "151.37", 301),
        (USD, 1, "99.99", 0),
        (EUR, 1, "0.009999999999999999", 0),
        (EUR, 1, "0.01", 1),
        (EUR, 10**18, "999999999999999999", 10**20 * 999999999999999999),
    ],
)
def test_a_quote_is_exact_in_both_scales_and_rounded_down(base: str, amount: int, rate: str, given_for_it: int) -> None:
    ledger = market().ledger
    offer = Ad("one", DESK, base, EUR if base == USD else USD, rate, None)

    assert gives(ledger, offer, amount) == given_for_it


def test_the_route_that_yields_most_wins_however_long() -> None:
    story = market(ad("direct", USD, QAZ, "0.70"), ad("leg-1", USD, EUR, "0.90"), ad("leg-2", EUR, QAZ, "0.80"))

    event = story.decide(sale(1000, USD, QAZ))

    assert isinstance(event, TransferPosted)
    assert event.ads == ("leg-1", "leg-2")


def test_of_equal_routes_the_shorter_wins_and_then_the_lower_ids() -> None:
    story = market(ad("a-1", USD, EUR, "1"), ad("a-2", EUR, QAZ, "1"), ad("z", USD, QAZ, "1"), ad("y", USD, QAZ, "1"))

    event = story.decide(sale(100, USD, QAZ))

    assert isinstance(event, TransferPosted)
    assert event.ads == ("y",)


def test_nobody_sells_to_themselves_nor_through_who_is_frozen() -> None:
    story = market(ad("mine", USD, QAZ, "9", ALICE), ad("cold", USD, QAZ, "8"), ad("fair", USD, QAZ, "1", CASH))
    story.ask(FreezeAccount(id="f", account=DESK))

    event = story.decide(sale(100, USD, QAZ))

    assert isinstance(event, TransferPosted)
    assert event.ads == ("fair",)


def test_an_ad_gives_no_more_than_its_account_has_and_takes_no_more_than_its_limit() -> None:
    story = market(ad("poor", USD, QAZ, "3", BOB), ad("small", USD, QAZ, "2", limit=50), ad("fair", USD, QAZ, "1"))

    first, second = (story.ask(sale(50, USD, QAZ, id=name)) for name in ("x1", "x2"))

    assert isinstance(first, TransferPosted)
    assert isinstance(second, TransferPosted)
    assert (first.ads, second.ads) == (("small",), ("fair",))


def test_a_reversal_gives_no_limit_back() -> None:
    story = market(ad("small", USD, QAZ, "2", limit=50))
    story.ask(sale(50, USD, QAZ))
    story.ask(reverse(transfer="x"))

    assert story.refusal(sale(1, USD, QAZ, id="more"))[0] is Reason.NO_ROUTE


def test_an_ads_id_is_used_once_withdrawn_or_not() -> None:
    story = market(ad("one", USD, QAZ, "1"), WithdrawAd(id="w", ad="one"))

    assert story.refusal(ad("one", USD, QAZ, "1", CAROL)) == (Reason.AD_EXISTS, {"ad": "one"})
    assert story.refusal(WithdrawAd(id="w2", ad="one")) == (Reason.AD_NOT_FOUND, {"ad": "one"})


def test_a_quote_tells_what_a_sale_would_yield_whatever_was_hoped_for() -> None:
    story = market(ad("one", USD, QAZ, "0.92"))
    hopeful = sale(500, USD, QAZ, 10_000)

    route = quote(story.ledger, hopeful)

    assert getattr(route, "yields", None) == 460
    assert story.refusal(hopeful) == (
        Reason.BELOW_AT_LEAST,
        {"unit": QAZ, "available": "460", "requested": "10000"},
    )
