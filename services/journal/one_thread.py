"""A thread for calls that block, which never holds up the end of the process.

The standard library's executor waits for its threads when the interpreter ends, and a thread inside libpq may wait for
a lost host. This one is simply left behind.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from services.errors import Away

_T = TypeVar("_T")
_Call = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class OneThread:
    """Runs calls one after the other, in the order given.

    Args:
        name: what the thread is called.
        at_end: called in the thread, last of all.
    """

    def __init__(self, name: str, at_end: Callable[[], None]) -> None:
        self._name = name
        self._at_end = at_end
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._stopped = False

    async def run(self, call: Callable[[], _T]) -> _T:
        """Return what `call` returns, or raise what it raises. A call that has begun goes on when this is cancelled.

        Raises:
            Away: nobody answers any more after `stop`.
        """
        if self._stopped:
            raise Away(f"{self._name} is closed")
        if self._thread is None:
            self._thread = Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        answer: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._calls.put((call, answer))
        try:
            return await answer
        finally:
            # An error that is raised here holds this frame, and the answer holds the error: a ring, and in it all that
            # the call was given, which only the garbage collector would find.
            del answer

    def stop(self) -> None:
        """End the thread after the calls given so far. Does not wait for it."""
        self._stopped = True
        self._calls.put(None)

    async def stopped(self, wait_s: float) -> None:
        """Wait until the thread has ended, but no longer than `wait_s`."""
        thread = self._thread
        if thread is not None:
            await asyncio.to_thread(thread.join, wait_s)

    def _work(self) -> None:
        while (given := self._calls.get()) is not None:
            call, answer = given
            if answer.cancelled():
                continue
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - whoever waits for the answer raises it
                _hand_over(answer, None, error)
            else:
                _hand_over(answer, result, None)
        self._at_end()


async def begun(work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
    """Give a task that is under way. By itself it would begin only when whoever made it comes to wait for something."""
    task = asyncio.create_task(work)
    try:
        await asyncio.sleep(0)
    except BaseException:
        task.cancel()
        raise
    return task


def _hand_over(answer: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    def settle() -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)

    with contextlib.suppress(RuntimeError):  # the loop has ended; nobody waits any more
        answer.get_loop().call_soon_threadsafe(settle)
