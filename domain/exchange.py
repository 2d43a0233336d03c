"""Exchange: ads offer to take one unit and give another; a sale takes the best route of ads, as one transfer.

Law: exact integers, rounded down in favour of the ad's account. Which route is taken follows from the state alone.
"""

from collections import Counter
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final, NamedTuple

from domain.accounts import not_found, out_of_use
from domain.books import not_admitted, version_of
from domain.refusals import Objection, happening, objection, refused
from domain.state import ONE, Account, Ad, Ledger
from domain.transfers import Leg, Settled, changes_of, settle, short_of_funds, unknown_unit
from schemas.commands import Exchange, PostAd, WithdrawAd
from schemas.events import AdPosted, AdWithdrawn, CommandRefused, TransferPosted
from schemas.reasons import Reason
from schemas.values import LARGEST

MOST_HOPS: Final = 4
ENOUGH: Final = 2
"""Of the ways that bring as much to a unit in as many hops, so many may win: the first two, in order of their ids.
With four hops at most they differ in one unit only: where having been there stops the first, the second can go on.
"""


class Route(NamedTuple):
    """A way from one unit to another: the ads taken, the movements that it makes, what it yields in minimal parts."""

    ads: tuple[Ad, ...]
    legs: tuple[Leg, ...]
    yields: int


def post_ad(ledger: Ledger, command: PostAd, at: str) -> AdPosted | CommandRefused:
    """Let the offer stand, or say why not. An ad's id is used once."""
    account = ledger.named(command.account)
    if command.ad in ledger.ads or command.ad in ledger.withdrawn:
        return refused(ledger, command, at, objection(Reason.AD_EXISTS, ad=command.ad))
    if account is None:
        return refused(ledger, command, at, not_found(command.account))
    if why := unknown_unit(ledger, (command.base, command.quote)) or out_of_use([account]):
        return refused(ledger, command, at, why)
    return AdPosted(
        **happening(ledger, command, at),
        ad=command.ad,
        account=account.name,
        base=command.base,
        quote=command.quote,
        rate=command.rate,
        limit=None if command.limit is None else str(command.limit),
    )


def withdraw_ad(ledger: Ledger, command: WithdrawAd, at: str) -> AdWithdrawn | CommandRefused:
    """Take the offer back, or say why not."""
    if command.ad not in ledger.ads:
        return refused(ledger, command, at, objection(Reason.AD_NOT_FOUND, ad=command.ad))
    return AdWithdrawn(**happening(ledger, command, at), ad=command.ad)


def exchange(ledger: Ledger, command: Exchange, at: str) -> TransferPosted | CommandRefused:
    """Sell along the best route, or say why not."""
    route = quote(ledger, command)
    if isinstance(route, Objection):
        return refused(ledger, command, at, route)
    if route.yields < command.at_least:
        low = objection(Reason.BELOW_AT_LEAST, unit=command.buy, available=route.yields, requested=command.at_least)
        return refused(ledger, command, at, low)
    settled = settle(ledger, changes_of(route.legs))
    assert isinstance(settled, Settled), settled
    return TransferPosted(
        **happening(ledger, command, at),
        kind="exchange",
        postings=settled.postings,
        book=command.book,
        book_version=version_of(ledger, command.book),
        ads=tuple(ad.id for ad in route.ads),
    )


def quote(ledger: Ledger, command: Exchange) -> Route | Objection:
    """Find the route that yields most; of equals that of fewer hops, then of the lower ad ids.

    `at_least` is not looked at.
    """
    parties = _parties(ledger, command)
    if isinstance(parties, Objection):
        return parties
    sold, bought = parties
    why = (
        unknown_unit(ledger, (command.sell, command.buy))
        or out_of_use((sold, bought))
        or not_admitted(ledger, command.book, [(sold, command.sell, -command.amount), (bought, command.buy, 1)])
    )
    settled = why or settle(ledger, [(sold, command.sell, -command.amount)])
    if isinstance(settled, Objection):
        return settled
    if short := short_of_funds(ledger, settled.nets):
        return short
    best = _Search(ledger, command, sold, bought).best()
    return best or objection(Reason.NO_ROUTE, sell=command.sell, buy=command.buy)


def gives(ledger: Ledger, ad: Ad, amount: int) -> int:
    """Tell what an ad gives, in minimal parts of its quote.

    Args:
        ledger: knows the scales.
        ad: its rate is whole units of quote for one whole unit of base.
        amount: in minimal parts of its base.
    """
    return amount * ledger.ratio(ad) // ONE


class _Way(NamedTuple):
    """A route as far as it goes. Ways are in the order of the routes that they may become: the best is the least.

    `promise` is, negated, what it cannot yield more than; of a whole route, what it yields. `hops` are all that it is
    to have, `ids` those of its ads so far; `amount` is what has arrived in `unit`.
    """

    promise: int
    hops: int
    ids: tuple[str, ...]
    unit: str
    amount: int
    ads: tuple[Ad, ...]


