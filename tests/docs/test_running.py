"""What README.md says of running an installation, as it is written."""

import shlex
import subprocess
import time

from services.dev import ports
from services.supervisor import SUPERVISED
from tests.docs.pages import PATIENTLY_S, ROOT, commands
from tests.services.cli.conftest import ready
from tests.services.cli.program import DEFTER, Program


def test_it_is_set_up_looked_at_and_run_as_it_says(database: str, kafka: str, prefix: str) -> None:
    typed = commands(ROOT / "README.md", "tests/docs/test_running.py")
    *at_once, running = [shlex.split(command.text, comments=True)[1:] for command in typed]
    port = ports.pick()
    program = Program({"DEFTER_DATABASE": database, "DEFTER_KAFKA": kafka, "DEFTER_PREFIX": prefix})
    environment = program.environment | {"DEFTER_PORT": str(port), SUPERVISED: "1"}

    for arguments in at_once:
        program.ok(*arguments)
    with subprocess.Popen([DEFTER, *running], env=environment, stdin=subprocess.PIPE) as run:
        until = time.monotonic() + PATIENTLY_S
        while not (was_ready := ready(port)) and run.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        run.terminate()

    assert (len(at_once), was_ready, run.returncode) == (2, True, 0)
