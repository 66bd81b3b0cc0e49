"""An event loop whose clock jumps to the next timer: minutes pass in milliseconds, always alike."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
EPOCH_NS = 1_700_000_000 * 10**9
UP_NS = 10**14  # what the monotonic clock says at the start


class _Jump(selectors.DefaultSelector):
    """Instead of waiting for the time, it makes it pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None):
        if timeout is None:
            raise RuntimeError("everybody waits, and no timer will ever go off")
        self.now_s += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now_s


class LoopClock:
    """The running loop's time, as a Clock."""

    def monotonic_ns(self) -> int:
        return UP_NS + round(asyncio.get_running_loop().time() * 10**9)

    def now_ns(self) -> int:
        return EPOCH_NS + self.monotonic_ns() - UP_NS


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
