"""One timer for all of a connection's deadlines, of which one is in force at a time.

It looks again when the deadline has moved meanwhile, so that hardly any request has to set it.
"""

import asyncio
from collections.abc import Callable
from typing import Final

READ_FIRST_S: Final = 0.02

_NEVER: Final = float("inf")


class Deadline:
    """A moment that moves. `passed` is called once it is there."""

    __slots__ = ("_due_s", "_loop", "_passed", "_timer")

    def __init__(self, passed: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._passed = passed
        self._due_s = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, limit_s: float) -> None:
        """What is waited for has `limit_s` from now on."""
        self._due_s = self._loop.time() + limit_s
        if self._timer is not None and self._timer.when() > self._due_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._due_s, self._look)

    def lift(self) -> None:
        """Nothing is waited for."""
        self._due_s = _NEVER

    def close(self) -> None:
        """Nothing will be waited for any more, and nobody is held on to."""
        self._due_s = _NEVER
        self._passed = _nobody_waits
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, first: bool = True) -> None:
        self._timer = None
        if self._due_s == _NEVER:
            return
        if self._loop.time() < self._due_s:
            self._timer = self._loop.call_at(self._due_s, self._look)
        elif first:  # what came while the loop was busy with others is read before anybody is late
            self._timer = self._loop.call_later(READ_FIRST_S, self._look, False)
        else:
            self._passed()


def _nobody_waits() -> None:
    """What waited is gone."""
