"""What README.md says of running an installation, as it is written."""

import subprocess
import sys
import time
from pathlib import Path

from services.dev import ports
from services.supervisor import SUPERVISED
from tests.docs.pages import PATIENTLY_S, ROOT, commands
from tests.services.cli.conftest import ready
from tests.services.cli.program import Program


def test_it_is_set_up_looked_at_and_run_as_it_says(database: str, kafka: str, prefix: str, tmp_path: Path) -> None:
    *at_once, running = [command.text for command in commands(ROOT / "README.md", "tests/docs/test_running.py")]
    port = ports.pick()
    program = Program({"DEFTER_DATABASE": database, "DEFTER_KAFKA": kafka, "DEFTER_PREFIX": prefix})
    outer = program.environment | {"DEFTER_PORT": str(port), SUPERVISED: "1"}
    environment = outer | {"PATH": f"{Path(sys.executable).parent}:{outer['PATH']}"}

    for text in at_once:
        subprocess.run(["bash", "-c", text], env=environment, timeout=PATIENTLY_S, check=True)
    with subprocess.Popen(["bash", "-c", f"exec {running}"], env=environment, stdin=subprocess.PIPE) as run:
        until = time.monotonic() + PATIENTLY_S
        while not ready(port) and run.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        was_ready = ready(port)
        run.terminate()

    assert (len(at_once), was_ready, run.returncode) == (2, True, 0)
