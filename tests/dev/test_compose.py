"""`docker-compose.yml`, as far as it can be tried without Docker: its schema, its promises, its commands."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from services.cli import SECTIONS
from services.dev.kafka import SETTINGS as KAFKA
from services.dev.postgres import SETTINGS as POSTGRES

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROCESSES = ("writer", "publisher", "projector")


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


def test_what_it_sets_is_what_the_local_installation_sets() -> None:
    flags = dict(flag.removeprefix("--").split("=") for flag in SERVICES["postgres"]["command"][1:])
    said = SERVICES["kafka"]["environment"]
    in_kafkas_words = {name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in said.items()}

    assert {name: POSTGRES.get(name) for name in flags} == flags
    assert {name for name in in_kafkas_words.keys() & KAFKA.keys() if in_kafkas_words[name] != KAFKA[name]} == {
        "inter.broker.listener.name",  # it has one listener more: for clients in containers
        "listener.security.protocol.map",
    }
