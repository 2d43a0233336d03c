"""Commands in, outcomes back, events out: one connection of an application to Defter.

Law: retrying is always safe and is done here, with the same id; what is not known in time is said to be not known. A
command is looked at before it is sent, so that nothing is sent that is none.

What happens to a command on its way out: `defter_client.sending`. Its outcome comes back through
`defter_client.replies`. Events: `defter_client.subscription`.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Final, Self

import msgspec

from . import kafka
from .errors import NoOutcomeYet
from .kafka import Kafka, Login
from .replies import Asked, Replies
from .schemas.codec import MOST_BYTES, MalformedError, decode_command
from .schemas.commands import Command, Tick
from .schemas.replies import Reply
from .schemas.values import LedgerName
from .sending import Message, Place, Sender
from .subscription import Subscription

TIMEOUT_S: Final = 30.0
AT_ONCE: Final = 1000

_AGAIN_S: Final = 2.0
_LONGEST_AGAIN_S: Final = 60.0
_NOT_OPEN: Final = "the client is not connected: use it inside of `async with Client.connect(…) as client`"
_encode: Final = msgspec.json.Encoder().encode


class Client:
    """An application's connection to one installation. Made by `connect`; used in `async with`, by one event loop.

    Any number of tasks may use it at the same time.
    """

    def __init__(self, at: Kafka, prefix: str, replies: str | None, timeout_s: float) -> None:
        self._kafka = at
        self._prefix = prefix
        self._replies_to = replies and f"{prefix}replies.{replies}"
        self._timeout_s = timeout_s
        self._partitions = 0
        self._sender: Sender | None = None
        self._replies: Replies | None = None
        self._subscriptions: set[Subscription] = set()
        self._open = AsyncExitStack()

    @classmethod
    def connect(
        cls,
        servers: str,
        *,
        replies: str | None = None,
        prefix: str = "defter.",
        tls: ssl.SSLContext | None = None,
        login: Login | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Self:
        """Say where Defter is. The connection is made by `async with`, and ended with it.

        Args:
            servers: Kafka's bootstrap servers, such as `kafka-1:9092,kafka-2:9092`.
            replies: a name for this application, of its own: outcomes come through the topic `<prefix>replies.<name>`,
                made where it is missing. Who only subscribes needs none.
            prefix: of the installation's topics.
            tls: for a Kafka that speaks TLS.
            login: for a Kafka that asks who we are (SASL).
            timeout_s: how long an outcome is waited for, unless a call says otherwise.
        """
        return cls(Kafka(servers, tls, login), prefix, replies, timeout_s)

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Away: Kafka does not answer.
            Unexpected: there is no such installation, or the login, a right or the name for replies is refused.
        """
        commands, events, to = f"{self._prefix}commands", f"{self._prefix}events", self._replies_to
        # Both have the same number of partitions, and who sends need not be allowed to see events.
        known = commands if to else events
        found = await kafka.partitions(self._kafka, [known], to)
        self._partitions = found[known]
        if to:
            replies = Replies(self._kafka, to, found[to])
            self._open.push_async_callback(replies.close)
            try:
                await replies.open()
            except BaseException:
                await self._open.aclose()
                raise
            self._sender, self._replies = Sender(self._kafka, commands), replies
            self._open.push_async_callback(self._sender.close)
        self._open.push_async_callback(self._unsubscribe)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sender = self._replies = None
        self._partitions = 0
        await self._open.aclose()

    async def send(self, command: Command | bytes, *, timeout_s: float | None = None) -> Reply:
        """Send a command and return its outcome: `reply.outcome` is accepted, refused or dead-letter.

        It is sent again, with its id, for as long as nothing is heard. Calling again, today or tomorrow, returns the
        same outcome.

        Args:
            command: of `defter_client.schemas.commands`, or what `TransferBuilder.encode` gives, or JSON of your own.
            timeout_s: how long to wait; else as `connect` says.

        Raises:
            MalformedError: it is no command; it was not sent.
            NoOutcomeYet: the time is up. What is known is said; calling again is safe.
            Unexpected: Kafka refuses.
            ValueError: the same id is on its way at this moment, with another content.
        """
        return await self._outcome([self._sent(command)], timeout_s)

    async def send_all(
        self,
        commands: Iterable[Command | bytes] | AsyncIterable[Command | bytes],
        *,
        timeout_s: float | None = None,
        at_once: int = AT_ONCE,
    ) -> AsyncIterator[Reply]:
        """Send many commands and give their outcomes, in the same order.

        They come into the topic in their order, so that each ledger decides them in it. Up to `at_once` are on their
        way; the first one that fails ends it all, and what was on its way may be sent again.

        Raises as `send`, and whatever `commands` raises, after the outcomes of those before.
        """
        if at_once < 1:
            raise ValueError(f"at_once={at_once}: at least 1 command must be on its way")
        waiting: deque[Sent] = deque()
        room, there_are_some = asyncio.Semaphore(at_once), asyncio.Event()
        # A task of its own: outcomes are told, and asked for again, also while there is no next command yet.
        taking = asyncio.create_task(self._take(commands, waiting, room, there_are_some), name="defter_client: taking")
        taking.add_done_callback(lambda _: there_are_some.set())
        try:
            while waiting or not taking.done():
                if waiting:
                    yield await self._outcome(waiting, timeout_s)
                    waiting.popleft()
                    room.release()
                else:
                    there_are_some.clear()
                    await there_are_some.wait()
            taking.result()
        finally:
            taking.cancel()
            for sent in waiting:
                sent.give_up()
            await asyncio.gather(taking, return_exceptions=True)

    def subscribe(self, ledger: str = "main", *, after: int = 0) -> Subscription:
        """Give the events of a ledger, in order, once each, as they come: `async for event in client.subscribe(…)`.

        Who leaves that loop before the client ends, ends the subscription: `async with client.subscribe(…) as events`.

        Args:
            ledger: whose.
            after: the sequence of the last event that you have taken in; 0 before the first.

        Raises:
            ValueError: no ledger has such a name, or no event such a sequence.
        """
        ledger = msgspec.convert(ledger, LedgerName)
        if after < 0:
            raise ValueError(f"{after} is before the first event: begin with 0")
        if not self._partitions:
            raise RuntimeError(_NOT_OPEN)
        where = kafka.partition_of(ledger, self._partitions)
        return Subscription(self._kafka, f"{self._prefix}events", where, ledger, after, self._subscriptions)

    async def _unsubscribe(self) -> None:
        await asyncio.gather(*(subscription.close() for subscription in self._subscriptions))

    async def _take(
        self,
        commands: Iterable[Command | bytes] | AsyncIterable[Command | bytes],
        waiting: deque["Sent"],
        room: asyncio.Semaphore,
        there_are_some: asyncio.Event,
    ) -> None:
        """Send each command on its way, as soon as there is room."""
        async for command in _each(commands):
            await room.acquire()
            waiting.append(self._sent(command))
            there_are_some.set()

    def _sent(self, command: Command | bytes) -> "Sent":
        """Look at a command, and send it on its way."""
        if not self._replies_to:
            raise RuntimeError("to send, connect with a name for replies: Client.connect(…, replies='shop')")
        if self._sender is None or self._replies is None:
            raise RuntimeError(_NOT_OPEN)
        value = command if isinstance(command, bytes) else _encode(command)
        if len(value) > MOST_BYTES:
            raise MalformedError(f"{len(value)} bytes, at most {MOST_BYTES} - at `$`")
        checked, content = decode_command(value, None)
        if isinstance(checked, Tick):
            raise MalformedError("a tick has no outcome of its own - at `$.type`")
        where = kafka.partition_of(checked.ledger, self._partitions)
        headers = [("reply-to", self._replies_to.encode())]
        message = Message(where, checked.ledger.encode(), value, headers)
        asked = Asked(checked.ledger, checked.id)
        return Sent(asked, message, self._sender, self._replies.expect(asked, content))

    async def _outcome(self, under_way: Sequence["Sent"], timeout_s: float | None) -> Reply:
        """Wait for the outcome of the first; those that nothing is heard of meanwhile are put into the topic again."""
        sent, now = under_way[0], asyncio.get_running_loop().time
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        until = sent.since + timeout_s
        try:
            while not sent.told.done():
                if now() >= until:
                    raise NoOutcomeYet(*sent.asked, timeout_s, sent.place, sent.sender.trouble)
                await asyncio.wait({sent.told}, timeout=max(min(sent.again_at, until) - now(), 0))
                if sent.again_at <= now() < until:
                    for one in under_way:
                        one.send_again(now())
            return sent.told.result()
        finally:
            sent.give_up()


