"""Reading a body under three bounds: the route's cap, everybody's bytes in flight, and a deadline."""

import asyncio
from contextlib import suppress
from typing import Final

from macroslow.errors import RequestTimeoutError, TooLargeError
from macroslow.limits.byte_budget import ByteBudget
from macroslow.web.messages import Receive

STEP_BYTES: Final = 64 * 1024  # what a body of unknown length takes from the budget at a time
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 16 * 1024 * 1024


class CallerLeft(Exception):  # noqa: N818 - not an error of anybody: there is just nobody to answer
    """The caller hung up before its request was complete."""


class Body:
    """One request's body. `complete` says whether all of it was read; `close` gives back what it took."""

    __slots__ = ("_budget", "_declared_bytes", "_holder", "_taken_bytes", "complete")

    def __init__(self, budget: ByteBudget, declared_bytes: int | None) -> None:
        """`declared_bytes` is None for a chunked body."""
        self._budget = budget
        self._declared_bytes = declared_bytes
        self._holder = ""
        self._taken_bytes = 0
        self.complete = declared_bytes == 0

    async def read(self, receive: Receive, cap_bytes: int, deadline_s: float, *, holder: str = "") -> bytes:
        """Return all of it, held on the account of `holder`.

        Raises TooLargeError, OverloadedError, RequestTimeoutError, CallerLeft.
        """
        self._holder = holder
        if self.complete:
            return b""
        if self._declared_bytes is not None and self._declared_bytes > cap_bytes:
            raise _too_large(cap_bytes)
        self._take(STEP_BYTES if self._declared_bytes is None else self._declared_bytes)
        deadline = _Deadline(deadline_s)
        try:
            return await self._read(receive, cap_bytes)
        except asyncio.CancelledError:
            if not deadline.passed:
                raise
            raise deadline.error() from None
        finally:
            deadline.end()

    async def _read(self, receive: Receive, cap_bytes: int) -> bytes:
        whole = bytearray()  # not a list: of a body in a million pieces that would be most of what is held
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise CallerLeft
            chunk: bytes = message.get("body", b"")
            self.complete = not message.get("more_body", False)
            size_bytes = len(whole) + len(chunk)
            if size_bytes > cap_bytes:
                raise _too_large(cap_bytes)
            while size_bytes > self._taken_bytes:
                self._take(STEP_BYTES)
            if self.complete and not whole:
                return chunk  # nearly every body comes whole
            whole += chunk
            if self.complete:
                return bytes(whole)

    def _take(self, size_bytes: int) -> None:
        self._budget.take(size_bytes, self._holder)
        self._taken_bytes += size_bytes

    def close(self) -> None:
        """Give back what was taken. Idempotent."""
        self._budget.give_back(self._taken_bytes, self._holder)
        self._taken_bytes = 0


class _Deadline:
    """What `asyncio.timeout` does, for a fifth of its cost: nearly every body is there already."""

    __slots__ = ("_limit_s", "_task", "_timer", "passed")

    def __init__(self, limit_s: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request is handled in a task")
        self._task = task
        self._limit_s = limit_s
        self._timer = task.get_loop().call_later(limit_s, self._pass)
        self.passed = False

    def _pass(self) -> None:
        self.passed = True
        self._task.cancel()

    def error(self) -> RequestTimeoutError:
        """What is raised in place of our own cancellation, which is taken back."""
        self._task.uncancel()
        return RequestTimeoutError(f"the body did not arrive within {self._limit_s:g} s", step="body")

    def end(self) -> None:
        self._timer.cancel()


UNREAD_BODY: Final = Body(ByteBudget(0), None)
"""Of a request whose headers contradict themselves: where it ends is not known, so its connection ends."""


def _too_large(cap_bytes: int) -> TooLargeError:
    if not cap_bytes:
        return TooLargeError("this route takes no body", limit_bytes=0, step="body")
    return TooLargeError(f"the body is larger than {cap_bytes} bytes", limit_bytes=cap_bytes, step="body")


async def discard_rest(receive: Receive) -> None:
    """Read away what a refused caller still sends, for a moment.

    Closing with bytes unread would reset the connection, and the refusal would be lost on its way.
    """
    left_bytes = LINGER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while left_bytes > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                left_bytes -= len(message.get("body", b""))
