"""Noticing that a body does not come, or that nobody waits for the answer, and stopping the work done for it.

A caller has left when it hung up, or when it has not read for STALL_S what was sent to it. The request's
own task is then cancelled: the use case settles what it spent, as after any cancellation.

All requests of a gate are looked at together, as long as there are any: a timer for each would cost more
than the rest of this, and nearly every request is over before its first look. Nobody listens for a hang-up
before the second one, since a listener is a task of its own.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from macroslow.errors import RequestTimeoutError
from macroslow.web.bodies import CallerLeft
from macroslow.web.messages import Message, Receive

LOOK_EVERY_S: Final = 0.2
STALL_S: Final = 60.0


class Attention:
    """One request on the watch, from the reading of its body to the end of its answer.

    `sending` is the message that is on its way to a caller, who has STALL_S to take it.
    """

    __slots__ = (
        "_beside",
        "_body_due_s",
        "_body_s",
        "_end",
        "_listener",
        "_met",
        "_receive",
        "_unsent",
        "_unsent_since_s",
        "sending",
    )

    def __init__(
        self,
        beside: set["Attention"],
        receive: Receive,
        end: Callable[[Exception], None],
        body_s: float | None,
    ) -> None:
        """It is looked at as long as it is in `beside`."""
        beside.add(self)
        self._beside = beside
        self._receive = receive
        self._end = end
        self._body_s = body_s
        self._body_due_s = None if body_s is None else asyncio.get_running_loop().time() + body_s
        self._met = False
        self._listener: asyncio.Task[None] | None = None
        self.sending: Message | None = None
        self._unsent: Message | None = None  # what was on its way at the last look
        self._unsent_since_s = 0.0

    def has_body(self) -> None:
        """The body came in time."""
        self._body_due_s = None

    def close(self) -> None:
        """The request is over. Idempotent."""
        self._beside.discard(self)
        if self._listener is not None:
            self._listener.cancel()

    def look(self, now_s: float) -> None:
        """End the request if it waits in vain."""
        if self._body_due_s is not None:
            if now_s >= self._body_due_s:
                self._end(
                    RequestTimeoutError(f"the body did not arrive within {self._body_s:g} s", step="body")
                )
        elif self._listener is None and self._met:
            self._listener = asyncio.get_running_loop().create_task(self._listen())
        elif self.sending is None or self.sending is not self._unsent:
            self._unsent, self._unsent_since_s = self.sending, now_s
        elif now_s - self._unsent_since_s > STALL_S:
            self._end(CallerLeft())
        self._met = True

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._end(CallerLeft())


class Watch:
    """The requests of one gate that are under way."""

    def __init__(self) -> None:
        self._under_way: set[Attention] = set()
        self._timer: asyncio.TimerHandle | None = None

    def attend(self, receive: Receive, end: Callable[[Exception], None], body_s: float | None) -> Attention:
        """Begin to look at a request, until it is closed.

        `end` ends it for a reason: RequestTimeoutError if its body has not come in `body_s` (None: it is
        there), CallerLeft if nobody waits for its answer.
        """
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)
        return Attention(self._under_way, receive, end, body_s)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for attention in list(self._under_way):
            attention.look(now_s)
        self._timer = loop.call_later(LOOK_EVERY_S, self._look) if self._under_way else None