class _Search:
    """The search for the best route: the most promising way goes on, until none promises more than what is found.

    Law: no unit is visited twice, so no hop changes what the rules say of another. Therefore how much an ad may take is
    one number, and what comes of an amount does not depend on the way that it came.
    """

    def __init__(self, ledger: Ledger, command: Exchange, sold: Account, bought: Account) -> None:
        self._ledger, self._command, self._sold, self._bought = ledger, command, sold, bought
        self._found = _Way(0, 0, (), command.buy, 0, ())
        self._worths = [{command.buy: 1}]
        self._most: dict[str, int] = {}

    def best(self) -> Route | None:
        """Give the best route, if there is any."""
        sell, amount = self._command.sell, self._command.amount
        ways = [_Way(-LARGEST, hops, (), sell, amount, ()) for hops in range(1, MOST_HOPS + 1)]
        arrived: Counter[tuple[int, int, str, int]] = Counter()
        while ways and ways[0] < self._found:
            way = heappop(ways)
            here = (way.hops, len(way.ads), way.unit, way.amount)
            arrived[here] += 1
            if arrived[here] > ENOUGH:
                continue
            for on in self._onward(way):
                if len(on.ads) < on.hops:
                    heappush(ways, on)
                    continue
                before, self._found = self._found, on
                if on.amount >= 2 * before.amount:
                    # Ads that seemed the best can be too small for so much: begin anew without them.
                    del self._worths[1:]
                    return self.best()
        return self._route() if self._found.ads else None

    def _onward(self, way: _Way) -> Iterator[_Way]:
        """Give the ways one hop on, as far as they may be the best; and two hops on where the second is the last."""
        left = way.hops - len(way.ads) - 1
        been = {ad.base for ad in way.ads}
        for wanted, worth in self._worth(left).items():
            on = None if wanted in been else self._hop(way, wanted, worth, left)
            if on and on < self._found:
                yield from self._onward(on) if left == 1 else (on,)

    def _hop(self, way: _Way, wanted: str, worth: int, left: int) -> _Way | None:
        """Take the ad of this pair that gives most and breaks no rule; of equals the lower id."""
        taken, given = None, 1
        for negated, name, ad in self._ledger.market.get(way.unit, {}).get(wanted, ()):
            offered = way.amount * -negated // ONE
            if offered < given:
                break
            if (taken is None or name < taken.id) and way.amount <= self._takes(ad):
                taken, given = ad, offered
        if taken is None:
            return None
        promise = -(given * worth // ONE**left)
        return _Way(promise, way.hops, (*way.ids, taken.id), wanted, given, (*way.ads, taken))

    def _worth(self, left: int) -> dict[str, int]:
        """Tell what a part of each unit comes to in so many hops, at most: parts of what is bought, times `ONE` a hop.

        It goes by the best rates, for rounding only lowers. All ads count that can give what it takes to yield as much
        as the route that is found.
        """
        while len(self._worths) <= left:
            least = max(self._found.amount, 1) * ONE ** (len(self._worths) - 1)
            onward = [(unit, worth, -(-least // worth)) for unit, worth in self._worths[-1].items()]
            level = {}
            for unit, quotes in self._ledger.market.items():
                if unit in {self._command.sell, self._command.buy}:
                    continue
                worths = (self._top(quotes[to], need) * worth for to, worth, need in onward if to in quotes)
                if most := max(worths, default=0):
                    level[unit] = most
            self._worths.append(level)
        return self._worths[left]

    def _top(self, ads: list[tuple[int, str, Ad]], need: int) -> int:
        """Give the best ratio of those ads that can give so much."""
        for negated, _, ad in ads:
            if self._takes(ad) * -negated >= need * ONE:
                return -negated
        return 0

    def _takes(self, ad: Ad) -> int:
        """Tell how much an ad may take, at most; of the rules each is asked once."""
        takes = self._most.get(ad.id)
        if takes is None:
            takes = self._most[ad.id] = self._asked(ad)
        return takes

    def _asked(self, ad: Ad) -> int:
        """Ask limit, parties, sums, funds and book, the cheapest first."""
        totals, maker, payee = self._ledger.totals, self._ledger.accounts[ad.account], self._payee(ad)
        takes = LARGEST if ad.limit is None else ad.limit - ad.taken
        if takes < 1 or maker.terms.state is not None or maker is self._sold or maker is self._bought:
            return 0
        out = totals(maker.name, ad.quote)
        gives = min(out.may_leave, totals(payee.name, ad.quote).may_arrive)
        if maker.terms.least is not None:
            gives = min(gives, out.available - maker.terms.least)
        takes = min(
            takes,
            totals(self._sold.name, ad.base).may_leave,
            totals(maker.name, ad.base).may_arrive,
            ((gives + 1) * ONE - 1) // self._ledger.ratio(ad),
        )
        changes = [(self._sold, ad.base, -1), (maker, ad.base, 1), (maker, ad.quote, -1), (payee, ad.quote, 1)]
        return 0 if takes < 1 or not_admitted(self._ledger, self._command.book, changes) else takes

    def _payee(self, ad: Ad) -> Account:
        return self._bought if ad.quote == self._command.buy else self._sold

    def _route(self) -> Route:
        """Work out the movements of the route that is found."""
        legs: list[Leg] = []
        amount = self._command.amount
        for ad in self._found.ads:
            maker, given = self._ledger.accounts[ad.account], gives(self._ledger, ad, amount)
            legs += [Leg(self._sold, maker, ad.base, amount), Leg(maker, self._payee(ad), ad.quote, given)]
            amount = given
        return Route(self._found.ads, tuple(legs), amount)


def _parties(ledger: Ledger, command: Exchange) -> tuple[Account, Account] | Objection:
    sold = ledger.named(command.source)
    if sold is None:
        return not_found(command.source)
    bought = ledger.named(command.destination)
    return (sold, bought) if bought else not_found(command.destination)
