"""Clients who want more than there is, in virtual time, through a real `Admission`."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.limits.reference_providers import Provider
from tests.limits.virtual_time import LoopClock

from macroslow.errors import RateLimitedError
from macroslow.limits.admission import AccountQuota, Demand, Ended, Quota, Verdict
from macroslow.services.calls.admission import Admission


class Seeded:
    """Entropy for tests."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def random(self, size_bytes: int) -> bytes:
        return self._random.randbytes(size_bytes)


@dataclass
class Shape:
    """What calls are like: (input, allowed output, used output), and their times in seconds."""

    size: Callable[[random.Random], tuple[int, int, int]]
    way_s: tuple[float, float] = (0.002, 0.03)
    work_s: tuple[float, float] = (0.3, 3.0)
    streams: float = 0.5  # the share of calls whose head comes before the work is done
    pause_s: float = 0.0


def mixed(draw: random.Random) -> tuple[int, int, int]:
    """Mostly small, some large; a half of what is allowed is used."""
    most = draw.choice([100, 200, 400, 400, 800, 4000])
    return draw.randint(20, 1000), most, draw.randint(0, most)


@dataclass
class Outcome:
    """What happened."""

    tokens: Counter[str] = field(default_factory=Counter)
    waited_s: list[float] = field(default_factory=list)
    refused_by_us: int = 0
    refused_upstream: int = 0


@dataclass
class Traffic:
    """`clients` call as fast as they are let in, until `until_s`."""

    provider: Provider
    quota: Quota
    clients: int = 20
    until_s: float = 180.0
    shape: Shape = field(default_factory=lambda: Shape(mixed))
    weights: dict[str, int] = field(default_factory=dict)
    parallel: int = 3
    seed: int = 1
    wait_s: float = 300.0
    admission: Admission | None = None

    async def run(self) -> Outcome:
        """The outcome; nothing is left behind in admission."""
        if self.admission is None:
            quotas = {("p", "m"): [AccountQuota("a", self.quota)]}
            self.admission = Admission(quotas, LoopClock(), Seeded(self.seed), max_waiting=10_000)
        outcome = Outcome()
        tasks = [
            asyncio.create_task(self._client(f"c{number % self.clients}", self.seed * 1000 + number, outcome))
            for number in range(self.clients * self.parallel)
        ]
        await asyncio.sleep(self.until_s - asyncio.get_running_loop().time())
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
        return outcome

    async def _client(self, name: str, seed: int, outcome: Outcome) -> None:
        draw = random.Random(seed)
        while True:
            await self._call(name, draw, outcome)
            await asyncio.sleep(self.shape.pause_s)

    async def _call(self, name: str, draw: random.Random, outcome: Outcome) -> None:
        admission, loop = self.admission, asyncio.get_running_loop()
        assert admission is not None
        input_tokens, most_output, output = self.shape.size(draw)
        most, used = input_tokens + most_output, input_tokens + output
        demand = Demand(name, most, self.weights.get(name, 1))
        try:
            place = await admission.enter("p", "m", demand, wait_s=self.wait_s)
        except RateLimitedError as error:
            outcome.refused_by_us += 1
            await asyncio.sleep(error.retry_after_s)
            return
        outcome.waited_s.append(place.waited_ns / 1e9)
        ended = Ended(most, Verdict.UNKNOWN)
        try:
            await asyncio.sleep(draw.uniform(*self.shape.way_s))
            taken = self.provider.call(loop.time(), used, most)
            said = self.provider.headers(loop.time())
            await asyncio.sleep(draw.uniform(*self.shape.way_s))
            work_s = draw.uniform(*self.shape.work_s)
            if draw.random() < self.shape.streams or not taken:
                admission.heard(place, said)
                if taken:
                    await asyncio.sleep(work_s)
            else:
                await asyncio.sleep(work_s)
                admission.heard(place, said)
            if taken:
                ended = Ended(used, Verdict.ANSWERED)
                outcome.tokens[name] += used
            else:
                outcome.refused_upstream += 1
                ended = Ended(0, Verdict.LIMITED)
        finally:
            admission.leave(place, ended)
