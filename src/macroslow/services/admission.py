"""Waiting for room at a provider: the part of admission that has a loop and timers.

A call that a limit would refuse now waits here instead, in fair order and for a bounded time. Only
one that has waited that long, or that finds the queue full, is refused, with the time after which
it would pass. A caller that goes away while it waits leaves nothing behind.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from macroslow.limits.admission import Gate, Pass, Quota, Ticket
from macroslow.limits.gcra import Deferred
from macroslow.ports import NS_PER_S, Clock


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A call's place at a provider. Give it back with `Admission.leave`, once."""

    line: "_Line"
    granted: Pass


class Admission:
    """The gates of all providers and models. One instance a process; for one event loop."""

    def __init__(
        self,
        quotas: Mapping[tuple[str, str], Quota],
        clock: Clock,
        *,
        max_wait_s: float = 30.0,
        max_waiting: int = 1000,
    ) -> None:
        """`quotas` by names of provider and model; what is not in it is not limited."""
        self._quotas = quotas
        self._clock = clock
        self._max_wait_s = max_wait_s
        self._max_wait_ns = max_wait_s * NS_PER_S
        self._max_waiting = max_waiting
        self._lines: dict[tuple[str, str], _Line] = {}

    def most_tokens(self, provider: str, model: str) -> int | None:
        """The most tokens that one call could ever be let in with; None: no limit."""
        tokens = self._line(provider, model).gate.quota.tokens
        return None if tokens is None else tokens.burst

    def waiting(self) -> int:
        """How many calls wait just now, everywhere."""
        return sum(len(line.waiters) for line in self._lines.values())

    async def enter(self, provider: str, model: str, principal: str, tokens: int) -> Place:
        """A place for a call of at most `tokens` (no more than `most_tokens`), when there is room.

        Raises RateLimitedError if the wait is too long or too many wait already.
        """
        line = self._line(provider, model)
        ticket = Ticket(principal, tokens)
        if not line.waiters:
            decision = line.gate.enter(ticket, self._clock.monotonic_ns())
            if isinstance(decision, Pass):
                return Place(line, decision)
            # While calls are under way their refunds may shorten the wait; without any it is exact.
            hopeless = isinstance(decision, Deferred) and decision.retry_after_ns > self._max_wait_ns
            if hopeless and line.gate.in_flight == 0:
                raise line.gate.refusal(ticket, self._clock.monotonic_ns())
        if self.waiting() >= self._max_waiting:
            raise line.gate.refusal(ticket, self._clock.monotonic_ns())
        return Place(line, await line.wait(ticket, self._max_wait_s))

    def leave(self, place: Place, used_tokens: int) -> None:
        """The call is over and used this many tokens, input and output together."""
        place.line.leave(place.granted, used_tokens)

    def _line(self, provider: str, model: str) -> "_Line":
        key = (provider, model)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(Gate(self._quotas.get(key, Quota())), self._clock)
        return line


class _Line:
    """One gate with those who wait before it."""

    def __init__(self, gate: Gate, clock: Clock) -> None:
        self.gate = gate
        self.waiters: dict[Ticket, asyncio.Future[Pass]] = {}
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, ticket: Ticket, max_wait_s: float) -> Pass:
        """Stand in the queue until let in."""
        future: asyncio.Future[Pass] = asyncio.get_running_loop().create_future()
        self.waiters[ticket] = future
        self.gate.queue.push(ticket)
        self._advance()
        try:
            async with asyncio.timeout(max_wait_s):
                return await future
        except TimeoutError:
            self._withdraw(ticket, future)
            raise self.gate.refusal(ticket, self._clock.monotonic_ns()) from None
        except asyncio.CancelledError:
            self._withdraw(ticket, future)
            raise

    def leave(self, granted: Pass, used_tokens: int) -> None:
        self.gate.leave(granted, used_tokens, self._clock.monotonic_ns())
        self._advance()

    def _withdraw(self, ticket: Ticket, future: "asyncio.Future[Pass]") -> None:
        """Undo `wait`, also where the place was given in the moment that its caller went away."""
        if self.waiters.pop(ticket, None) is not None:
            self.gate.queue.remove(ticket)
        elif not future.cancelled():
            self.gate.leave(future.result(), 0, self._clock.monotonic_ns())
        self._advance()

    def _advance(self) -> None:
        """Let in whoever may go, and come back when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (ticket := self.gate.queue.head()) is not None:
            future = self.waiters[ticket]
            if not future.cancelled():
                decision = self.gate.enter(ticket, self._clock.monotonic_ns())
                if decision is None:  # `leave` comes back here
                    return
                if isinstance(decision, Deferred):
                    delay_s = decision.retry_after_ns / NS_PER_S
                    self._timer = asyncio.get_running_loop().call_later(delay_s, self._advance)
                    return
                future.set_result(decision)
            self.gate.queue.pop()
            del self.waiters[ticket]
