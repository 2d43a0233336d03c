"""Sends messages to topics that others name, each of which may be there or not.

Law: a topic that will not do is ignored and counted, and makes no other wait; nothing is ever sent to a topic of our
own, and none comes into being because somebody named it. What was acknowledged is with all replicas; after a failure it
may be sent again.

aiokafka's own producer is not used: it waits long for a topic that is not there, and asks the broker to make it.
Used by `services.replies`.
"""

import asyncio
import re
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

import structlog
from aiokafka.errors import (
    InvalidTimestampError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from services.errors import Away
from services.kafka.client import Client
from services.kafka.metadata import MetadataQuestion
from services.kafka.topics import partition_of
from services.settings import Kafka

_log: Final = structlog.get_logger()

_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,249}")
_AT_ONCE: Final = 100
_MOST_KNOWN: Final = 1000
_IGNORED_FOR_S: Final = 5.0
"""A topic that would not do is looked up again after this long: somebody may have made it."""

_ELECTS_S: Final = 10.0
"""A topic that nobody leads, or that has too few replicas, is waited for so long. An election takes less."""

_QUIET_S: Final = 1.0

_BATCH_BYTES: Final = 512 * 1024
_PATIENCE_S: Final = 10.0
_ALL_REPLICAS: Final = -1
_UNHEARD: Final = 7
"""The code of an answer that did not come in time."""

_NEEDS_A_KEY: Final = 87
"""`INVALID_RECORD`, which aiokafka does not know: a compacted topic refuses a message without a key."""

_TOO_LARGE: Final = (MessageSizeTooLargeError.errno, RecordListTooLargeError.errno)
_NEVER: Final = (
    InvalidTopicError.errno,
    TopicAuthorizationFailedError.errno,
    InvalidTimestampError.errno,
    PolicyViolationError.errno,
    _NEEDS_A_KEY,
    *_TOO_LARGE,
)

Place = tuple[str, int]
"""Topic and partition."""


class Addressed(NamedTuple):
    """One message about to be sent, and the topic that somebody named for it."""

    topic: str
    key: bytes | None
    value: bytes


class _Known(NamedTuple):
    """What is known of a topic: who leads each partition, none where it will not do; until when; how large a batch.

    `keyed` is whether it takes only messages that have a key.
    """

    leaders: tuple[int, ...]
    until: float = float("inf")
    batch_bytes: int = _BATCH_BYTES
    keyed: bool = False

    def takes(self, message: Addressed) -> bool:
        """Tell whether a message may be sent there."""
        return bool(self.leaders) and (message.key is not None or not self.keyed)


