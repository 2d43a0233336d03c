"""Where a process spends its processor time: its stacks, looked at every few milliseconds.

Law: it counts processor time, not time: each look gives a thread's stack what that thread has used since the last one.
So waiting costs nothing, and the sum is what the operating system says too, but for what looking itself costs.

The file has one stack a line, outermost first, and its microseconds: what flame graph programs read.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

_LOOK_EVERY_S: Final = 0.004
_SWITCH_S: Final = 0.0005
_FEWEST_US: Final = 50


@contextmanager
def sampled(file: Path | None, through: str = "") -> Iterator[None]:
    """Look at every thread of this process, and write at the end what was seen.

    Args:
        file: for the stacks; without one, nothing is done.
        through: only stacks that go through this function count.
    """
    if file is None:
        yield
        return
    # Whoever looks must wait until the thread at work lets go of the interpreter: for the default 5 ms it would mostly
    # be seen where it lets go by itself.
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    stacks: Counter[str] = Counter()
    stop = threading.Event()
    looking = threading.Thread(target=_look, args=(stacks, stop), name="sampling", daemon=True)
    looking.start()
    try:
        yield
    finally:
        stop.set()
        looking.join()
        sys.setswitchinterval(before)
        lines = [f"{stack} {microseconds}\n" for stack, microseconds in stacks.most_common() if through in stack]
        file.write_text("".join(lines), encoding="utf-8")


def dearest(file: Path, most: int) -> list[tuple[str, float, float]]:
    """Return the functions that took most by themselves: name, share by itself, share with all that it called."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in file.read_text(encoding="utf-8").splitlines():
        stack, _, microseconds = line.rpartition(" ")
        functions = [place.rpartition(":")[0] for place in stack.split(";")[1:]]
        own[functions[-1]] += int(microseconds)
        for function in set(functions):
            whole[function] += int(microseconds)
    total = max(sum(own.values()), 1)
    return [(function, taken / total, whole[function] / total) for function, taken in own.most_common(most)]


def _look(stacks: Counter[str], stop: threading.Event) -> None:
    counted: dict[int, int] = {}
    me = threading.get_ident()
    while not stop.wait(_LOOK_EVERY_S):
        for ident, frame in sys._current_frames().items():  # noqa: SLF001 - the one way there is
            used = _used_us(ident)
            more = used - counted.setdefault(ident, used)
            if more >= _FEWEST_US:
                counted[ident] = used
                if ident != me:
                    stacks[f"{_name(ident)};{_stack(frame)}"] += more


def _used_us(ident: int) -> int:
    """Return the processor time of a thread of ours that is alive, which it is while we hold the interpreter."""
    return time.clock_gettime_ns(time.pthread_getcpuclockid(ident)) // 1000


def _name(ident: int) -> str:
    return next((thread.name for thread in threading.enumerate() if thread.ident == ident), "thread")


def _stack(frame: FrameType | None) -> str:
    places = []
    while frame is not None:
        code = frame.f_code
        module = frame.f_globals.get("__name__", "?")
        places.append(f"{module}.{code.co_qualname}:{frame.f_lineno}")
        frame = frame.f_back
    return ";".join(reversed(places))