class Sent:
    """A command on its way.

    Args:
        asked: what its outcome is told by.
        message: what is put into the topic.
        sender: puts it there.
        told: its outcome, once it is heard.
    """

    __slots__ = ("_message", "_pause_s", "_placed", "again_at", "asked", "place", "sender", "since", "told")

    def __init__(self, asked: Asked, message: Message, sender: Sender, told: asyncio.Future[Reply]) -> None:
        self.asked = asked
        self.sender = sender
        self.told = told
        self.place: Place | None = None
        """Where it lies in the topic, as far as that is known."""
        self.since = asyncio.get_running_loop().time()
        self.again_at = self.since + _AGAIN_S
        """When it is put into the topic again, should nothing be heard."""
        self._pause_s = _AGAIN_S
        self._message = message
        self._send()

    def send_again(self, at: float) -> None:
        """Put it into the topic once more, if that is due, and if it is not still lined up for it."""
        if self.told.done() or at < self.again_at:
            return
        self._pause_s = min(2 * self._pause_s, _LONGEST_AGAIN_S)
        self.again_at = at + self._pause_s
        if self._placed.done():
            self._send()

    def give_up(self) -> None:
        """Wait for its outcome no longer."""
        self._placed.cancel()
        if not self.told.cancel() and not self.told.cancelled():
            # What nobody asked for is not to be complained of.
            self.told.exception()

    def _send(self) -> None:
        self._placed = self.sender.put(self._message)
        self._placed.add_done_callback(self._note)

    def _note(self, placed: asyncio.Future[Place]) -> None:
        if placed.cancelled():
            return
        if error := placed.exception():
            if not self.told.done():
                self.told.set_exception(error)
        elif self.place is None:
            self.place = placed.result()


async def _each(commands: Iterable[Command | bytes] | AsyncIterable[Command | bytes]) -> AsyncIterator[Command | bytes]:
    if isinstance(commands, AsyncIterable):
        async for command in commands:
            yield command
    else:
        for command in commands:
            yield command
