"""Reading a body under two bounds: the route's cap, and everybody's bytes in flight."""

import asyncio
from contextlib import suppress
from typing import Final

from macroslow.errors import TooLargeError
from macroslow.limits.byte_budget import ByteBudget
from macroslow.web.messages import Receive

TAKEN_BYTES: Final = 64 * 1024  # what a body of unknown length takes from the budget at a time
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

    async def read(self, receive: Receive, cap_bytes: int, holder: str = "") -> bytes:
        """Return all of it, held on the account of `holder`. TooLargeError, OverloadedError, CallerLeft."""
        self._holder = holder
        if self.complete:
            return b""
        if self._declared_bytes is not None and self._declared_bytes > cap_bytes:
            raise _too_large(cap_bytes)
        self._take(TAKEN_BYTES if self._declared_bytes is None else self._declared_bytes)
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
                self._take(TAKEN_BYTES)
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
        if self._taken_bytes:
            self._budget.give_back(self._taken_bytes, self._holder)
            self._taken_bytes = 0


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
