"""`docker-compose.yml`, as far as it can be tried without Docker: its schema, its promises, its commands."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from services.cli import SECTIONS
from services.dev import ports
from services.dev.kafka import SETTINGS as KAFKA
from services.dev.postgres import SETTINGS as POSTGRES

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROCESSES = ("writer", "publisher", "projector", "ticker")


def test_it_is_a_compose_file() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]

    done = subprocess.run(check, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout


def test_every_image_is_one_version_and_no_other() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    images = [service["image"] for service in SERVICES.values()] + re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)

    assert [image for image in images if not re.fullmatch(r"[a-z/]+:\d+\.\d+(\.\d+)?(-[a-z-]+)?", image)] == []


def test_nothing_is_reached_from_another_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_every_process_says_whether_it_is_ready() -> None:
    assert set(SERVICES) == {"postgres", "kafka", "setup", "defter", *PROCESSES}
    assert [name for name in PROCESSES if "/readyz" not in SERVICES[name]["healthcheck"]["test"][-1]] == []
    assert all("healthcheck" in SERVICES[name] for name in ("postgres", "kafka"))


def test_every_process_is_a_command_of_defter() -> None:
    commands = {command for section in SECTIONS for command in section.commands}

    assert {SERVICES[name]["command"][0] for name in (*PROCESSES, "setup", "defter")} <= commands


def test_its_commands_and_health_checks_work_as_plain_processes(database: str, kafka: str, prefix: str) -> None:
    with processes({"DEFTER_DATABASE": database, "DEFTER_KAFKA": kafka, "DEFTER_PREFIX": prefix}) as run:
        assert run("setup", "defter", *SERVICES["setup"]["command"]).wait() == 0
        started = {name: run(name, "defter", *SERVICES[name]["command"]) for name in PROCESSES}
        for name, process in started.items():
            while run(name, *SERVICES[name]["healthcheck"]["test"][1:]).wait() != 0:
                assert process.poll() is None, f"{name} ended"
        for process in started.values():
            process.terminate()

        assert {name: process.wait() for name, process in started.items()} == dict.fromkeys(PROCESSES, 0)


@contextmanager
def processes(here: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Yield what runs a command for a service: with the service's environment, as far as it is not other `here`."""
    started: list[subprocess.Popen[bytes]] = []
    port: dict[str, str] = defaultdict(lambda: str(ports.pick()))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def run(name: str, *command: str) -> subprocess.Popen[bytes]:
        said = SERVICES[name]["environment"] | here | {"DEFTER_PORT": port[name]}
        started.append(subprocess.Popen(command, env={**os.environ, "PATH": path, **said}))
        return started[-1]

    try:
        yield run
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_what_it_sets_is_what_the_local_installation_sets() -> None:
    flags = dict(flag.removeprefix("--").split("=") for flag in SERVICES["postgres"]["command"][1:])
    said = SERVICES["kafka"]["environment"]
    in_kafkas_words = {name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in said.items()}

    assert {name: POSTGRES.get(name) for name in flags} == flags
    assert {name for name in in_kafkas_words.keys() & KAFKA.keys() if in_kafkas_words[name] != KAFKA[name]} == {
        "inter.broker.listener.name",  # it has one listener more: for clients in containers
        "listener.security.protocol.map",
    }
