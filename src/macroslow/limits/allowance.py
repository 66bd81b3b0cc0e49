"""What one account (key) allows us of one model, and how much of it is taken.

State in memory, without clock, lock or loop: time comes in as `now_ns` of one monotonic clock.
"""

from dataclasses import dataclass
from typing import Final

from macroslow.limits.admission import AccountQuota, per_minute
from macroslow.limits.gcra import Admitted, Deferred, Limit, admit, settle

BURST_MARGIN: Final = 32  # a thirty-second of a minute: almost two seconds between here and there


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """One call that is in. Give it back with `Allowance.leave`, once."""

    tokens: Admitted | None


class Allowance:
    """The limits of one account for one model."""

    def __init__(self, of: AccountQuota) -> None:
        self.of = of
        self.in_flight = 0
        self.requests = _limit("requests per minute", of.quota.rpm)
        self.tokens = _limit("tokens per minute", of.quota.tpm)
        self._requests_tat_ns = 0
        self._tokens_tat_ns = 0

    @property
    def most_tokens(self) -> int | None:
        """The most that one call can ever be let in with; None: no limit."""
        return None if self.tokens is None else self.tokens.burst

    @property
    def full(self) -> bool:
        """Whether as many calls are under way as may be."""
        concurrent = self.of.quota.concurrent
        return concurrent is not None and self.in_flight >= concurrent

    def enter(self, tokens: int, now_ns: int) -> Pass | Deferred | None:
        """Let a call in, or say how long the limits forbid it; None: until another call leaves."""
        if self.full:
            return None
        request = _admit(self.requests, self._requests_tat_ns, now_ns, 1)
        granted = _admit(self.tokens, self._tokens_tat_ns, now_ns, tokens)
        waits_ns = [each.retry_after_ns for each in (request, granted) if isinstance(each, Deferred)]
        if waits_ns:
            return Deferred(max(waits_ns))
        if isinstance(request, Admitted):
            self._requests_tat_ns = request.tat_ns
        if isinstance(granted, Admitted):
            self._tokens_tat_ns = granted.tat_ns
        self.in_flight += 1
        return Pass(granted if isinstance(granted, Admitted) else None)

    def leave(self, granted: Pass, used_tokens: int, now_ns: int) -> None:
        """The call is over and used this many tokens: take back what it did not need."""
        self.in_flight -= 1
        if self.tokens is not None and granted.tokens is not None:
            self._tokens_tat_ns = settle(
                self.tokens, self._tokens_tat_ns, now_ns, granted.tokens, used_tokens
            )


def _limit(name: str, count: int | None) -> Limit | None:
    return None if count is None else per_minute(name, count, max(1, count - -(-count // BURST_MARGIN)))


def _admit(limit: Limit | None, tat_ns: int, now_ns: int, cost: int) -> Admitted | Deferred | None:
    return None if limit is None else admit(limit, tat_ns, now_ns, max(cost, 1))
