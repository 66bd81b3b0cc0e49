"""A rate store in memory that behaves like one with optimistic locking: it yields, and decides again."""

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class FakeRates:
    """What several processes share. `now_ns` may be replaced."""

    def __init__(self) -> None:
        self.states: dict[str, tuple[int, bytes | None]] = {}
        self.now_ns: Callable[[], int] = time.time_ns
        self.versions = itertools.count(1)


class FakeRateStore:
    """One process's way to it. Each change takes a few turns of the loop."""

    def __init__(self, rates: FakeRates) -> None:
        self._rates = rates

    async def change(self, key: str, decide: Callable[[bytes | None, int], tuple[bytes | None, T]]) -> T:
        while True:
            await asyncio.sleep(0)
            version, state = self._rates.states.get(key, (0, None))
            await asyncio.sleep(0)
            new, result = decide(state, self._rates.now_ns())
            if self._rates.states.get(key, (0, None))[0] == version:
                self._rates.states[key] = (next(self._rates.versions), new)
                await asyncio.sleep(0)
                return result
