"""`defter dev`: a local installation for a person at a desk, found by every other command."""

import signal
from pathlib import Path

import psutil

from services.supervisor import SUPERVISED
from tests.services.cli.program import PATIENTLY_S, Program


def test_a_local_installation_keeps_what_it_holds_until_it_is_reset(tmp_path: Path) -> None:
    defter = Program({"XDG_DATA_HOME": str(tmp_path)})
    pay = "transfer world alice QAZ 5 --kind deposit --id paid"
    shown, children = day(defter, "open-ledger main --id first-id", "open world --type external", "open alice", pay)
    assert "accepted" in shown
    assert "dev" in defter.ok("dev", "--help")

    shown, _ = day(defter, "show first-id", "show paid")

    assert "accepted: first-id, event 1 of main" in shown
    _, alive = psutil.wait_procs(children, timeout=PATIENTLY_S)
    assert not alive
    assert defter.run("accounts").code == 2
    assert "deleted" in defter.ok("dev", "--reset")
    assert not list(tmp_path.glob("defter/*"))


def day(defter: Program, *commands: str) -> tuple[str, list[psutil.Process]]:
    """Start the local installation, run commands on it, and stop it with Ctrl-C."""
    dev = Program(defter.settings | {SUPERVISED: "1"}).start("dev")
    assert dev.stdout
    told = next((line for line in dev.stdout if line.startswith(b"ready")), None)
    assert told, dev.communicate()
    children = psutil.Process(dev.pid).children(recursive=True)
    done = [defter.run(*command.split()) for command in commands]
    assert [one.code for one in done] == [0] * len(commands), done
    assert [one.stderr.count("the local installation of `defter dev`") for one in done] == [1] * len(commands)
    assert "next: defter open-ledger main" in defter.on_a_terminal("setup", columns=80)  # and not: defter run
    refused = defter.run("dev", "--reset")
    assert refused.code == 3
    assert "is in use by another process" in refused.stderr
    dev.send_signal(signal.SIGINT)
    dev.communicate(timeout=PATIENTLY_S)
    assert dev.returncode == 0
    return "".join(one.stdout for one in done), children
