"""How Kafka is reached, which topics an installation has there, and what Kafka's errors mean.

Law: no topic of an installation is ever made here, not even by asking for it; only a topic for replies is made where it
is missing. What aiokafka raises becomes `Away` (call again) or `Unexpected` (a person must act).
"""

import asyncio
import logging
import ssl
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    NoError,
    SaslAuthenticationFailed,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
    for_code,
)
from aiokafka.partitioner import murmur2
from aiokafka.protocol.admin import CreateTopicsRequest
from aiokafka.protocol.metadata import MetadataRequest
from msgspec import Struct

from .errors import Away, Unexpected

PATIENCE_S: Final = 10.0
"""How long one question may go unanswered."""

_PAUSE_S: Final = 0.1
_REPLICAS: Final = 3
_REPLIES_ARE_KEPT_MS: Final = 60 * 60 * 1000
_DECIMAL_32: Final = 0x7FFFFFFF
_LOGIN: Final = (
    AuthenticationFailedError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
    ssl.SSLCertVerificationError,
)
_RIGHTS: Final = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)


class Login(Struct, frozen=True):
    """Who we are, to a Kafka that asks (SASL)."""

    user: str
    password: str
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"

    def __repr__(self) -> str:
        return f"Login({self.user!r}, ***, {self.mechanism!r})"


class Kafka(Struct, frozen=True):
    """A cluster: bootstrap servers, such as `kafka-1:9092,kafka-2:9092`, and how it is entered."""

    servers: str
    tls: ssl.SSLContext | None = None
    login: Login | None = None

    @property
    def security(self) -> Mapping[str, Any]:
        """What a connection is made with."""
        layers = ("SASL_" if self.login else "") + ("SSL" if self.tls else "PLAINTEXT")
        given: dict[str, Any] = {"security_protocol": layers, "ssl_context": self.tls}
        if self.login:
            given |= {
                "sasl_mechanism": self.login.mechanism,
                "sasl_plain_username": self.login.user,
                "sasl_plain_password": self.login.password,
            }
        return given

    @property
    def options(self) -> Mapping[str, Any]:
        """What every aiokafka object is made with."""
        # Its log repeats every attempt, ten times a second while a broker is away; what matters comes out as an error.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        return {
            "bootstrap_servers": self.servers,
            "client_id": "defter-client",
            "request_timeout_ms": int(PATIENCE_S * 1000),
            **self.security,
        }


def partition_of(ledger: str, partitions: int) -> int:
    """Return where a ledger lives: murmur2 of its name, as in Kafka's default partitioner for Java."""
    return int(murmur2(ledger.encode()) & _DECIMAL_32) % partitions


async def partitions(kafka: Kafka, topics: Collection[str], replies: str | None) -> dict[str, int]:
    """Tell how many partitions these topics have; that for `replies` is made where it is missing.

    Raises:
        Away: Kafka does not answer.
        Unexpected: a topic is not there, or its name, the login or a right is refused.
    """
    client = AIOKafkaClient(**kafka.options)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await client.bootstrap()
            found = await _described(client, topics)
            if replies:
                found[replies] = await _there(client, replies)
    except (KafkaError, OSError) as error:
        await _raise_if_login_is_refused(kafka)
        raise failure(error, kafka) from error
    finally:
        await client.close()
    missing = [name for name in topics if name not in found]
    if missing:
        raise Unexpected(
            f"Kafka at {kafka.servers} has no topic {missing[0]}",
            "connect to the servers and with the prefix of the installation, or run `defter setup` there",
        )
    return found


def failure(error: BaseException, kafka: Kafka) -> Away | Unexpected:
    """Return an error of aiokafka as one of ours."""
    if isinstance(error, _LOGIN):
        return Unexpected(f"Kafka at {kafka.servers} refuses the login: {error!r}", "connect with the right `login`")
    if isinstance(error, _RIGHTS):
        return Unexpected(
            f"Kafka at {kafka.servers} refuses: {error!r}",
            "give this user the right to describe and write the topic of commands, and to describe and read those of "
            "events and replies; or make the topic for replies beforehand",
        )
    if isinstance(error, TimeoutError | KafkaConnectionError | NodeNotReadyError):
        return Away(f"Kafka at {kafka.servers} does not answer")
    return Away(f"Kafka at {kafka.servers} does not answer as it should: {error!r}")


async def _there(client: Any, name: str) -> int:
    """Make a topic if it is missing, wait until it can be used, and tell how many partitions it has."""
    while True:
        found = await _described(client, [name])
        if name in found:
            return found[name]
        await _made(client, name)
        await asyncio.sleep(_PAUSE_S)


async def _described(client: Any, names: Collection[str]) -> dict[str, int]:
    """Tell how many partitions those have that are there; asking makes none.

    A topic of which that cannot be told now, because a partition has no leader yet, is asked for again.
    """
    while True:
        question = MetadataRequest(list(names), allow_auto_topic_creation=False)
        answer = await client.send(client.get_random_node(), question)
        told = {name: (for_code(code), rows) for code, name, _, rows in answer.topics}
        there = {name: one for name, one in told.items() if one[0] is not UnknownTopicOrPartitionError}
        for name, (error, _) in there.items():
            if error is not NoError and not error.retriable:
                raise _refused(error(name), name)
        if all(error is NoError and all(row[2] >= 0 for row in rows) for error, rows in there.values()):
            return {name: len(rows) for name, (_, rows) in there.items()}
        await asyncio.sleep(_PAUSE_S)


async def _made(client: Any, name: str) -> None:
    replicas = min(_REPLICAS, len(client.cluster.brokers()))
    wanted: list[Any] = [(name, 1, replicas, [], [("retention.ms", str(_REPLIES_ARE_KEPT_MS))])]
    controller = client.cluster.controller
    answer = await client.send(
        controller.nodeId if controller else client.get_random_node(),
        CreateTopicsRequest(wanted, int(PATIENCE_S * 1000), validate_only=False),
    )
    for _, code, *_ in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise _refused(error(name), name)


def _refused(error: KafkaError, topic: str) -> KafkaError | Unexpected:
    """Return what only a person can change as such: Kafka would say it again, however often it is asked."""
    if error.retriable or isinstance(error, _RIGHTS):
        return error
    return Unexpected(
        f"Kafka refuses topic {topic}: {type(error).__name__}",
        "connect with `replies` and `prefix` that make a name for a topic: letters, digits, `.`, `_` and `-`, at most "
        "249 of them, and not the name of another but for `.` and `_`; what else it may be, the brokers' log says",
    )


async def _raise_if_login_is_refused(kafka: Kafka) -> None:
    """Look why no connection came about: aiokafka's bootstrap tells of a wrong password as of a dead broker."""
    for host, port, _ in collect_hosts(kafka.servers) if kafka.tls or kafka.login else ():
        try:
            (await create_conn(host, port, request_timeout_ms=2_000, **kafka.security)).close()
        except _LOGIN as error:
            raise failure(error, kafka) from error
        except (KafkaError, OSError):
            continue
