"""Keeps one server for one owner, and ends it when the owner is gone, however the owner went.

Run as a program of its own, beside the server. Its standard input is a pipe that nobody writes to: the owner holds
the other end, and the operating system closes it when the owner ends, even by `kill -9`. That is all the watching
there is, and it is the same on Linux and macOS.

The law: who holds the lock file is alive. The server and all its children inherit the lock, so whoever obtains it
knows that nothing of an earlier server is left, without asking after process numbers that may long belong to someone
else.

Standard library only, and nothing of Defter: it must start quickly and outlive everything.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

GRACE_S = 10.0
LEFTOVER_S = 60.0


def main() -> int:
    """Run the server until it ends by itself or the owner is gone.

    Returns:
        The server's exit code, as a shell would give it.
    """
    options = arguments()
    lock = obtain(options.lock, options.pid)
    if options.stale:
        options.stale.unlink(missing_ok=True)
    server = subprocess.Popen(
        options.command, stdin=subprocess.DEVNULL, pass_fds=[lock], user=options.user, stdout=sys.stderr
    )
    options.pid.write_text(f"{server.pid}\n", encoding="ascii")
    print(server.pid, flush=True)  # noqa: T201 - the owner waits for this line
    owner_gone = threading.Event()
    threading.Thread(target=end_with_owner, args=(server, options.signal, owner_gone), daemon=True).start()
    code = server.wait()
    if options.trash and owner_gone.is_set():
        shutil.rmtree(options.trash, ignore_errors=True)
    return code if code >= 0 else 128 - code


def arguments() -> argparse.Namespace:
    """Read the command line: everything after the options is the server's own command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", type=Path, required=True, help="held as long as anything of the server lives")
    parser.add_argument("--pid", type=Path, required=True, help="where the server's process number is noted")
    parser.add_argument("--signal", type=int, default=signal.SIGTERM, help="sent to the server when the owner is gone")
    parser.add_argument("--stale", type=Path, help="a file that a killed server leaves behind and stumbles over")
    parser.add_argument("--trash", type=Path, help="a directory to delete when the owner is gone")
    parser.add_argument("--user", help="the user to run the server as")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def obtain(path: Path, pid: Path) -> int:
    """Take the lock; a server that an earlier owner left behind is killed first.

    Returns:
        The descriptor that holds the lock; the server inherits it.

    Raises:
        TimeoutError: what holds the lock does not end.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LEFTOVER_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                message = f"{path} is still held by what an earlier server left behind"
                raise TimeoutError(message) from None
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(pid.read_text(encoding="ascii")), signal.SIGKILL)
            time.sleep(0.05)
        else:
            return descriptor


def end_with_owner(server: subprocess.Popen[bytes], number: int, owner_gone: threading.Event) -> None:
    """Wait for the owner's end, then ask the server to stop, and make it stop if it does not."""
    os.read(sys.stdin.fileno(), 1)  # returns when the other end is closed
    owner_gone.set()
    server.send_signal(number)
    try:
        server.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner
    sys.exit(main())
