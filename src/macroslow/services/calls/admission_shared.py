"""A line whose accounts several processes share through a `RateStore`.

Everything that happens in this process is collected and taken to the store together, one change at a
time, and in the same change those who wait here are let in: one round trip for many calls. Each process
keeps a queue of its own, in fair order. What other processes give back is seen by asking again.

If the store is out of reach nobody is let in: whoever waits is told at once.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from macroslow.errors import OverloadedError
from macroslow.limits.admission import AccountQuota, Demand, Ended
from macroslow.limits.allowance import Allowance, Pass, Recent
from macroslow.limits.line import Plan
from macroslow.limits.ports import RateStore
from macroslow.limits.seeding import seed
from macroslow.ports import NS_PER_S, Clock, Entropy
from macroslow.services.calls.admission_line import Line, Place

LEASE_NS: Final = 90 * NS_PER_S
RENEW_S: Final = 30.0
POLL_S: Final = 0.1
RETRY_S: Final = 1.0  # while the store is out of reach
CLOSE_S: Final = 5.0

Op = Callable[[Sequence[Allowance], int], None]
"""A change of all accounts, at a time of the store's clock."""


class SharedLine(Line):
    """A line whose accounts several processes share. Each keeps its own queue, in fair order."""

    def __init__(
        self,
        name: tuple[str, str],
        quotas: Sequence[AccountQuota],
        clock: Clock,
        entropy: Entropy,
        store: RateStore,
    ) -> None:
        super().__init__(name, quotas, clock, entropy, LEASE_NS)
        self._store = store
        self._ops: list[Op] = []
        self._seeds: list[Op] = []
        self._pump: asyncio.Task[None] | None = None
        self._again = False
        self._offset_ns = 0  # the store's clock, less ours
        self._mine: set[str] = set()
        self._renewed_ns = 0
        self._observed_ns = 0

    def seed(self, calls: Sequence[Recent]) -> None:
        """Count calls of before our start, unless the store knows of them."""
        self._seeds.append(lambda all_, now_ns: seed(all_, calls, now_ns))

    def at_once(self, demand: Demand, wait_s: float) -> Place | None:
        """Never: the store is asked for all that wait together."""
        return None

    def heard(self, place: Place, headers: Mapping[str, str]) -> None:
        """Learn, at most ten times a second."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._observed_ns >= POLL_S * NS_PER_S:
            self._observed_ns = now_ns
            wall_ns = self._clock.now_ns()
            self._ops.append(
                lambda all_, now_ns: all_[place.number].heard(place.granted, headers, now_ns, wall_ns)
            )
            self.advance()

    def _place(self, demand: Demand, number: int, granted: Pass, waited_ns: int, now_ns: int) -> Place:
        self._mine.add(granted.lease)
        return super()._place(demand, number, granted, waited_ns, now_ns)

    def _left(self, place: Place, ended: Ended, now_ns: int) -> None:
        self._mine.discard(place.granted.lease)
        self._ops.append(lambda all_, now_ns: all_[place.number].leave(place.granted, ended, now_ns))
        self.advance()

    def _withdraw(self, place: Place, now_ns: int) -> None:
        self._mine.discard(place.granted.lease)
        self._ops.append(lambda all_, now_ns: all_[place.number].withdraw(place.granted, now_ns))

    def advance(self) -> None:
        """Take everything to the store as soon as what is on its way there is done."""
        self._again = True
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        """Changes, one after the other, until there is nothing more to do now."""
        try:
            while self._again or self._ops:
                self._again = False
                await self._change()
            delay_s = POLL_S if self._waiters else RENEW_S if self._mine else None
        except OverloadedError as error:  # fail closed: nobody is let in while the limits are unknown
            for demand in list(self._waiters):
                self._refuse(demand, error)
            delay_s = RETRY_S
        finally:
            self._pump = None
        if delay_s is not None:
            self._come_back(delay_s)

    async def _change(self) -> None:
        ops, self._ops = self._ops, []
        now_ns = self._clock.monotonic_ns()
        if self._mine and now_ns - self._renewed_ns > RENEW_S * NS_PER_S:
            self._renewed_ns = now_ns
            mine = tuple(self._mine)
            ops.append(lambda all_, now_ns: _renew(all_, mine, now_ns))

        def decide(
            state: bytes | None, now_ns: int
        ) -> tuple[bytes | None, tuple[Plan, list[Allowance], int]]:
            allowances = self._fresh()
            now_ns = self._restore(allowances, state, now_ns)
            for change in ops if state is not None else [*self._seeds, *ops]:
                change(allowances, now_ns)
            plan = self._planner(allowances, now_ns).plan(self.queue)
            return _state(allowances, now_ns), (plan, allowances, now_ns)

        try:
            plan, self.allowances, store_ns = await self._store.change(self._key, decide)
        except BaseException:
            self._ops = ops + self._ops
            raise
        self._seeds.clear()
        self._offset_ns = store_ns - self._clock.monotonic_ns()
        self._carry_out(plan)

    @property
    def _key(self) -> str:
        return f"{self.provider}/{self.model}"

    def _restore(self, allowances: Sequence[Allowance], state: bytes | None, now_ns: int) -> int:
        """Fill `allowances`; the present, which never lies before the last change."""
        if state is None:
            return now_ns
        then_ns, states = orjson.loads(state)
        now_ns = max(now_ns, then_ns)
        for allowance in allowances:
            if allowance.account in states:
                allowance.restore(states[allowance.account], now_ns)
        return now_ns

    def _now_ns(self) -> int:
        return self._clock.monotonic_ns() + self._offset_ns

    async def close(self) -> None:
        """Bring to the store what is on its way, for a bounded time."""
        await super().close()
        if self._ops:
            self.advance()
        if self._pump is not None:
            await asyncio.wait({self._pump}, timeout=CLOSE_S)
        await super().close()


def _renew(allowances: Sequence[Allowance], leases: tuple[str, ...], now_ns: int) -> None:
    for allowance in allowances:
        allowance.renew(leases, now_ns)


def _state(allowances: Sequence[Allowance], now_ns: int) -> bytes:
    states: dict[str, Any] = {each.account: each.state() for each in allowances}
    return orjson.dumps([now_ns, states])
