"""The nouns of a ledger: accounts and their places, types, kinds, books, holds, ads.

Law: only `domain.ledger.apply` changes them, but for a memory that changes no answer (`Ledger.admitted`). They are kept
lean: an account with one unit costs some hundred bytes, and there are millions.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple, Self

from domain.expiries import Expiries
from schemas.values import LARGEST, Policy

ONE: Final = 10**36
"""What ratios are counted in. It makes them whole: rates have 18 decimals at most, and so have units."""

Change = tuple["Account", str, int]
"""One posting to be: account, unit, signed amount in minimal parts."""


@dataclass(slots=True)
class Totals:
    """The running totals of one account in one unit, in minimal parts. They only grow, but for `held`."""

    debits: int = 0
    credits: int = 0
    held: int = 0

    @property
    def figures(self) -> tuple[int, int, int]:
        """Debits, credits and what is held: all that there is to compare or to tell."""
        return self.debits, self.credits, self.held

    @property
    def balance(self) -> int:
        """What the account has, or owes when below zero."""
        return self.credits - self.debits

    @property
    def available(self) -> int:
        """What may still be spent.

        >>> Totals(debits=30, credits=100, held=50).available
        20

        Source:
            ISO 20022 balance type `ITAV`, interim available, as against `ITBD`, interim booked.
        """
        return self.credits - self.debits - self.held

    @property
    def may_leave(self) -> int:
        """What the number range leaves for debits."""
        return LARGEST - self.debits - self.held

    @property
    def may_arrive(self) -> int:
        """What the number range leaves for credits."""
        return LARGEST - self.credits


NOTHING: Final = Totals()
"""The totals of an account in a unit that it never had."""


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What an account is, and what it may do. Accounts that agree in all of it share one, so it is known by identity.

    `least` is what `available` may not fall below; None where there is no such bound. `flags` are in the order said.
    """

    account_type: str
    policy: Policy
    floor: int | None = None
    flags: tuple[str, ...] = ()
    book: str | None = None
    state: str | None = None
    least: int | None = field(init=False)

    def __post_init__(self) -> None:
        bound = self.floor if self.policy is Policy.CAPPED_OVERDRAFT else None
        object.__setattr__(self, "least", 0 if self.policy is Policy.NO_OVERDRAFT else bound)


@lru_cache(maxsize=10_000)
def terms_of(
    account_type: str, policy: Policy, floor: int | None, flags: tuple[str, ...], book: str | None, state: str | None
) -> Terms:
    """Give one object to all accounts that agree: what is looked at for each transfer is then in few places."""
    return Terms(account_type, policy, floor, flags, book, state)


@dataclass(slots=True)
class Account:
    """A place that owns postings."""

    name: str
    terms: Terms
    alias: str | None = None
    version: int = 0


@dataclass(slots=True)
class Place(Totals):
    """An account in a unit, to be found in one step: its totals there, and the terms of the account."""

    terms: Terms = field(kw_only=True)


class TypeOfAccount(NamedTuple):
    """What accounts of a type may be; the first policy is the default."""

    policies: tuple[Policy, ...]
    singleton: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """Which types of account may stand on one side of a transfer: those of one list, or all but those of the other."""

    only: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()

    def admits(self, account_type: str) -> bool:
        """Tell whether this type may."""
        return account_type in self.only if self.only else account_type not in self.never


@dataclass(frozen=True, slots=True)
class Kind:
    """Who may be source and who destination."""

    source: Admission
    destination: Admission

    @classmethod
    def between(cls, sources: Iterable[str], destinations: Iterable[str]) -> Self:
        """Make the kind that admits these types; none listed is any."""
        return cls(Admission(only=frozenset(sources)), Admission(only=frozenset(destinations)))


