"""Waiting for room at a provider: the part of admission that has a loop and timers.

A call that a limit would refuse now waits here instead, in fair order and for a bounded time. Only
one that has waited that long, or that finds the queue full, is refused, with the time after which
it would pass. A caller that goes away while it waits leaves nothing behind.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.errors import RateLimitedError
from macroslow.limits.admission import (
    AccountQuota,
    Charge,
    Demand,
    Ended,
    LineReport,
    Quota,
    Window,
)
from macroslow.limits.allowance import Allowance, Pass
from macroslow.limits.gcra import Deferred
from macroslow.limits.ports import RateStore
from macroslow.limits.queue import FairQueue, Ticket
from macroslow.ports import NS_PER_S, Clock, Entropy

MIN_RETRY_NS: Final = NS_PER_S  # said to those for whom no better time is known


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A call's place at an account. Give it back with `Admission.leave`, once."""

    line: "_Line"
    allowance: Allowance
    granted: Pass
    waited_ns: int

    @property
    def account(self) -> str:
        """The label of the account that has the place."""
        return self.allowance.of.account


class Admission:
    """The lines of all providers and models. One instance a process; for one event loop."""

    def __init__(
        self,
        lines: Mapping[tuple[str, str], Sequence[AccountQuota]],
        clock: Clock,
        entropy: Entropy,
        *,
        store: RateStore | None = None,
        max_wait_s: float = 30.0,
        max_waiting: int = 1000,
        observe: bool = False,
    ) -> None:
        """`lines` by names of provider and model; what is not in it is one account without limits."""
        self._quotas = lines
        self._clock = clock
        self._entropy = entropy
        self._store = store
        self._max_wait_s = max_wait_s
        self._max_waiting = max_waiting
        self._observe = observe
        self._lines: dict[tuple[str, str], _Line] = {}

    def most_tokens(self, provider: str, model: str) -> int | None:
        """The most tokens that one call could ever be let in with; None: no limit."""
        most = [each.most_tokens for each in self._line(provider, model).allowances]
        return max((each for each in most if each is not None), default=None) if None not in most else None

    def waiting(self) -> int:
        """How many calls wait just now, everywhere."""
        return sum(len(line.waiters) for line in self._lines.values())

    async def enter(
        self,
        provider: str,
        model: str,
        demand: Demand,
        *,
        wait_s: float | None = None,
        avoid: Collection[str] = (),
    ) -> Place:
        """A place for a call, when there is room at one of the accounts that are not in `avoid`.

        Raises RateLimitedError if the wait is longer than `wait_s` or too many wait already.
        """
        line = self._line(provider, model)
        ticket = Ticket(demand, frozenset(avoid))
        began_ns = self._clock.monotonic_ns()
        if not line.waiters:
            place = line.enter(ticket, began_ns, began_ns)
            if isinstance(place, Place):
                return place
        if self.waiting() >= self._max_waiting:
            raise line.refusal(ticket)
        return await line.wait(ticket, self._max_wait_s if wait_s is None else wait_s, began_ns)

    def heard(self, place: Place, headers: Mapping[str, str]) -> None:
        """The head of the answer came: learn from it. Names of headers are lower-case."""

    def leave(self, place: Place, ended: Ended) -> None:
        """The call is over. Once for each place."""
        place.line.leave(place, ended)

    async def close(self) -> None:
        """Finish what is under way to the store."""

    def report(self) -> list[LineReport]:
        """Every account of every line that was used."""
        return [
            LineReport(
                *key,
                allowance.of.account,
                (),
                len(line.waiters),
                allowance.in_flight,
                0.0,
                "closed",
                Window.SLIDING,
                Charge.MOST,
            )
            for key, line in self._lines.items()
            for allowance in line.allowances
        ]

    def _line(self, provider: str, model: str) -> "_Line":
        key = (provider, model)
        line = self._lines.get(key)
        if line is None:
            quotas = self._quotas.get(key) or (AccountQuota(provider, Quota()),)
            line = self._lines[key] = _Line([Allowance(each) for each in quotas], self._clock)
        return line


class _Line:
    """The accounts of one model with those who wait before it."""

    def __init__(self, allowances: list[Allowance], clock: Clock) -> None:
        self.allowances = allowances
        self.queue = FairQueue()
        self.waiters: dict[Ticket, tuple[asyncio.Future[Place], int]] = {}
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, ticket: Ticket, began_ns: int, now_ns: int) -> "Place | Deferred | None":
        """A place at the first account with room, or the shortest of their waits."""
        waits = []
        for allowance in self.allowances:
            if allowance.of.account in ticket.avoid:
                continue
            decision = allowance.enter(ticket.demand.tokens, now_ns)
            if isinstance(decision, Pass):
                return Place(self, allowance, decision, now_ns - began_ns)
            if decision is not None:
                waits.append(decision.retry_after_ns)
        return Deferred(min(waits)) if waits else None

    async def wait(self, ticket: Ticket, wait_s: float, began_ns: int) -> Place:
        """Stand in the queue until let in."""
        future: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self.waiters[ticket] = (future, began_ns)
        self.queue.push(ticket)
        self._advance()
        try:
            async with asyncio.timeout(wait_s):
                return await future
        except TimeoutError:
            self._withdraw(ticket, future)
            raise self.refusal(ticket) from None
        except asyncio.CancelledError:
            self._withdraw(ticket, future)
            raise

    def leave(self, place: Place, ended: Ended) -> None:
        """Give the place back and let in who comes next."""
        place.allowance.leave(place.granted, ended.used_tokens, self._clock.monotonic_ns())
        self._advance()

    def refusal(self, ticket: Ticket) -> RateLimitedError:
        """The error for a ticket that has waited as long as it may."""
        return RateLimitedError(
            "the provider's limits leave no room in the time that a call may wait",
            limit="tokens per minute",
            count=max((each.most_tokens or 0 for each in self.allowances), default=0),
            period_s=60,
            retry_after_s=MIN_RETRY_NS / NS_PER_S,
            fix="try again later",
        )

    def _withdraw(self, ticket: Ticket, future: "asyncio.Future[Place]") -> None:
        """Undo `wait`, also where the place was given in the moment that its caller went away."""
        if self.waiters.pop(ticket, None) is not None:
            self.queue.remove(ticket)
        elif not future.cancelled():
            place = future.result()
            place.allowance.leave(place.granted, 0, self._clock.monotonic_ns())
        self._advance()

    def _advance(self) -> None:
        """Let in whoever may go, and come back when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (ticket := self.queue.head()) is not None:
            future, began_ns = self.waiters[ticket]
            if not future.cancelled():
                decision = self.enter(ticket, began_ns, self._clock.monotonic_ns())
                if decision is None:  # `leave` comes back here
                    return
                if isinstance(decision, Deferred):
                    delay_s = decision.retry_after_ns / NS_PER_S
                    self._timer = asyncio.get_running_loop().call_later(delay_s, self._advance)
                    return
                future.set_result(decision)
            self.queue.pop()
            del self.waiters[ticket]
