"""The best route is found without trying every one. It must never be another than trying every one would find."""

import random
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, pairwise, permutations, product
from typing import Any, Final

from hypothesis import given as whatever
from hypothesis import settings
from hypothesis import strategies as st

from domain.books import not_admitted
from domain.exchange import MOST_HOPS, Route, quote
from domain.refusals import Objection
from domain.state import Ad, Ledger, Place
from domain.transfers import Leg, Settled, changes_of, settle, short_of_funds
from schemas.commands import DefineBook, DefineUnit, Exchange, FreezeAccount
from schemas.reasons import Reason
from schemas.values import LARGEST
from tests.domain.given import ALICE, BOB, CAROL, CASH, CREDIT, given, opened

UNITS: Final = ("A", "B", "C", "D", "E", "F")
SETTLER: Final = "settler"
"""At home in the book `homes`."""
COLD: Final = "cold"
"""Frozen."""
MAKERS: Final = (CASH, CASH, CASH, CASH, CAROL, CAROL, CREDIT, SETTLER, COLD, ALICE, BOB)

MAY_OWE: Final = {CASH, CREDIT, SETTLER}
# As in `test_laws`: of what hypothesis drew itself most would be too simple for two routes to compete.
randomness = st.randoms(use_true_random=True)


@settings(max_examples=400)
@whatever(randomness)
def test_the_best_of_all_routes_is_found(source: random.Random) -> None:
    ledger, command = market(source)

    found = quote(ledger, command)

    assert found == tried(ledger, command)


def test_a_way_goes_on_where_another_that_brought_as_much_has_been() -> None:
    ledger = desk(UNITS, "A", 100)
    post(ledger, [("a", "A", "C", "2"), ("c", "C", "D", "0.5"), ("b", "A", "E", "1"), ("e", "E", "D", "1")])
    post(ledger, [("d", "D", "C", "1")])
    ledger.post_ad(Ad("small", "desk", "C", "B", "1", limit=150))

    route = quote(ledger, sale("A", 100, "B"))

    assert taken(route) == ["b", "e", "d", "small"]


def test_a_market_is_not_too_wide_for_four_hops() -> None:
    units = [f"U{number}" for number in range(250)]
    better = set(pairwise(["U0", "U99", "U7", "U123", "U1"]))
    ledger = desk(units, "U0", 10**6)
    post(
        ledger, ((f"{pair[0]}-{pair[1]}", *pair, "1.01" if pair in better else "1") for pair in permutations(units, 2))
    )

    route = quote(ledger, sale("U0", 10**6, "U1"))

    assert taken(route) == ["U0-U99", "U99-U7", "U7-U123", "U123-U1"]


def test_neither_are_equal_routes_too_many() -> None:
    layers = [["S"], *([f"{layer}{number}" for number in range(120)] for layer in "XYZ"), ["T"]]
    ledger = desk(list(chain(*layers)), "S", 100)
    pairs = chain(*(product(*two) for two in pairwise(layers)))
    post(ledger, ((f"{wanted}-{base}", base, wanted, "1") for base, wanted in pairs))

    route = quote(ledger, sale("S", 100, "T"))

    assert taken(route) == ["X0-S", "Y0-X0", "Z0-Y0", "T-Z0"]


def desk(units: Iterable[str], sell: str, amount: int) -> Ledger:
    """Open a desk that gives whatever is asked of it, and let Alice have what she sells."""
    ledger = given(opened("desk", "system"), *(DefineUnit(id=unit, unit=unit, scale=2) for unit in units)).ledger
    has(ledger, ALICE, sell, credits_=amount)
    return ledger


def has(ledger: Ledger, account: str, unit: str, debits: int = 0, credits_: int = 0, held: int = 0) -> None:
    """Let an account have these totals."""
    ledger.places[unit][account] = Place(debits, credits_, held, terms=ledger.accounts[account].terms)


def post(ledger: Ledger, ads: Iterable[tuple[str, str, str, str]]) -> None:
    """Let the desk offer: id, base, quote, rate."""
    for name, base, wanted, rate in ads:
        ledger.post_ad(Ad(name, "desk", base, wanted, rate, None))


def taken(route: Route | Objection) -> list[str]:
    """Give the ids of the ads that were taken."""
    assert isinstance(route, Route), route
    return [ad.id for ad in route.ads]


def sale(sell: str, amount: int, buy: str, **said: Any) -> Exchange:
    """Sell for Alice, to Alice."""
    parties = {"source": ALICE, "destination": ALICE}
    return Exchange(**{**parties, **said}, id="x", sell=sell, amount=amount, buy=buy, at_least=1)