@dataclass(frozen=True, slots=True)
class Book:
    """Which units and accounts may take part. An empty list admits all."""

    name: str
    version: int
    units: frozenset[str]
    flags: frozenset[str]
    accounts: frozenset[str]
    title: str | None = None

    def admits(self, account: str | None, terms: Terms) -> bool:
        """Tell whether this account may: it shares a flag, or is listed, or the book lists neither.

        Where no account is named: whether every one of these terms may.
        """
        return not self.flags.isdisjoint(terms.flags) or account in self.accounts or not (self.flags or self.accounts)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Terms that kind and home book were found to admit in a unit, whatever the account is called."""

    sources: set[Terms] = field(default_factory=set)
    destinations: set[Terms] = field(default_factory=set)


@dataclass(slots=True)
class Part:
    """What remains of one movement of a hold."""

    source: str
    destination: str
    unit: str
    remaining: int


@dataclass(slots=True)
class Hold:
    """Amounts promised and not yet moved. It is open as long as the ledger has it."""

    id: str
    kind: str
    book: str | None
    expires_at: str | None
    parts: list[Part]

    def take(self, pots: dict[tuple[str, str, str], int]) -> None:
        """Take amounts away, by source, destination and unit, from the earlier of several such movements first."""
        for part in self.parts:
            pot = (part.source, part.destination, part.unit)
            taken = min(part.remaining, pots.get(pot, 0))
            if taken:
                part.remaining -= taken
                pots[pot] -= taken


@dataclass(slots=True)
class Ad:
    """An offer to take `base` and give `quote`. `taken` is the base that all exchanges took together."""

    id: str
    account: str
    base: str
    quote: str
    rate: str
    limit: int | None
    taken: int = 0


@dataclass(slots=True)
class Ledger:
    """One self-contained set of accounts.

    `sequence` and `at` are those of its last event; 0 and empty before there is one. `places` are by unit, all of which
    are there, then account, whose terms they have. `singletons` are the open accounts of the types that have one only.
    `expiring` are those of the open holds that expire. `withdrawn` are the ids of ads that are used up. `market` is
    base, then quote, then (ratio negated, id, ad) of the open ads: best first. `whole` has a bit for each sequence:
    whether it is an envelope, or the reversal of one, and so on back. `admitted`, by kind and unit, is no state: who
    decides remembers there what the rest says (`domain.plain`).
    """

    name: str
    sequence: int = 0
    at: str = ""
    units: dict[str, int] = field(default_factory=dict)
    account_types: dict[str, TypeOfAccount] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    books: dict[str, Book] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    places: dict[str, dict[str, Place]] = field(default_factory=dict)
    aliases: dict[str, Account] = field(default_factory=dict)
    singletons: dict[str, Account] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    expiring: Expiries = field(default_factory=Expiries)
    ads: dict[str, Ad] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    market: dict[str, dict[str, list[tuple[int, str, Ad]]]] = field(default_factory=dict)
    whole: bytearray = field(default_factory=bytearray)
    admitted: dict[tuple[str, str], Admitted] = field(default_factory=dict, repr=False, compare=False)

    def named(self, party: str) -> Account | None:
        """Find the account that a command names, by its name or its alias."""
        return self.accounts.get(party) or self.aliases.get(party)

    def totals(self, account: str, unit: str) -> Totals:
        """Give the totals of an account in a unit that is defined, whether it has a place there or not."""
        return self.places[unit].get(account, NOTHING)

    def add_unit(self, unit: str, scale: int) -> None:
        """Count in this unit from now on, with so many decimal places."""
        self.units[unit] = scale
        self.places[unit] = {}

    def is_whole(self, sequence: int) -> bool:
        """Tell whether the transfer at this place has no movements, and so is reversed whole or not at all."""
        byte, bit = divmod(sequence, 8)
        return byte < len(self.whole) and bool(self.whole[byte] >> bit & 1)

    def mark_whole(self, sequence: int) -> None:
        """Remember that the transfer at this place is reversed whole."""
        byte, bit = divmod(sequence, 8)
        self.whole.extend(bytes(byte + 1 - len(self.whole)))
        self.whole[byte] |= 1 << bit

    def post_ad(self, ad: Ad) -> None:
        """Put an offer on the market."""
        self.ads[ad.id] = ad
        insort(self.market.setdefault(ad.base, {}).setdefault(ad.quote, []), (-self.ratio(ad), ad.id, ad))

    def withdraw_ad(self, ad_id: str) -> None:
        """Take an offer off the market, for good."""
        ad = self.ads.pop(ad_id)
        self.withdrawn.add(ad_id)
        ads = self.market[ad.base][ad.quote]
        del ads[bisect_left(ads, (-self.ratio(ad), ad_id, ad))]

    def ratio(self, ad: Ad) -> int:
        """Tell what an ad gives for one minimal part of its base: minimal parts of its quote, times `ONE`."""
        whole, _, fraction = ad.rate.partition(".")
        return int(whole + fraction.ljust(18, "0")) * int(10 ** (18 + self.units[ad.quote] - self.units[ad.base]))
