"""What a member and the coordinator of a consumer group say to each other, and how partitions are dealt out.

aiokafka's own group consumer is not used: its heartbeats do not say which instance they come from, so that two
processes started under one name throw each other out for ever, unnoticed; and it leaves the group when nobody polls it.
Here a heartbeat says its instance, and the older of two is told that it is fenced. `services.kafka.membership` has the
loop.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupAuthorizationFailedError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest
from aiokafka.protocol.struct import Struct as Wire
from aiokafka.protocol.types import Array, Bytes, Int16, Int32, Schema, String

from services.errors import Away, Unexpected
from services.kafka.client import Client, failure
from services.settings import Kafka

# A member unheard of for this long has lost its partitions. The brokers allow nothing shorter.
SESSION_S: Final = 6.0

_JOINING_S: Final = SESSION_S + 3.0
_BEATING_S: Final = 3.0
_LANE: Final = 1
_TYPE: Final = "consumer"
_DEALT: Final = "defter-sticky"
_FENCED: Final = 82
_UNKNOWN_MEMBER: Final = 25
_JOIN_AGAIN: Final = frozenset({22, 25, 27, 79})  # other generation, unknown member, rebalance, id now given
_NO_COORDINATOR: Final = frozenset({14, 15, 16})  # loading, not available, another broker


class JoinAgain(RuntimeError):
    """The group is being dealt anew. `forgotten`: it does not know this member any more."""

    def __init__(self, *, forgotten: bool) -> None:
        super().__init__("the group is being dealt anew")
        self.forgotten = forgotten


class Joined(NamedTuple):
    """Who we are in the group. `members` is what each member has, told only to the one that deals."""

    member: str
    generation: int
    members: Mapping[str, frozenset[int]]


class _Subscription(Wire):  # type: ignore[misc]  # aiokafka has no types
    """What a member says of itself, as all consumers do: topics, and the partitions it has."""

    SCHEMA = Schema(
        ("version", Int16),
        ("topics", Array(String("utf-8"))),
        ("user_data", Bytes),
        ("owned", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))),
    )


class _BeatAnswer(Response):  # type: ignore[misc]  # aiokafka has no types
    """Heartbeat, version 3."""

    API_KEY = 12
    API_VERSION = 3
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16))


class _BeatRequest3(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    """Heartbeat as it travels. aiokafka stops at version 1, which cannot name the instance."""

    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = _BeatAnswer
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation", Int32),
        ("member", String("utf-8")),
        ("instance", String("utf-8")),
    )


class _Beat(Request[_BeatRequest3]):  # type: ignore[misc]  # aiokafka has no types
    """I am alive."""

    API_KEY = 12

    def __init__(self, group: str, generation: int, member: str, instance: str) -> None:
        self._said = (group, generation, member, instance)

    def build(self, request_struct_class: type[Any]) -> Any:
        """Return the question in the only version it has."""
        return request_struct_class(*self._said)


class Group:
    """One instance's line to the coordinator of the group.

    Each question raises `Away` when the coordinator does not answer or is another broker by now, `JoinAgain` when the
    group is being dealt anew, and `Unexpected` when this instance is not wanted.
    """

    def __init__(self, kafka: Kafka, group: str, topic: str, instance: str) -> None:
        self._kafka = kafka
        self._group = group
        self._topic = topic
        self._instance = instance
        self._client = Client(kafka)
        self._coordinator: int | None = None

    async def join(self, member: str, owned: frozenset[int]) -> Joined:
        """Ask to be dealt partitions; answered when all members have asked. `member` is empty the first time."""
        said = _Subscription(1, [self._topic], b"", [(self._topic, sorted(owned))])
        session_ms = int(SESSION_S * 1000)
        question = JoinGroupRequest(
            self._group, session_ms, session_ms, member, self._instance, _TYPE, [(_DEALT, said.encode())]
        )
        answer = await self._ask(question, _JOINING_S)
        leads = answer.leader_id == answer.member_id
        return Joined(
            answer.member_id,
            answer.generation_id,
            {one: self._owned(told) for one, _, told in answer.members} if leads else {},
        )

    async def sync(self, joined: Joined, dealt: Mapping[str, frozenset[int]]) -> frozenset[int]:
        """Hand in what each member gets, if it is on us to deal, and receive what we get."""
        shares = [
            (member, ConsumerProtocolMemberAssignment(1, [(self._topic, sorted(share))], b"").encode())
            for member, share in dealt.items()
        ]
        question = SyncGroupRequest(self._group, joined.generation, joined.member, self._instance, shares)
        share = (await self._ask(question, _JOINING_S)).member_assignment
        if not share:
            return frozenset()
        return self._of_topic(ConsumerProtocolMemberAssignment.decode(share).assignment)

    async def beat(self, joined: Joined) -> None:
        """Say that we are alive, and hear whether the group stands as it was."""
        await self._ask(_Beat(self._group, joined.generation, joined.member, self._instance), _BEATING_S)

    async def close(self) -> None:
        """Let go of the connection. The member stays in the group: a restart has its partitions back at once."""
        self._coordinator = None
        await self._client.close()

    async def _ask(self, question: Any, within_s: float) -> Any:
        if self._coordinator is None:
            self._coordinator = await self._client.coordinator(self._group)
        try:
            answer = await self._client.ask(question, node=self._coordinator, lane=_LANE, within_s=within_s)
        except Away:
            self._coordinator = None
            raise
        code = answer.error_code
        if code in _NO_COORDINATOR:
            self._coordinator = None
            raise Away(f"the coordinator of group {self._group} is not ready ({for_code(code).__name__})")
        if code in _JOIN_AGAIN:
            raise JoinAgain(forgotten=code == _UNKNOWN_MEMBER)
        if code:
            raise self._unwanted(code)
        return answer

    def _unwanted(self, code: int) -> Unexpected | Away:
        if code == _FENCED:
            return Unexpected(
                f"another process has joined group {self._group} as instance {self._instance}",
                "give each process a DEFTER_INSTANCE of its own, or end the other one",
            )
        error = for_code(code)
        if error is GroupAuthorizationFailedError:
            return failure(error(self._group), self._kafka)
        return Unexpected(
            f"group {self._group} does not take instance {self._instance}: {error.__name__} ({code})",
            "let no other program use this group; the brokers' log says more",
        )

    def _owned(self, told: bytes) -> frozenset[int]:
        return self._of_topic(_Subscription.decode(told).owned)

    def _of_topic(self, rows: list[tuple[str, list[int]]]) -> frozenset[int]:
        return frozenset(number for topic, numbers in rows if topic == self._topic for number in numbers)


def deal(partitions: int, owned: Mapping[str, frozenset[int]]) -> dict[str, frozenset[int]]:
    """Deal partitions out evenly, and so that as few as possible change hands: a change costs a load.

    >>> deal(3, {"a": frozenset({0, 1, 2}), "b": frozenset()})
    {'a': frozenset({0, 1}), 'b': frozenset({2})}
    >>> deal(1, {"a": frozenset(), "b": frozenset({0})})
    {'a': frozenset(), 'b': frozenset({0})}
    """
    each, over = divmod(partitions, len(owned))
    free = set(range(partitions))
    dealt: dict[str, set[int]] = {}
    for member in sorted(owned, key=lambda one: (-len(owned[one]), one)):
        kept = sorted(owned[member] & free)[: each + (over > 0)]
        over -= len(kept) > each
        free -= set(kept)
        dealt[member] = set(kept)
    for member in sorted(owned, key=lambda one: (len(dealt[one]), one)):
        while free and len(dealt[member]) < each:
            dealt[member].add(min(free))
            free.remove(min(free))
    for member in sorted(owned, key=lambda one: (len(dealt[one]), one)):
        if free and len(dealt[member]) == each:
            dealt[member].add(min(free))
            free.remove(min(free))
    return {member: frozenset(dealt[member]) for member in owned}