class Dispatch:
    """Sends to many topics. It connects by itself, when first asked.

    Args:
        kafka: how Kafka is reached.
        ours: topics that nobody may name.
    """

    def __init__(self, kafka: Kafka, ours: Collection[str]) -> None:
        self._client = Client(kafka)
        self._ours = frozenset(ours)
        self._known: dict[str, _Known] = {}
        self._lacking: dict[str, float] = {}
        self._quiet_until = 0.0

    async def send(self, messages: list[Addressed]) -> int:
        """Send all; what is acknowledged is taken out of `messages`, and in the end what is ignored.

        Returns:
            How many were ignored, because of the topic that they name.

        Raises:
            Away: what is left in `messages` is to be sent again.
        """
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
            self._lacking.clear()
        ignored = 0
        while True:
            leaderless = await self._look_up({message.topic for message in messages})
            bound, rest = self._sorted(messages)
            if not bound:
                break
            messages[:] = rest
            ignored += await self._produce(bound, messages)
        if leaderless:
            raise Away(f"Kafka has no leader for each partition of {' '.join(sorted(leaderless))}")
        ignored += len(messages)
        messages.clear()
        return ignored

    async def close(self) -> None:
        """Let go of connections. Never raises."""
        await self._client.close()

    async def _look_up(self, topics: Iterable[str]) -> set[str]:
        """Learn of each topic whether it will do, and return those of which that cannot be told now. Raises `Away`."""
        now = time.monotonic()
        unknown = []
        for topic in topics:
            if topic in self._known and now < self._known[topic].until:
                continue
            if topic in self._ours or not _NAME.fullmatch(topic):
                self._ignore(topic, "it is no topic for replies")
            else:
                unknown.append(topic)
        leaderless = set()
        for start in range(0, len(unknown), _AT_ONCE):
            answer = await self._client.ask(MetadataQuestion(unknown[start : start + _AT_ONCE]))
            for code, topic, _, internal, partitions, *_ in answer.topics:
                error = for_code(code)
                leaders = {number: leader for _, number, leader, *_ in partitions}
                if internal or (code and (error is UnknownTopicOrPartitionError or not error.retriable)):
                    self._ignore(topic, "it is Kafka's own" if internal else error.__name__)
                elif code or min(leaders.values(), default=-1) < 0:
                    self._known.pop(topic, None)
                    if not self._given_up(topic, "nobody leads it"):
                        leaderless.add(topic)
                else:
                    self._known[topic] = _Known(tuple(leaders[number] for number in range(len(leaders))))
        return leaderless

    def _sorted(self, messages: Iterable[Addressed]) -> tuple[dict[Place, list[Addressed]], list[Addressed]]:
        """Return messages by where they go, and those that go nowhere, or not now."""
        bound: dict[Place, list[Addressed]] = {}
        rest = []
        for message in messages:
            known = self._known.get(message.topic)
            if known and known.takes(message):
                partition = partition_of((message.key or b"").decode(), len(known.leaders))
                bound.setdefault((message.topic, partition), []).append(message)
            else:
                rest.append(message)
        return bound, rest

    async def _produce(self, bound: Mapping[Place, list[Addressed]], left: list[Addressed]) -> int:
        """Send one batch to each place, and add to `left` what is not acknowledged. Raises `Away` where some failed.

        Returns:
            How many are ignored because they are larger, each by itself, than what their topic takes.
        """
        batches = {place: _batch(messages, self._known[place[0]].batch_bytes) for place, messages in bound.items()}
        by_leader: dict[int, dict[str, list[tuple[int, bytes]]]] = {}
        for (topic, number), (data, _) in batches.items():
            leader = self._known[topic].leaders[number]
            by_leader.setdefault(leader, {}).setdefault(topic, []).append((number, data))
        answers = await asyncio.gather(*(self._ask(*one) for one in by_leader.items()))
        codes = {place: code for answer in answers for place, code in answer.items()}
        ignored = 0
        for place, messages in bound.items():
            code, packed = codes.get(place, _UNHEARD), batches[place][1]
            alone = code in _TOO_LARGE and packed == 1
            ignored += alone
            left += messages[packed:] if code == 0 or alone else messages
        failed = {place: code for place, code in codes.items() if code}
        for place, code in failed.items():
            self._learn(place[0], code, batches[place][1])
        for topic in {topic for topic, _ in codes} - {topic for topic, _ in failed}:
            self._lacking.pop(topic, None)
        for (topic, number), code in failed.items():
            name = for_code(code).__name__
            if code not in _NEVER and (code == _UNHEARD or not self._given_up(topic, name)):
                raise Away(f"{topic}, partition {number}: {name}")
        return ignored

    def _learn(self, topic: str, code: int, packed: int) -> None:
        """Take in that a topic did not take a batch of so many messages."""
        known = self._known.pop(topic, None)
        if known and code in _TOO_LARGE:
            # One that is too large by itself says nothing of the others.
            self._known[topic] = known._replace(batch_bytes=known.batch_bytes // 2) if packed > 1 else known
        elif known and code == _NEEDS_A_KEY and not known.keyed:
            self._known[topic] = known._replace(keyed=True)
        elif code in _NEVER:
            self._ignore(topic, "it needs a key" if code == _NEEDS_A_KEY else for_code(code).__name__)

    async def _ask(self, leader: int, parts: Mapping[str, list[tuple[int, bytes]]]) -> dict[Place, int]:
        """Send batches to the broker that leads their partitions, and return its answers, as codes of errors."""
        question = ProduceRequest(None, _ALL_REPLICAS, int(_PATIENCE_S * 1000), list(parts.items()))
        try:
            answer = await self._client.ask(question, node=leader, within_s=_PATIENCE_S)
        except Away:
            # Who leads may be another by now.
            return {(topic, number): _UNHEARD for topic, rows in parts.items() for number, _ in rows}
        return {(topic, number): code for topic, rows in answer.topics for number, code, *_ in rows}

    def _given_up(self, topic: str, why: str) -> bool:
        """Tell whether a topic that takes nothing now is ignored: so it has been for longer than elections take."""
        now = time.monotonic()
        if now - self._lacking.setdefault(topic, now) < _ELECTS_S:
            return False
        self._ignore(topic, why)
        return True

    def _ignore(self, topic: str, why: str) -> None:
        now = time.monotonic()
        self._known[topic] = _Known((), now + _IGNORED_FOR_S)
        if now >= self._quiet_until:
            # Whoever names many such topics is not to fill the log.
            self._quiet_until = now + _QUIET_S
            _log.warning("replies are ignored", topic=topic[:249], why=why)


def _batch(messages: list[Addressed], most_bytes: int) -> tuple[bytes, int]:
    """Pack as many messages as one batch holds, and return it with their number."""
    builder: Any = DefaultRecordBatchBuilder(
        2,
        DefaultRecordBatch.CODEC_NONE,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=most_bytes,
    )
    at_ms = int(time.time() * 1000)
    packed = 0
    for message in messages:
        if builder.append(packed, at_ms, message.key, message.value, []) is None:
            break
        packed += 1
    return bytes(builder.build()), packed
