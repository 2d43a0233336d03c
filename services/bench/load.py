"""The work that is measured: one ledger, two postings a transfer, random ids, and every transfer accepted.

Law: the same seed gives the same work, so that two runs differ in nothing but the machine's mood.
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import count, islice
from random import Random
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from services.errors import Away
from services.health import Health
from services.journal.postgres import PostgresJournal
from services.kafka.dispatch import Addressed
from services.kafka.inbox import KafkaInbox
from services.kafka.outbox import KafkaOutbox
from services.kafka.ports import Headers, Message
from services.kafka.topics import Topics, partition_of
from services.replies import Replies
from services.settings import Settings
from services.tallies import WriterTally
from services.writer import Writer

LEDGER: Final = "main"
"""The one ledger, where there is one partition."""

WORLD: Final = "world"
SEED: Final = 20_261_121

_UNIT: Final = "QAZ"
_RICHES: Final = 10**12
_MOST: Final = 1000
"""No account is ever poor: it would take a thousand million transfers of the largest amount."""

_A_DEPOSIT: Final = 500
"""So many accounts are paid into by one command, which then has room in 64 KiB."""

_TYPES: Final = 5
_BOOKS: Final = 20
_AT_ONCE: Final = 20_000
_LOOK_EVERY_S: Final = 0.25
_PATIENCE_S: Final = 30.0

_encode: Final = msgspec.json.Encoder().encode


class Home(NamedTuple):
    """Where a ledger lives."""

    ledger: str = LEDGER
    partition: int = 0
    partitions: int = 1


HOME: Final = Home()
"""Of the one ledger."""


def homes(partitions: int) -> list[Home]:
    """Give a ledger for each partition; where there is one, the one that is always measured.

    >>> [home.ledger for home in homes(4)]
    ['ledger-3', 'ledger-2', 'ledger-0', 'ledger-1']
    """
    if partitions == 1:
        return [Home()]
    names = (f"ledger-{number}" for number in count())
    found: dict[int, str] = {}
    while len(found) < partitions:
        name = next(names)
        found.setdefault(partition_of(name, partitions), name)
    return [Home(found[partition], partition, partitions) for partition in range(partitions)]


def account(number: int) -> str:
    """Return the name of an account.

    >>> account(4217)
    'account-004217'
    """
    return f"account-{number:06}"


def opening(accounts: int, *, books: bool = False) -> Iterator[bytes]:
    """Give the commands that open a ledger with so many rich accounts.

    Args:
        accounts: how many.
        books: let each have one of several types, a flag and a home book that admits the flag.
    """
    yield _encode({"type": "open-ledger.v1", "id": "ledger"})
    yield _encode({"type": "open-account.v1", "id": WORLD, "account": WORLD, "account_type": "external"})
    if books:
        yield from _registries()
    for number in range(accounts):
        more = _terms(number) if books else {}
        yield _encode({"type": "open-account.v1", "id": f"open-{number}", "account": account(number), **more})
    for first in range(0, accounts, _A_DEPOSIT):
        movements = [
            {"source": WORLD, "destination": account(number), "unit": _UNIT, "amount": _RICHES}
            for number in range(first, min(first + _A_DEPOSIT, accounts))
        ]
        yield _encode({"type": "transfer.v1", "id": f"deposit-{first}", "kind": "deposit", "movements": movements})


def transfers(most: int, accounts: int, random: Random | None = None) -> Iterator[bytes]:
    """Give so many transfers, each between two accounts of so many."""
    for _, value in named_transfers(accounts, random or Random(SEED), most):
        yield value


def share(home: Home, most: int, accounts: int) -> Iterator[bytes]:
    """Give a ledger's share of so many transfers, each between two of its accounts."""
    each, over = divmod(most, home.partitions)
    return transfers(each + (home.partition < over), accounts, Random(SEED + home.partition))


def named_transfers(accounts: int, random: Random, most: int | None = None) -> Iterator[tuple[str, bytes]]:
    """Give transfers, each with its id; without a count, for ever."""
    made = 0
    while most is None or made < most:
        made += 1
        command_id = str(UUID(int=random.getrandbits(128), version=4))
        source = int(random.random() * accounts)
        destination = (source + 1 + int(random.random() * (accounts - 1))) % accounts
        amount = 1 + int(random.random() * _MOST)
        yield (
            command_id,
            f'{{"type":"transfer.v1","id":"{command_id}","movements":[{{"source":"{account(source)}",'
            f'"destination":"{account(destination)}","unit":"{_UNIT}","amount":{amount}}}]}}'.encode(),
        )


def of(home: Home, commands: Iterable[bytes]) -> Iterator[bytes]:
    """Let commands name their ledger, which they need not where it is `main`."""
    if home.ledger == LEDGER:
        return iter(commands)
    head = f'{{"ledger":"{home.ledger}",'.encode()
    return (head + command[1:] for command in commands)


async def put(settings: Settings, commands: Iterable[bytes], home: Home = HOME, headers: Headers = ()) -> int:
    """Put commands for a ledger into its topic, many a batch, and return how many there were. Raises `Away`."""
    outbox = KafkaOutbox(settings.brokers(), Topics(settings.prefix).commands, home.partition)
    key = home.ledger.encode()
    done = 0
    coming = of(home, commands)
    try:
        while messages := [Message(key, value, headers) for value in islice(coming, _AT_ONCE)]:
            await outbox.send(messages)
            done += len(messages)
    finally:
        await outbox.close()
    return done


async def settle(settings: Settings, accounts: int, home: Home = HOME) -> int:
    """Open a ledger and its accounts, and return how many commands that took, each of which has its event.

    A writer inside of this process decides them. The one that is measured finds them in the journal when it starts.

    Raises:
        Away: a server does not answer.
    """
    commands = await put(settings, opening(accounts), home)
    stop, shard = asyncio.Event(), home.partition
    inbox = KafkaInbox(settings.brokers(), Topics(settings.prefix).commands, shard)
    journal, health = PostgresJournal(settings.database(shard), shard), Health("bench")
    replies = Replies(inbox, journal, _nobody, WriterTally(), health)
    writer = Writer(inbox, journal, replies, home.partitions, health)
    writing = asyncio.create_task(writer.run(stop))
    try:
        async with asyncio.timeout(_PATIENCE_S + accounts / 1000):
            while not writing.done() and (await journal.standing()).next < commands:
                await journal.changed(_LOOK_EVERY_S)
        stop.set()
        await writing
    except TimeoutError:
        writing.cancel()
        raise Away(f"{accounts} accounts are not opened within {_PATIENCE_S + accounts / 1000:g} s") from None
    finally:
        await inbox.close()
        await journal.close()
    assert writer.tally.events == commands, f"of {commands} commands {writer.tally.events} were decided"
    return commands


async def _nobody(_: list[Addressed]) -> int:
    raise AssertionError("nobody asks for a reply")


def _registries() -> Iterator[bytes]:
    for number in range(_TYPES):
        named = {"account_type": f"type-{number}", "policies": ["no_overdraft"]}
        yield _encode({"type": "define-account-type.v1", "id": f"type-{number}", **named})
    for number in range(_BOOKS):
        named = {"book": f"book-{number}", "units": [_UNIT], "flags": [f"FLAG_{number}"]}
        yield _encode({"type": "define-book.v1", "id": f"book-{number}", **named})


def _terms(number: int) -> dict[str, object]:
    book = number % _BOOKS
    return {"account_type": f"type-{number % _TYPES}", "flags": [f"FLAG_{book}"], "book": f"book-{book}"}