def market(source: random.Random) -> tuple[Ledger, Exchange]:
    """Make a market where much is equal, much does not suffice, and much is forbidden; and a sale on it."""
    one = source.choice
    scales = [one([0, 1, 2, 18]) for _ in UNITS] if source.random() < 0.2 else [one([0, 2, 18])] * len(UNITS)
    ledger = given(
        *(DefineUnit(id=unit, unit=unit, scale=scale) for unit, scale in zip(UNITS, scales, strict=True)),
        *books(source),
        opened(SETTLER, "system", book="homes"),
        opened(COLD, "system"),
        FreezeAccount(id="freeze", account=COLD),
    ).ledger
    amount = one([1, 2, 7, 20, 100])
    for account, unit in product(sorted({*MAKERS}), UNITS):
        if source.random() < 0.5:
            has(ledger, account, unit, *totals(source, account, amount))
    sell, buy = source.sample(UNITS, 2)
    seller = one([ALICE, ALICE, ALICE, SETTLER])
    if source.random() < 0.9:
        has(ledger, seller, sell, 3, 3 + amount)
    rates = one([["1"], ["1", "1.0", "1.01", "0.99"], ["0.5", "1", "2", "1.37"], ["0.03", "1", "9" * 18]])
    first, last = (one([UNITS, source.sample(UNITS, 2)]) for _ in range(2))
    names = [f"ad-{number}" for number in range(one([20, 60, 150]))]
    for name in source.sample(names, len(names)):
        base, wanted = source.sample(UNITS, 2)
        if (base == sell and wanted not in first) or (wanted == buy and base not in last):
            continue
        limit = one([None, None, amount, 2 * amount, source.randint(1, 200)])
        taken = one([0, 0, source.randint(0, limit)]) if limit else 0
        ledger.post_ad(Ad(name, one(MAKERS), base, wanted, one(rates), limit, taken))
    said = {"source": seller, "destination": one([ALICE, BOB]), "book": one([None] * 8 + ["named"])}
    return ledger, sale(sell, amount, buy, **said)


def books(source: random.Random) -> Iterator[DefineBook]:
    """Let books admit most of what there is, and be there or not."""
    for book, chance in (("homes", 1), ("named", 1), ("default", 0.1)):
        if source.random() < chance:
            units = tuple(source.sample(UNITS, 5)) if source.random() < 0.5 else ()
            accounts = tuple(source.sample(sorted({*MAKERS}), 7)) if source.random() < 0.3 else ()
            yield DefineBook(id=f"define-{book}", book=book, units=units, accounts=accounts)


def totals(source: random.Random, account: str, amount: int) -> tuple[int, int, int]:
    """Give an account about as much as is sold, some of it held, or a debt, or nearly all that can be counted."""
    much = source.randint(0, 3 * amount)
    start = source.choice([0, 0, 0, 0, 5, LARGEST - much - source.randint(0, 2 * amount)])
    if account in MAY_OWE and source.random() < 0.3:
        return start + much, start, 0
    held = source.choice([0, 0, source.randint(0, much)])
    return start, start + much, held


def tried(ledger: Ledger, command: Exchange) -> Route | Objection:
    """Try every route, as `SPEC.md` 4.9 says it."""
    source, destination = ledger.accounts[command.source], ledger.accounts[command.destination]
    if why := not_admitted(ledger, command.book, [(source, command.sell, -1), (destination, command.buy, 1)]):
        return why
    settled = settle(ledger, [(source, command.sell, -command.amount)])
    if isinstance(settled, Objection):
        return settled
    if why := short_of_funds(ledger, settled.nets):
        return why
    between = [unit for unit in UNITS if unit not in {command.sell, command.buy}]
    ways = chain(*(permutations(between, hops - 1) for hops in range(1, MOST_HOPS + 1)))
    routes = [along(ledger, command, (command.sell, *way, command.buy)) for way in ways]
    there_are = [route for route in routes if route]
    if not there_are:
        return Objection(Reason.NO_ROUTE, {"sell": command.sell, "buy": command.buy})
    return min(there_are, key=lambda route: (-route.yields, len(route.ads), [ad.id for ad in route.ads]))


def along(ledger: Ledger, command: Exchange, units: Sequence[str]) -> Route | None:
    """Take the ad at each hop that gives most, and with which the transfer breaks no rule as far as this hop."""
    route = Route((), (), command.amount)
    for base, wanted in pairwise(units):
        hops = (hop(ledger, command, route, ad) for ad in ledger.ads.values() if (ad.base, ad.quote) == (base, wanted))
        possible = [further for further in hops if further and breaks_no_rule(ledger, command, further.legs)]
        if not possible:
            return None
        route = min(possible, key=lambda further: (-further.yields, further.ads[-1].id))
    return route


def hop(ledger: Ledger, command: Exchange, route: Route, ad: Ad) -> Route | None:
    """Go on by an ad, unless it is passed over."""
    maker = ledger.accounts[ad.account]
    source, destination = ledger.accounts[command.source], ledger.accounts[command.destination]
    rate = Fraction(ad.rate) * Fraction(10) ** (ledger.units[ad.quote] - ledger.units[ad.base])
    given = route.yields * rate // 1
    small = ad.limit is not None and ad.limit - ad.taken < route.yields
    if small or maker.terms.state or maker.name in {source.name, destination.name} or not 0 < given <= LARGEST:
        return None
    payee = destination if ad.quote == command.buy else source
    legs = (Leg(source, maker, ad.base, route.yields), Leg(maker, payee, ad.quote, given))
    return Route((*route.ads, ad), (*route.legs, *legs), given)


def breaks_no_rule(ledger: Ledger, command: Exchange, legs: Iterable[Leg]) -> bool:
    """Ask the whole transfer so far: book, sums, funds by net."""
    changes = changes_of(legs)
    settled = settle(ledger, changes)
    return (
        isinstance(settled, Settled)
        and not not_admitted(ledger, command.book, changes)
        and not short_of_funds(ledger, settled.nets)
    )
