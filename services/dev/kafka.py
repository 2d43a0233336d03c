"""An Apache Kafka broker of one's own: one node that is its own controller, on Java, from pinned files.

Where the files come from: `services.dev.jars`. Which Java runs them: `services.dev.java`. Why it starts quickly:
`services.dev.archive`.
"""

import base64
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from services.dev import archive, jars, java
from services.dev.ports import HOST
from services.dev.server import Plan, Server
from services.errors import Unexpected

# What is not said here is Kafka's own default, the size of a message (1 MiB) too: a topic that takes larger ones says
# so itself.
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    # One broker: what Kafka keeps for itself has one copy, in a few partitions.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # A topic that is missing is a mistake to be told, not to be made by whoever asks for it.
    "auto.create.topics.enable": "false",
    # A group of one waits for nobody.
    "group.initial.rebalance.delay.ms": "0",
    # A small machine.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "log.segment.bytes": "268435456",
    # Started again after a kill it waits until the broker it was counts as dead: 9 s if left alone.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
}

# Quick to start and small: the collector and the compiler of a small program, and no file in the system's temporary
# directory.
JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.awt.headless=true")

# Kafka's `Metadata`, version 1, correlation id 1, no client id, of no topics, with its length before it. The answer
# begins with its own length, the correlation id, and how many brokers there are.
ASK_BROKERS = bytes.fromhex("0000000e 0003 0001 00000001 ffff 00000000")


class Kafka(Server):
    """One Kafka broker. It answers to anyone on this machine, and to nobody else.

    Args:
        directory: where its data is kept.
        port: where clients reach it.
        controller_port: where it reaches itself as its own controller.
        trash: a directory to delete when the owner is gone; without one everything is kept.
        options: more of Java's options.
    """

    def __init__(
        self,
        directory: Path,
        port: int,
        controller_port: int,
        trash: Path | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        self.data = directory / "data"
        self.options = options
        self.port = port
        self.controller_port = controller_port
        plan = Plan("Kafka", directory, directory / "server.log", signal.SIGTERM, signal.SIGKILL)
        super().__init__(plan, trash)

    @property
    def bootstrap(self) -> str:
        """The address that clients are given."""
        return bootstrap(self.port)

    def run(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Start the broker and wait until it answers; its files are fetched and its data directory made when missing.

        Args:
            say: told one sentence when there is something to fetch.

        Raises:
            Away: a file of Kafka's cannot be fetched.
            Unexpected: it cannot be started.
        """
        classpath = jars.classpath(say)
        if not self.data.exists():
            self._make_data(classpath)
        settings = self._settings("server.properties", self.data)
        self.start(
            [*program(classpath, "256m", *self.options, "kafka.Kafka"), str(settings)], lambda _: answers(self.port)
        )

    def _make_data(self, classpath: str) -> None:
        """Make the data directory in one step: one cut short is made anew."""
        unfinished = self.data.with_name("data.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        settings = self._settings("format.properties", unfinished)
        cluster = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]  # a `-` in front reads as an option
        command = program(classpath, "64m", "kafka.tools.StorageTool")
        command += ["format", "--standalone", "--cluster-id", cluster, "--config", str(settings)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            what = f"Kafka cannot make its data in {unfinished}:\n{done.stdout}{done.stderr}"
            raise Unexpected(what, "see what it says")
        unfinished.rename(self.data)

    def _settings(self, name: str, data: Path) -> Path:
        controller = f"{HOST}:{self.controller_port}"
        settings = {
            **SETTINGS,
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.quorum.bootstrap.servers": controller,
            "log.dirs": str(data),
        }
        path = self.plan.directory / name
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
        return path


def bootstrap(port: int) -> str:
    """Return what clients are given to find the broker on this port."""
    return f"{HOST}:{port}"


def program(classpath: str, memory: str, *main: str) -> list[str]:
    """Return the command that runs one of Kafka's programs.

    Args:
        classpath: Java's, of all of Kafka.
        memory: what Java may use for its heap, such as `256m`.
        main: the class to run, after more of Java's options.
    """
    logging = Path(__file__).with_name("log4j2.yaml")
    options = [f"-Xms{memory}", f"-Xmx{memory}", *JVM, f"-Dlog4j2.configurationFile={logging}"]
    if archive.path().exists():
        options.append(f"-XX:SharedArchiveFile={archive.path()}")
    return [java.executable(), *options, "-cp", classpath, *main]


def answers(port: int) -> bool:
    """Return whether a broker answers on this port: not only listens, but is past its start, and one of its cluster."""
    try:
        with socket.create_connection((HOST, port), 0.5) as connection:
            connection.settimeout(1)
            connection.sendall(ASK_BROKERS)
            return int.from_bytes(connection.recv(12, socket.MSG_WAITALL)[8:]) > 0
    except OSError:
        return False
