"""Metadata, version 12, as it travels: the first that tells the id of a topic (KIP-516). aiokafka stops at version 5.

A topic that was deleted and made anew has the same name, the same partitions, the same leader epoch, and another id,
the only thing by which it is told from the one that was read before. Used by `services.kafka.topics`.
"""

from io import BytesIO
from typing import Any
from uuid import UUID

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_Text = CompactString("utf-8")


class _Uuid(AbstractType):  # type: ignore[misc]  # aiokafka has no types
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


_BROKERS = CompactArray(("node", Int32), ("host", _Text), ("port", Int32), ("rack", _Text), ("tags", TaggedFields))
_PARTITIONS = CompactArray(
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("in_sync", CompactArray(Int32)),
    ("offline", CompactArray(Int32)),
    ("tags", TaggedFields),
)
_TOPICS = CompactArray(
    ("error_code", Int16),
    ("topic", _Text),
    ("topic_id", _Uuid),
    ("internal", Boolean),
    ("partitions", _PARTITIONS),
    ("authorized_operations", Int32),
    ("tags", TaggedFields),
)


class MetadataAnswer(Response):  # type: ignore[misc]  # aiokafka has no types
    """Brokers, the cluster's id, and the topics asked for."""

    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", _BROKERS),
        ("cluster_id", _Text),
        ("controller", Int32),
        ("topics", _TOPICS),
        ("tags", TaggedFields),
    )


class _MetadataRequest12(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    """The question as it travels."""

    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = MetadataAnswer
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _Text), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class MetadataQuestion(Request[_MetadataRequest12]):  # type: ignore[misc]  # aiokafka has no types
    """Which of these topics are there, with which ids? It creates none."""

    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[Any]) -> Any:
        """Return the question in the only version it has."""
        return request_struct_class([(UUID(int=0), topic, {}) for topic in self._topics], False, False, {})  # noqa: FBT003
