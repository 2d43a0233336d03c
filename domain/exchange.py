"""Exchange: ads offer to take one unit and give another; a sale takes the best route of ads, as one transfer.

Law: exact integers, rounded down in favour of the ad's account. Which route is taken follows from the state alone.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from domain.accounts import not_found, out_of_use
from domain.books import not_admitted, version_of
from domain.refusals import Objection, happening, objection, refused
from domain.state import Account, Ad, Ledger
from domain.transfers import Leg, Settled, changes_of, settle, short_of_funds, unknown_unit
from schemas.commands import Exchange, PostAd, WithdrawAd
from schemas.events import AdPosted, AdWithdrawn, CommandRefused, TransferPosted
from schemas.reasons import Reason
from schemas.values import LARGEST

MOST_HOPS: Final = 4


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
    settled = settle(changes_of(route.legs))
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
    settled = why or settle([(sold, command.sell, -command.amount)])
    if isinstance(settled, Objection):
        return settled
    if short := short_of_funds(ledger, settled.nets):
        return short
    market = _Market(ledger, command, sold, bought)
    routes = market.routes(Route((), (), command.amount), command.sell, (command.sell,))
    best = min(routes, key=lambda route: (-route.yields, len(route.ads), [ad.id for ad in route.ads]), default=None)
    return best or objection(Reason.NO_ROUTE, sell=command.sell, buy=command.buy)


def gives(ledger: Ledger, ad: Ad, amount: int) -> int:
    """Tell what an ad gives, in minimal parts of its quote.

    Args:
        ledger: knows the scales.
        ad: its rate is whole units of quote for one whole unit of base.
        amount: in minimal parts of its base.
    """
    whole, _, fraction = ad.rate.partition(".")
    numerator = amount * int(whole + fraction) * 10 ** ledger.units[ad.quote]
    return int(numerator // 10 ** (len(fraction) + ledger.units[ad.base]))


class _Market(NamedTuple):
    """The ads as one sale sees them."""

    ledger: Ledger
    command: Exchange
    sold: Account
    bought: Account

    def routes(self, so_far: Route, unit: str, seen: tuple[str, ...]) -> Iterator[Route]:
        """Give every route from `unit` on to what is bought: none visits a unit twice or has more than `MOST_HOPS`."""
        last = len(so_far.ads) == MOST_HOPS - 1
        for wanted in self.ledger.market.get(unit, ()):
            if wanted in seen or (last and wanted != self.command.buy):
                continue
            route = self._hop(so_far, unit, wanted)
            if route is None:
                continue
            if wanted == self.command.buy:
                yield route
            else:
                yield from self.routes(route, wanted, (*seen, wanted))

    def _hop(self, so_far: Route, base: str, wanted: str) -> Route | None:
        """Take the ad of this pair that gives most and breaks no rule; of equals the lower id."""
        offers = [
            (-gives(self.ledger, ad, so_far.yields), ad.id, ad)
            for ad in self.ledger.market[base][wanted].values()
            if self._open(ad, so_far)
        ]
        for given, _, ad in sorted(offers):
            if not 0 < -given <= LARGEST:
                continue
            payee = self.bought if wanted == self.command.buy else self.sold
            maker = self.ledger.accounts[ad.account]
            legs = (*so_far.legs, Leg(self.sold, maker, base, so_far.yields), Leg(maker, payee, wanted, -given))
            if self._allowed(legs):
                return Route((*so_far.ads, ad), legs, -given)
        return None

    def _open(self, ad: Ad, so_far: Route) -> bool:
        maker = self.ledger.accounts[ad.account]
        within = ad.limit is None or ad.limit - ad.taken >= so_far.yields
        return within and maker.state is None and maker is not self.sold and maker is not self.bought

    def _allowed(self, legs: tuple[Leg, ...]) -> bool:
        """Tell whether the transfer breaks no rule as far as its last hop, none being broken before it."""
        changes = changes_of(legs)
        settled = settle(changes)
        return (
            isinstance(settled, Settled)
            and not_admitted(self.ledger, self.command.book, changes[-4:]) is None
            and short_of_funds(self.ledger, settled.nets) is None
        )


def _parties(ledger: Ledger, command: Exchange) -> tuple[Account, Account] | Objection:
    sold = ledger.named(command.source)
    if sold is None:
        return not_found(command.source)
    bought = ledger.named(command.destination)
    return (sold, bought) if bought else not_found(command.destination)
