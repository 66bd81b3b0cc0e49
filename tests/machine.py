"""A machine as tests set it: a clock that stands, entropy that repeats, and a moment for others to run."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class SetClock:
    """It stands until it is moved. `ran_ns` is how much more than it says the monotonic one counted."""

    time_ns: int = 1_760_000_000 * 10**9
    ran_ns: int = 0

    def now_ns(self) -> int:
        return self.time_ns

    def monotonic_ns(self) -> int:
        return self.time_ns + self.ran_ns


class CountingEntropy:
    """Bytes that differ from call to call and from run to run not at all."""

    def __init__(self, start: int = 1) -> None:
        self._numbers = itertools.count(start)

    def random(self, size_bytes: int) -> bytes:
        return next(self._numbers).to_bytes(size_bytes, "big")


async def until(true: Callable[[], object]) -> None:
    """Let others run until `true()`."""
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.001)
