"""How many requests a provider of images takes of our key, kept ahead of each request.

Half of what it takes may go at once and the other half goes evenly, by the generic cell rate algorithm
(`limits.gcra`): so no window of its period, wherever it begins, holds more than it takes, however it counts.
What it says itself counts besides: another program may use the same key, and the limit may be another one.

One key, one process: several processes that use one key learn of each other by what the provider says.
"""

import math
from typing import Final

from macroslow.errors import RateLimitedError
from macroslow.images.search import Allowance, ImageTerms
from macroslow.limits.gcra import Deferred, Limit, admit
from macroslow.ports import NS_PER_S, Clock

MARGIN: Final = 2  # requests: what goes out evenly need not arrive so
PROBES: Final = 12  # in a period, while nothing is left and nobody says for how long


class ProviderRate:
    """One key's. Each `take` is followed by one `over` or `refused` with its number, however it ends."""

    def __init__(self, provider: str, terms: ImageTerms, clock: Clock) -> None:
        self._provider = provider
        self._period_ns = terms.period_s * NS_PER_S
        self._clock = clock
        self._requests = terms.requests
        self._limit = self._limit_of(terms.requests)
        self._tat_ns = 0
        self._taken = 0
        self._in_flight = 0
        self._left: int | None = None  # of the provider's own count; None: nothing is known of it
        self._told_at = 0  # requests that were taken when it last told of room that we did not know of
        self._held_until_ns = 0  # while nothing is left

    def take(self) -> int:
        """Let one request out; its number. RateLimitedError, which says when, if there is no room."""
        now_ns = self._clock.monotonic_ns()
        if self._left == 0:
            if now_ns < self._held_until_ns:
                raise self._refusal(self._held_until_ns - now_ns)
            self._left = None
        decision = admit(self._limit, self._tat_ns, now_ns)
        if isinstance(decision, Deferred):
            raise self._refusal(decision.retry_after_ns)
        self._tat_ns = decision.tat_ns
        self._taken += 1
        self._in_flight += 1
        if self._left is not None:
            self._left -= 1
        return self._taken

    def over(self, number: int, said: Allowance | None) -> None:
        """A request is over; `said` is what its answer told of the limit."""
        self._in_flight -= 1
        if said is None:
            return
        if said.limit != self._requests:
            self._requests = said.limit
            self._limit = self._limit_of(said.limit)
        self._learn(number, said.remaining)
        self._hold(said.reset_s)

    def _learn(self, number: int, remaining: int) -> None:
        """Answers overtake each other: an older one than the last that told of new room takes room alone."""
        if self._left is None:
            self._left, self._told_at = remaining, self._taken
        elif number > self._told_at and remaining > self._left + self._in_flight:  # their period began anew
            self._left, self._told_at = remaining - self._in_flight, self._taken
        else:
            self._left = min(self._left, remaining)

    def refused(self, number: int, said: Allowance | None) -> RateLimitedError:
        """A request is over, and was one too many for the provider; the error that says until when."""
        self.over(number, said)
        self._left = 0
        self._hold(None if said is None else said.reset_s)
        return self._refusal(self._held_until_ns - self._clock.monotonic_ns())

    def _hold(self, reset_s: int | None) -> None:
        wait_ns = self._period_ns // PROBES if reset_s is None else max(1, reset_s) * NS_PER_S
        self._held_until_ns = self._clock.monotonic_ns() + wait_ns

    def _limit_of(self, requests: int) -> Limit:
        half = max(1, requests // 2)
        return Limit(f"requests to {self._provider}", half, self._period_ns, max(1, half - MARGIN))

    def _refusal(self, wait_ns: int) -> RateLimitedError:
        period_s = self._period_ns // NS_PER_S
        return RateLimitedError(
            f"{self._provider} has room again in {math.ceil(wait_ns / NS_PER_S)} s:"
            f" it takes {self._requests} requests in {period_s} s, half of them at once",
            limit=self._limit.name,
            count=self._requests,
            period_s=period_s,
            retry_after_s=wait_ns / NS_PER_S,
            fix="wait so long, or search for what was searched for today: that costs no request",
        )
