"""Long computations in threads of their own: one at a time for each principal, and bounded in number.

Whoever waits for his turn has handed nothing over, and is gone when he is cancelled. Work that has
been handed over cannot be stopped: it keeps its principal's turn until it ends, whoever hangs up, so
nobody has more than one piece of work here, however often he comes back.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

THREADS: Final = 2
"""The work holds the interpreter's lock for most of its time: more threads would not end it sooner."""

_T = TypeVar("_T")


class OffLoop:
    """The threads, and whose turn it is. Not the loop's shared ones: those serve files, keys and stores."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="off-loop")
        self._turns = WeakValueDictionary[str, asyncio.Semaphore]()

    async def __call__(self, principal: str, work: Callable[..., _T], *args: object) -> _T:
        """Return `work(*args)`, done in a thread once no other work of `principal` is. Raises as it does."""
        turn = self._turns.setdefault(principal, asyncio.Semaphore(1))
        await turn.acquire()
        try:
            done = asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        except BaseException:
            turn.release()
            raise

        def over(done: "asyncio.Future[Any]") -> None:
            turn.release()
            if not done.cancelled():
                done.exception()  # its caller has it, or has left: then nobody asks for it

        done.add_done_callback(over)
        try:
            return await asyncio.shield(done)
        finally:
            del done  # or its exception, whose traceback has this frame, would hold `args` until a collection

    async def close(self) -> None:
        """Wait for what the threads are doing; what waits for a thread is given up."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
