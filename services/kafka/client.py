"""Connections to Kafka's brokers: one question, one answer, or a named failure within bounded time.

Law: nothing waits for ever, and after a failure the connections are thrown away, so that a broker that was restarted is
met anew. What aiokafka raises becomes `Away` (wait and ask again) or `Unexpected` (a person must act) here.

What is asked: `services.kafka.partition` reads, `services.kafka.topics` describes and creates,
`services.kafka.membership` shares out partitions. What is written goes through `services.kafka.outbox`.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from services.errors import Away, Unexpected, WrongSetting
from services.settings import Kafka

PATIENCE_S: Final = 5.0

_LOGIN: Final = (
    AuthenticationFailedError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
    ssl.SSLCertVerificationError,
)
_RIGHTS: Final = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
    IncompatibleBrokerVersion,
)


class Client:
    """Connections to the brokers, opened by the first question and again by the first after a failure.

    Questions on different lanes do not wait for each other: a broker answers one connection's questions in order.
    """

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._opening = asyncio.Lock()
        self._client: Any = None

    async def ask(self, request: Any, *, node: int | None = None, lane: int = 0, within_s: float = PATIENCE_S) -> Any:
        """Send `request` to the broker `node`, or to any, and return its answer.

        Raises:
            Away: no answer within `within_s`.
            Unexpected: login or rights are refused.
        """
        async with self._connected(within_s) as client:
            return await client.send(client.get_random_node() if node is None else node, request, group=lane)

    async def leader(self, topic: str, partition: int, *, within_s: float = PATIENCE_S) -> int | None:
        """Return the broker that leads the partition; None where the cluster knows of no such partition.

        Raises:
            Away: no answer, or no leader at the moment.
            Unexpected: login or rights are refused.
        """
        place = TopicPartition(topic, partition)
        known = self._client and self._client.cluster.leader_for_partition(place)
        if known is not None and known >= 0:
            return int(known)
        async with self._connected(within_s) as client:
            node = client.cluster.leader_for_partition(place)
            if node in {None, -1}:
                await client.add_topic(topic)
                # It reports silence by what it returns: taken for an answer, that would be a cluster without the topic.
                if not await client.force_metadata_update():
                    raise KafkaConnectionError(f"no broker describes {topic}")
                node = client.cluster.leader_for_partition(place)
            if topic in client.cluster.unauthorized_topics:
                raise TopicAuthorizationFailedError(topic)
            if node == -1:
                raise LeaderNotAvailableError(place)
        return None if node is None else int(node)

    async def coordinator(self, group: str, *, within_s: float = PATIENCE_S) -> int:
        """Return the broker that keeps the group. Raises as `ask`; `Away` too while there is none yet."""
        async with self._connected(within_s) as client:
            return int(await client.coordinator_lookup(CoordinationType.GROUP, group))

    async def close(self) -> None:
        """Let go of the connections; questions under way end with `Away`. Never raises."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @asynccontextmanager
    async def _connected(self, within_s: float) -> AsyncIterator[Any]:
        try:
            async with asyncio.timeout(within_s):
                yield await self._opened()
        except (KafkaError, OSError) as error:
            await self.close()
            raise failure(error, self._kafka) from error

    async def _opened(self) -> Any:
        if self._client is not None:
            return self._client
        async with self._opening:
            if self._client is None:
                client = AIOKafkaClient(**options(self._kafka))
                try:
                    await client.bootstrap()
                except BaseException as error:
                    await client.close()
                    if isinstance(error, KafkaError):
                        await _raise_if_login_is_refused(self._kafka)
                    raise
                self._client = client
            return self._client


def options(kafka: Kafka) -> dict[str, Any]:
    """Return what every aiokafka object is made with. Raises `WrongSetting` for certificates that cannot be used."""
    # Its log repeats every attempt, ten times a second while a broker is away; what matters comes out as an error.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return {
        "bootstrap_servers": kafka.servers,
        "client_id": "defter",
        "request_timeout_ms": 10_000,
        **_security(kafka),
    }


def failure(error: BaseException, kafka: Kafka) -> Away | Unexpected:
    """Return an error of aiokafka as one of ours."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unexpected(
            f"Kafka at {kafka.servers} shows a certificate that is not to be trusted: {_told(error)}",
            "set DEFTER_KAFKA_CA to the CA that signed it, and DEFTER_KAFKA to the name that it is for",
        )
    if isinstance(error, _LOGIN):
        return Unexpected(
            f"Kafka at {kafka.servers} refuses the login: {_told(error)}",
            "set DEFTER_KAFKA_SECURITY, DEFTER_KAFKA_SASL_MECHANISM, DEFTER_KAFKA_USER, DEFTER_KAFKA_PASSWORD, "
            "DEFTER_KAFKA_CERT and DEFTER_KAFKA_KEY as the brokers want them",
        )
    if isinstance(error, _RIGHTS):
        return Unexpected(
            f"Kafka at {kafka.servers} refuses: {_told(error)}",
            f"give {kafka.user or 'this user'} the rights on topics and group that docs/security.md names",
        )
    if isinstance(error, TimeoutError | KafkaConnectionError | NodeNotReadyError):
        return Away(f"Kafka at {kafka.servers} does not answer")
    return Away(f"Kafka at {kafka.servers} does not answer as it should: {_told(error)}")


async def _raise_if_login_is_refused(kafka: Kafka) -> None:
    """Look why no connection came about: aiokafka's bootstrap tells of a wrong password as of a dead broker."""
    if kafka.security == "plaintext":
        return
    for server in kafka.servers.split(","):
        host, _, port = server.rpartition(":")
        try:
            (await create_conn(host.strip("[]"), int(port), request_timeout_ms=2_000, **_security(kafka))).close()
        except _LOGIN:
            raise
        except (KafkaError, OSError):
            continue


def _security(kafka: Kafka) -> Mapping[str, Any]:
    given: dict[str, Any] = {"security_protocol": kafka.security.upper()}
    if "sasl" in kafka.security:
        given |= {
            "sasl_mechanism": kafka.mechanism,
            "sasl_plain_username": kafka.user,
            "sasl_plain_password": kafka.password and kafka.password.reveal(),
        }
    if "ssl" in kafka.security.split("_"):
        given["ssl_context"] = _certificates(kafka)
    return given


def _certificates(kafka: Kafka) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=kafka.ca)
        if kafka.cert:
            # Without a password given, OpenSSL would ask for one on the terminal, and wait.
            context.load_cert_chain(kafka.cert, kafka.key, password="")
    except OSError as error:
        raise WrongSetting(
            f"DEFTER_KAFKA_CA, DEFTER_KAFKA_CERT or DEFTER_KAFKA_KEY: {error}; expected PEM files that fit each other"
        ) from error
    return context


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__
