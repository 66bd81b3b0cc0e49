"""One line: the accounts of one model with those who wait before it, and who goes where next.

In the queue's order every call goes to the account with most room. The first that has to wait is
promised the earliest time at which one has room for it. Those behind it may pass meanwhile (a small
call where a large one does not fit yet), but only into room that it will not need then: it is not
delayed by them, so large calls are not starved, and nothing is left unused that can be used.

`plan` only looks at the queue and changes nothing but the accounts it is given, so it can work on
copies, and be repeated, where a store decides by optimistic locking.

Source: D. Lifka, "The ANL/IBM SP Scheduling System", 1995 (EASY backfilling).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from macroslow.errors import MacroslowError, RateLimitedError, UpstreamUnavailableError
from macroslow.limits.admission import Demand
from macroslow.limits.allowance import Allowance, Held, Pass
from macroslow.limits.queue import FairQueue, Walk
from macroslow.ports import NS_PER_S
from macroslow.values import value

MAX_LOOKED_AT: Final = 32  # of those behind the first that waits
MIN_RETRY_NS: Final = NS_PER_S  # said to those for whom no better time is known
SOON_NS: Final = 60 * NS_PER_S


@value
class Grant:
    """A call is in, at the account of this number."""

    demand: Demand
    account: int
    granted: Pass


@dataclass(slots=True)
class Plan:
    """Who goes, who never can, and when to look again (None: when a call has left)."""

    grants: list[Grant] = field(default_factory=list)
    refusals: list[tuple[Demand, MacroslowError]] = field(default_factory=list)
    again_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """The first that waits gets `tokens` at `start_ns` from this account."""

    account: int
    tokens: int
    start_ns: int


@dataclass(frozen=True, slots=True)
class Rests:
    """How long each account is left alone for having failed; `probes` take one call only."""

    rests_ns: tuple[int, ...]
    probes: frozenset[int]


class Planner:
    """Decides for one line at one moment. `leases` are fresh names of places."""

    def __init__(
        self,
        upstream: str,
        allowances: Sequence[Allowance],
        rests: Rests,
        now_ns: int,
        leases: Iterator[str],
    ) -> None:
        self._upstream = upstream
        self._allowances = allowances
        self._rests_ns = list(rests.rests_ns)
        self._probes = rests.probes
        self._now_ns = now_ns
        self._leases = leases

    def plan(self, queue: FairQueue) -> Plan:
        """Let in whoever may go now."""
        plan, walk = Plan(), queue.walk()
        while (demand := walk.demand) is not None:
            outcome = self.try_one(demand)
            if isinstance(outcome, Grant):
                plan.grants.append(outcome)
                walk.passes()
            elif isinstance(outcome, MacroslowError):
                plan.refusals.append((demand, outcome))
                walk.stays()
            else:
                walk.stays()
                if outcome is not None:
                    self._pass_by(outcome, walk, plan)
                break
        return plan

    def try_one(self, demand: Demand) -> Grant | Promise | MacroslowError | None:
        """Let one in, or say when and where it can be; None: when another has left."""
        tokens = demand.tokens
        usable = self._usable(demand)
        if not usable:
            return self._unavailable()
        large = [at for at in usable if self._allowances[at].takes(tokens)]
        if not large:
            return too_large(demand, max(self._allowances[at].most_tokens or 0 for at in usable))
        free = [at for at in large if self._allowances[at].admits(tokens, self._now_ns)]
        if free:
            return self._enter(demand, free)
        starts = [(self._allowances[at].fits_ns(tokens, self._now_ns), at) for at in large]
        known = [(start_ns, at) for start_ns, at in starts if start_ns is not None]
        if not known:
            return None
        start_ns, at = min(known)
        return Promise(at, tokens, start_ns)

    def _pass_by(self, promise: Promise, walk: Walk, plan: Plan) -> None:
        """Let in those who do not delay the one that was promised its start."""
        plan.again_ns = promise.start_ns
        smallest: int | None = None
        for _ in range(MAX_LOOKED_AT):
            demand = walk.demand
            if demand is None:
                break
            tokens = demand.tokens
            free = [
                at
                for at in self._usable(demand)
                if self._allowances[at].takes(tokens)
                and self._spared(at, tokens, promise)
                and self._allowances[at].admits(tokens, self._now_ns)
            ]
            if free:
                plan.grants.append(self._enter(demand, free))
                walk.passes()
            else:
                walk.stays()
                smallest = tokens if smallest is None else min(smallest, tokens)
        if smallest is not None and self._spared(promise.account, smallest, promise):
            start_ns = self._allowances[promise.account].fits_ns(smallest, self._now_ns)
            if start_ns is not None:
                plan.again_ns = min(plan.again_ns, start_ns)

    def _usable(self, demand: Demand) -> list[int]:
        """Accounts that do not rest, and that the call may go to."""
        return [
            at
            for at, rests_ns in enumerate(self._rests_ns)
            if rests_ns <= 0 and demand.may_go_to(self._allowances[at].account)
        ]

    def _spared(self, at: int, tokens: int, promise: Promise) -> bool:
        """Whether account `at` has so many tokens besides what is promised."""
        if at != promise.account:
            return True
        requests, spare = self._allowances[at].spare(promise.tokens, promise.start_ns, self._now_ns)
        return (requests is None or requests >= 1) and (spare is None or spare >= tokens)

    def _enter(self, demand: Demand, free: list[int]) -> Grant:
        at = free[0]
        if len(free) > 1:
            at = max(free, key=lambda each: self._allowances[each].room(self._now_ns))
        if at in self._probes:  # one call alone shows whether it works again
            self._rests_ns[at] = 1
        granted = self._allowances[at].enter(next(self._leases), demand.tokens, self._now_ns)
        return Grant(demand, at, granted)

    def _unavailable(self) -> UpstreamUnavailableError:
        rests_s = max(MIN_RETRY_NS, min(self._rests_ns)) / NS_PER_S
        return UpstreamUnavailableError(
            f"every account of {self._upstream} has failed several times and is left alone for "
            f"{rests_s:.1f} s more",
            upstream=self._upstream,
            fix=f"try again in {rests_s:.1f} s",
            nothing_done=True,
            retry_after_s=rests_s,
        )


def too_large(demand: Demand, most_tokens: int) -> RateLimitedError:
    """The error for a call that no account can ever take."""
    return RateLimitedError(
        f"the call may use {demand.tokens} tokens; the provider's limit lets one of {most_tokens} pass",
        limit="tokens per minute",
        count=most_tokens,
        period_s=60,
        retry_after_s=60.0,
        fix="ask for fewer output tokens, or shorten the prompt: waiting does not help",
    )


def refusal(held: Held, now_ns: int, behind_ns: int) -> RateLimitedError:
    """The error for a call that may not wait any longer; `behind_ns` is what those before it take."""
    retry_after_ns = max(MIN_RETRY_NS, held.until_ns - now_ns + behind_ns)
    fix = f"try again in {retry_after_ns / NS_PER_S:.1f} s"
    if retry_after_ns > SOON_NS:
        fix += "; calls that need no answer at once can go to the Batch API, which has limits of its own"
    return RateLimitedError(
        f"the provider's limit of {held.name} ({held.count}) leaves no room in the time that a call may wait",
        limit=held.name,
        count=held.count,
        period_s=held.period_s,
        retry_after_s=retry_after_ns / NS_PER_S,
        fix=fix,
    )
