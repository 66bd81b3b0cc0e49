"""Admission: who may go to a provider now, who waits, and in which order.

A provider takes so many requests and tokens a minute and so many calls at once. A `Gate` keeps that
account for one model of one provider, and a queue of those who wait: first come first served for
one principal, principals in turn, so that one caller's batch cannot starve the rest.

State machines in memory, without clock, lock or loop: time comes in as `now_ns` of one monotonic
clock. The part that waits is in `services.admission`.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from macroslow.errors import RateLimitedError
from macroslow.limits.gcra import Admitted, Deferred, Limit, admit, settle
from macroslow.ports import NS_PER_S

MINUTE_NS: Final = 60 * NS_PER_S
MIN_RETRY_NS: Final = NS_PER_S  # said to those for whom no better time is known


def per_minute(name: str, count: int, burst: int | None = None) -> Limit:
    """`count` a minute; all of them at once unless `burst` says less."""
    return Limit(name, count, MINUTE_NS, burst or count)


@dataclass(frozen=True, slots=True)
class Quota:
    """What a provider takes for one model. None: it sets no such limit."""

    requests: Limit | None = None
    tokens: Limit | None = None
    concurrent: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One call that wants in. `tokens` is the most it can use, input and output together."""

    principal: str
    tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """One call that is in. Give it back with `Gate.leave`, once."""

    tokens: Admitted | None


class FairQueue:
    """Tickets in order of arrival for each principal; principals take turns."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[str, deque[Ticket]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, ticket: Ticket) -> None:
        """Add a ticket at the end of its principal's lane."""
        self._lanes.setdefault(ticket.principal, deque()).append(ticket)
        self._size += 1

    def head(self) -> Ticket | None:
        """Whose turn it is."""
        return next(iter(self._lanes.values()))[0] if self._lanes else None

    def pop(self) -> None:
        """Take the head off; its principal goes to the end of the round."""
        principal, lane = next(iter(self._lanes.items()))
        lane.popleft()
        self._size -= 1
        self._lanes.move_to_end(principal)
        if not lane:
            del self._lanes[principal]

    def remove(self, ticket: Ticket) -> None:
        """Take a ticket out from wherever it stands; ValueError if it does not."""
        lane = self._lanes.get(ticket.principal, deque())
        lane.remove(ticket)
        self._size -= 1
        if not lane:
            del self._lanes[ticket.principal]


@dataclass(slots=True)
class Gate:
    """The account of one model of one provider, and the queue before it."""

    quota: Quota
    queue: FairQueue = field(default_factory=FairQueue)
    in_flight: int = 0
    _requests_tat_ns: int = 0
    _tokens_tat_ns: int = 0

    def fits(self, tokens: int) -> bool:
        """Whether a call of `tokens` could ever pass."""
        return self.quota.tokens is None or tokens <= self.quota.tokens.burst

    @property
    def full(self) -> bool:
        """Whether as many calls are under way as may be."""
        return self.quota.concurrent is not None and self.in_flight >= self.quota.concurrent

    def enter(self, ticket: Ticket, now_ns: int) -> Pass | Deferred | None:
        """Let `ticket` in, or say how long its limits forbid it; None: until another call leaves.

        Looks at limits alone: the caller holds to the queue's order. ValueError unless it `fits`.
        """
        if self.full:
            return None
        request, tokens = self._decide(ticket, now_ns)
        waits_ns = [each.retry_after_ns for each in (request, tokens) if isinstance(each, Deferred)]
        if waits_ns:
            return Deferred(max(waits_ns))
        if isinstance(request, Admitted):
            self._requests_tat_ns = request.tat_ns
        if isinstance(tokens, Admitted):
            self._tokens_tat_ns = tokens.tat_ns
        self.in_flight += 1
        return Pass(tokens if isinstance(tokens, Admitted) else None)

    def refusal(self, ticket: Ticket, now_ns: int) -> RateLimitedError:
        """The error for a ticket that has waited as long as it may: the limit that holds it longest."""
        decisions = zip((self.quota.requests, self.quota.tokens), self._decide(ticket, now_ns), strict=True)
        held = [
            (each.retry_after_ns, limit) for limit, each in decisions if limit and isinstance(each, Deferred)
        ]
        if not held:
            return _refusal("calls at once", self.quota.concurrent or self.in_flight, 0, MIN_RETRY_NS)
        retry_after_ns, limit = max(held, key=lambda pair: pair[0])
        return _refusal(limit.name, limit.count, limit.period_ns // NS_PER_S, retry_after_ns)

    def leave(self, granted: Pass, used_tokens: int, now_ns: int) -> None:
        """The call is over and used this many tokens: give back what it did not need."""
        self.in_flight -= 1
        if self.quota.tokens is not None and granted.tokens is not None:
            self._tokens_tat_ns = settle(
                self.quota.tokens, self._tokens_tat_ns, now_ns, granted.tokens, used_tokens
            )

    def _decide(
        self, ticket: Ticket, now_ns: int
    ) -> tuple[Admitted | Deferred | None, Admitted | Deferred | None]:
        request = _admit(self.quota.requests, self._requests_tat_ns, now_ns, 1)
        return request, _admit(self.quota.tokens, self._tokens_tat_ns, now_ns, ticket.tokens)


def _refusal(name: str, count: int, period_s: int, retry_after_ns: int) -> RateLimitedError:
    retry_after_s = max(retry_after_ns, MIN_RETRY_NS) / NS_PER_S
    return RateLimitedError(
        f"the provider's limit of {name} ({count}) leaves no room in the time that a call may wait",
        limit=name,
        count=count,
        period_s=period_s,
        retry_after_s=retry_after_s,
        fix=f"try again in {retry_after_s:.1f} s",
    )


def _admit(limit: Limit | None, tat_ns: int, now_ns: int, cost: int) -> Admitted | Deferred | None:
    return None if limit is None else admit(limit, tat_ns, now_ns, cost)
