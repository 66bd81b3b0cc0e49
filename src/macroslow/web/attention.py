"""Noticing that nobody waits for the answer any more, and stopping the work done for it.

A caller has left when it hung up, or when it has not read for STALL_S what was sent to it. The
request's own task is then cancelled: the use case settles what it spent, as after any cancellation.
Watching begins PATIENCE_S after the start, since most answers are out before that and a watcher
costs more than they do.
"""

import asyncio
from typing import Final

from macroslow.web.messages import Receive

PATIENCE_S: Final = 0.2
STALL_S: Final = 60.0


class Attention:
    """Watches one request from its complete body to the end of its answer. Use on its own task."""

    __slots__ = ("_loop", "_receive", "_task", "_timer", "_watcher", "caller_left", "sending_since_s")

    def __init__(self, receive: Receive) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request is handled in a task")
        self._receive = receive
        self._task = task
        self._loop = task.get_loop()
        self._watcher: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(PATIENCE_S, self._begin)
        self.caller_left = False
        self.sending_since_s: float | None = None

    def sending(self) -> None:
        """Bytes are on their way: the caller has STALL_S to take them."""
        self.sending_since_s = self._loop.time()

    def sent(self) -> None:
        """The bytes are gone."""
        self.sending_since_s = None

    def end(self) -> None:
        """Stop watching: the answer is complete, or there will be none."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def forgive(self) -> None:
        """Take the cancellation back once it has done its work: the task then ends like any other."""
        self._task.uncancel()

    def _begin(self) -> None:
        self._watcher = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        while not self._stalled():
            try:
                async with asyncio.timeout(STALL_S / 2):
                    message = await self._receive()
            except TimeoutError:
                continue
            if message["type"] == "http.disconnect":
                break
        self.caller_left = True
        self._task.cancel()

    def _stalled(self) -> bool:
        since_s = self.sending_since_s
        return since_s is not None and self._loop.time() - since_s > STALL_S
