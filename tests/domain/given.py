"""Who is who in the examples, and how a ledger comes to where an example begins.

story = given(deposit(ALICE, 100))

event = story.decide(transfer(ALICE, BOB, 100))

assert story.tell(event) ...
"""

from collections.abc import Sequence
from typing import Any, Final

from domain.decide import decide, lapse
from domain.facts import NO_FACTS, Facts, wanted
from domain.ledger import apply
from domain.state import Ledger
from schemas.codec import decode_event, encode_events
from schemas.commands import (
    CaptureHold,
    Command,
    CommitEnvelope,
    DefineUnit,
    OpenAccount,
    OpenLedger,
    PlaceHold,
    ReleaseHold,
    ReverseTransfer,
    Tick,
    Transfer,
)
from schemas.events import CommandRefused, Event, TransferPosted
from schemas.reasons import Reason
from schemas.values import Creation, Movement, Policy

ALICE: Final = "alice"
BOB: Final = "bob"
CAROL: Final = "carol"
CASH: Final = "cash"
"""The world outside: deposits come from it."""
MINT: Final = "mint"
"""The issuer."""
VAULT: Final = "vault"
"""The treasury."""
CREDIT: Final = "credit"
"""May owe 100 of each unit."""
NOBODY: Final = "nobody"
"""Nobody has this name."""

QAZ: Final = "QAZ"
USD: Final = "USD"
GOLD: Final = "GOLD"
"""Nobody defined this unit."""

AT: Final = "2026-11-21T09:30:00.000Z"
LATER: Final = "2026-11-21T10:30:00.000Z"


def come_of(ledger: Ledger, command: Command, at: str, facts: Facts = NO_FACTS) -> list[Event]:
    """Let a ledger come as far as a command and its time take it, as a writer does (`services.shard`)."""
    at = max(at, ledger.at)
    events: list[Event] = list(lapse(ledger, at))
    if type(command) is not Tick:
        events.append(decide(ledger, command, at, facts))
        apply(ledger, events[-1])
    return events


class Story:
    """A ledger, and all that happened to it."""

    def __init__(self) -> None:
        self.ledger = Ledger("main")
        self.events: list[Event] = []

    def ask(self, command: Command, at: str = AT) -> Event:
        """Ask something of the ledger, and give what came of it."""
        happened = come_of(self.ledger, command, at, self._facts(command))
        # Nothing goes on that could not be stored.
        self.events += map(decode_event, encode_events(happened))
        return self.events[-1]

    def decide(self, command: Command, at: str = AT) -> Event:
        """Ask what would come of it; nothing happens."""
        return decide(self.ledger, command, at, self._facts(command))

    def refusal(self, command: Command, at: str = AT) -> tuple[Reason, dict[str, str]]:
        """Ask for what is refused, and give the reason with its details."""
        event = self.decide(command, at)
        assert isinstance(event, CommandRefused), event
        return event.reason, event.details

    def balance(self, account: str, unit: str = QAZ) -> int:
        """Give what an account has."""
        return self.ledger.totals(account, unit).balance

    def available(self, account: str, unit: str = QAZ) -> int:
        """Give what an account may spend."""
        return self.ledger.totals(account, unit).available

    def posting(self, command: str, index: int) -> str:
        """Give the id of a posting of the transfer that a command made."""
        return f"{self.event(command).sequence}.{index}"

    def event(self, command: str) -> Event:
        """Give the event of a command."""
        return next(event for event in self.events if event.command == command)

    def _facts(self, command: Command) -> Facts:
        transfer, sequences = wanted(command)
        by_place = {event.sequence: event for event in self.events}
        original = next((event for event in self.events if transfer and event.command == transfer), None)
        if isinstance(original, TransferPosted):
            return Facts(original, tuple(_reversals(self.events, original)))
        return Facts(original, events={place: by_place[place] for place in sequences if place in by_place})


def _reversals(events: Sequence[Event], original: TransferPosted) -> list[TransferPosted]:
    transfers = [event for event in events if isinstance(event, TransferPosted)]
    return [event for event in transfers if event.reverses == original.sequence]


def given(*commands: Command) -> Story:
    """Begin with the cast in place, and all of this granted."""
    story = Story()
    for command in (*CAST, *commands):
        event = story.ask(command)
        assert not isinstance(event, CommandRefused), event
    return story


def opened(account: str, account_type: str = "user", **said: Any) -> OpenAccount:
    """Open an account."""
    return OpenAccount(id=f"open-{account}", account=account, account_type=account_type, **said)


def movement(source: str, destination: str, amount: int, unit: str = QAZ) -> Movement:
    """Say one movement."""
    return Movement(source, destination, unit, amount)


def transfer(source: str, destination: str, amount: int, unit: str = QAZ, **said: Any) -> Transfer:
    """Move an amount."""
    return transfers(movement(source, destination, amount, unit), **said)


def transfers(*movements: Movement, **said: Any) -> Transfer:
    """Move several amounts together."""
    return Transfer(**{"id": "t", **said}, movements=movements)


def deposit(account: str, amount: int, unit: str = QAZ, **said: Any) -> Transfer:
    """Bring an amount in from outside."""
    return transfer(CASH, account, amount, unit, **{"id": f"deposit-{account}", "kind": "deposit", **said})


def hold(*movements: Movement, **said: Any) -> PlaceHold:
    """Reserve amounts."""
    return PlaceHold(**{"id": "h", **said}, movements=movements)


def capture(*movements: Movement, **said: Any) -> CaptureHold:
    """Move what was held: these parts, or all that remains."""
    return CaptureHold(**{"id": "c", "hold": "h", **said}, movements=movements or None)


def release(**said: Any) -> ReleaseHold:
    """Give back what remains of a hold."""
    return ReleaseHold(**{"id": "r", "hold": "h", **said})


def reverse(*movements: Movement, **said: Any) -> ReverseTransfer:
    """Move back: these parts, or all that remains."""
    return ReverseTransfer(**{"id": "b", "transfer": "t", **said}, movements=movements or None)


def envelope(consumes: Sequence[str], *creates: tuple[str, int], **said: Any) -> CommitEnvelope:
    """Consume these postings, and create these amounts of QAZ."""
    creations = tuple(Creation(account, QAZ, amount) for account, amount in creates)
    return CommitEnvelope(**{"id": "e", **said}, consumes=tuple(consumes), creates=creations)


def moved(event: Event) -> list[tuple[str, str, int, str]]:
    """Give what a transfer moved: source, destination, amount and unit of each movement."""
    assert isinstance(event, TransferPosted), event
    pairs = zip(event.postings[::2], event.postings[1::2], strict=True)
    return [(out.account, into.account, int(into.amount), into.unit) for out, into in pairs]


CAST: Final[tuple[Command, ...]] = (
    OpenLedger(id="ledger"),
    DefineUnit(id="usd", unit=USD, scale=2),
    opened(CASH, "external"),
    opened(MINT, "issuer"),
    opened(ALICE),
    opened(BOB),
    opened(CAROL),
    opened(CREDIT, "credit", policy=Policy.CAPPED_OVERDRAFT, floor=-100),
)
