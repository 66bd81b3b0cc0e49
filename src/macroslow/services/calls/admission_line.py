"""One model's line with its futures and timers: the part of admission that needs a loop.

What is common to lines whose accounts are in this process (`LocalLine`) and to those whose accounts
several processes share (`services.calls.admission_shared`): who waits, who is told, who went away.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from macroslow.errors import MacroslowError
from macroslow.limits.admission import AccountQuota, Demand, Ended, LineReport, Verdict
from macroslow.limits.allowance import Allowance, Pass, Recent
from macroslow.limits.breaker import Admittance, Breaker, BreakerState
from macroslow.limits.line import Grant, Plan, Planner, Promise, Rests, refusal
from macroslow.limits.queue import FairQueue
from macroslow.limits.seeding import seed
from macroslow.ports import NS_PER_S, Clock, Entropy


@dataclass(slots=True, eq=False)  # not frozen: one is made per call, and freezing costs a microsecond
class Place:
    """A call's place at an account. Give it back with `Admission.leave` or `withdraw`, once."""

    line: "Line"
    account: str
    number: int  # of the account in its line
    granted: Pass
    admittance: Admittance
    demand: Demand
    waited_ns: int


@dataclass(frozen=True, slots=True)
class _Waiter:
    future: "asyncio.Future[Place]"
    came_ns: int


class Line(ABC):
    """One model of one provider: its accounts, their breakers, and those who wait."""

    def __init__(
        self,
        name: tuple[str, str],
        quotas: Sequence[AccountQuota],
        clock: Clock,
        entropy: Entropy,
        lease_ns: int,
    ) -> None:
        self.provider, self.model = name
        self.queue = FairQueue()
        self._quotas = quotas
        self._lease_ns = lease_ns
        self.allowances = self._fresh()
        self._clock = clock
        self._breakers = [Breaker() for _ in quotas]
        self._waiters: dict[Demand, _Waiter] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._leases = map(f"{entropy.random(4).hex()}-{{:x}}".format, count())
        self._simple = len(quotas) == 1

    def _fresh(self) -> list[Allowance]:
        return [Allowance(each, lease_ns=self._lease_ns) for each in self._quotas]

    def most_tokens(self) -> int | None:
        """The most tokens that one call could be let in with, as far as is known."""
        most_tokens = 0
        for each in self.allowances:
            most = each.most_tokens
            if most is None:
                return None
            most_tokens = max(most_tokens, most)
        return most_tokens

    @abstractmethod
    def at_once(self, demand: Demand, wait_s: float) -> Place | None:
        """A place without waiting; None: only waiting can tell. Raises where waiting cannot help."""

    async def wait(self, demand: Demand, wait_s: float) -> Place:
        """Stand in the queue until let in. Raises as `Admission.enter`."""
        future: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._waiters[demand] = _Waiter(future, self._clock.monotonic_ns())
        self.queue.push(demand)
        self.advance()
        try:
            async with asyncio.timeout(wait_s):
                return await future
        except TimeoutError:
            if future.done() and not future.cancelled() and future.exception() is None:
                return future.result()  # let in, in the same moment
            self._leave_queue(demand, future)
            raise self.refusal(demand) from None
        except asyncio.CancelledError:
            self._leave_queue(demand, future)
            raise

    @abstractmethod
    def advance(self) -> None:
        """Let in whoever may go, now or soon, and come back when the next one may."""

    @abstractmethod
    def heard(self, place: Place, headers: Mapping[str, str]) -> None:
        """Learn from the head of an answer, and let in who may go by what was learned."""

    def leave(self, place: Place, ended: Ended) -> None:
        """The call is over."""
        now_ns = self._clock.monotonic_ns()
        self._breakers[place.number].ended(place.admittance, ended.verdict, now_ns)
        if place.waited_ns and ended.used_tokens < place.demand.tokens:
            self.queue.refund(place.demand, place.demand.tokens - ended.used_tokens)
        self._left(place, ended, now_ns)

    def withdraw(self, place: Place) -> None:
        """The call never went out: it is as if it had not come."""
        if place.waited_ns:
            self.queue.refund(place.demand, place.demand.tokens)
        self._give_back(place)
        self.advance()

    def _leave_queue(self, demand: Demand, future: "asyncio.Future[Place]") -> None:
        """Undo `wait`, also where the place was given in the moment that its caller went away."""
        if self._waiters.pop(demand, None) is not None:
            self.queue.remove(demand)
        elif not future.cancelled() and future.exception() is None:
            self._give_back(future.result())
        self.advance()

    def _give_back(self, place: Place) -> None:
        now_ns = self._clock.monotonic_ns()
        self._breakers[place.number].ended(place.admittance, Verdict.UNKNOWN, now_ns)
        self._withdraw(place, now_ns)

    @abstractmethod
    def _left(self, place: Place, ended: Ended, now_ns: int) -> None:
        """Count the end of a call, and let in who may go now. `now_ns` is of this process's clock."""

    @abstractmethod
    def _withdraw(self, place: Place, now_ns: int) -> None:
        """Take a call back from its account, and no more. `now_ns` is of this process's clock."""

    @abstractmethod
    def _now_ns(self) -> int:
        """On the clock that the accounts go by."""

    def _rests(self) -> Rests:
        now_ns = self._clock.monotonic_ns()
        rests_ns = tuple(each.rests_ns(now_ns) for each in self._breakers)
        probes = (
            at for at, each in enumerate(self._breakers) if each.state(now_ns) is not BreakerState.CLOSED
        )
        return Rests(rests_ns, frozenset(probes))

    def _planner(self, allowances: Sequence[Allowance], now_ns: int) -> Planner:
        return Planner(self.provider, allowances, self._rests(), now_ns, self._leases)

    def _place(self, demand: Demand, number: int, granted: Pass, waited_ns: int, now_ns: int) -> Place:
        """A place at account `number`; `now_ns` is of this process's clock."""
        admittance = self._breakers[number].admit(now_ns)
        return Place(self, self._quotas[number].account, number, granted, admittance, demand, waited_ns)

    def _carry_out(self, plan: Plan) -> None:
        """Tell those who wait what was decided."""
        now_ns = self._clock.monotonic_ns()
        for grant in plan.grants:
            waiter = self._waiters.pop(grant.demand, None)
            if waiter is None:  # it went away while the store decided
                self._give_back(self._place(grant.demand, grant.account, grant.granted, 0, now_ns))
                continue
            self.queue.take(grant.demand)
            waited_ns = now_ns - waiter.came_ns
            place = self._place(grant.demand, grant.account, grant.granted, waited_ns, now_ns)
            if waiter.future.done():
                self._give_back(place)
            else:
                waiter.future.set_result(place)
        for demand, error in plan.refusals:
            self._refuse(demand, error)

    def _refuse(self, demand: Demand, error: MacroslowError) -> None:
        waiter = self._waiters.pop(demand, None)
        if waiter is not None:
            self.queue.remove(demand)
            if not waiter.future.done():
                waiter.future.set_exception(error)

    def _come_back(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.advance)

    def refusal(self, demand: Demand, *, max_behind_ns: int = 30 * NS_PER_S) -> MacroslowError:
        """The error for one that may not wait any longer."""
        now_ns = self._now_ns()
        held = min(
            (each.held_by(demand.tokens, now_ns) for each in self.allowances), key=lambda held: held.until_ns
        )
        intervals_ns = [each.tokens.limit.interval_ns for each in self.allowances if each.tokens.limit]
        behind_ns = self.queue.tokens * min(intervals_ns, default=0) // len(self.allowances)
        return refusal(held, now_ns, min(behind_ns, max_behind_ns))

    def report(self) -> list[LineReport]:
        """Every account as it stands."""
        now_ns = self._now_ns()
        return [
            LineReport(
                provider=self.provider,
                model=self.model,
                account=each.account,
                limits=each.limits(now_ns),
                waiting=len(self.queue),
                in_flight=each.in_flight(now_ns),
                held_s=max(0, each.held_until_ns - now_ns) / NS_PER_S,
                breaker=breaker.state(self._clock.monotonic_ns()),
                window=each.tokens.window,
                charge=each.tokens.charge,
            )
            for each, breaker in zip(self.allowances, self._breakers, strict=True)
        ]

    async def close(self) -> None:
        """No timer goes off any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class LocalLine(Line):
    """A line of this process alone. Nothing here waits for anything but room."""

    def at_once(self, demand: Demand, wait_s: float) -> Place | None:
        """A place where nobody waits and there is room."""
        if self._waiters:
            return None
        now_ns = self._clock.monotonic_ns()
        first, tokens = self.allowances[0], demand.tokens
        # What the planner would come to, for the common case.
        if self._simple and self._breakers[0].closed() and first.admits(tokens, now_ns):
            return self._place(demand, 0, first.enter(next(self._leases), tokens, now_ns), 0, now_ns)
        outcome = self._planner(self.allowances, now_ns).try_one(demand)
        if isinstance(outcome, Grant):
            return self._place(demand, outcome.account, outcome.granted, 0, now_ns)
        if isinstance(outcome, MacroslowError):
            raise outcome
        if isinstance(outcome, Promise):
            sure_ns = min(
                each.surely_ns(tokens, now_ns)
                for each in self.allowances
                if each.takes(tokens) and demand.may_go_to(each.account)
            )
            if sure_ns - now_ns > wait_s * NS_PER_S:
                raise self.refusal(demand)
        return None

    def enter_anyway(self, demand: Demand) -> Place:
        """A place, whatever the limits say."""
        now_ns = self._clock.monotonic_ns()
        outcome = self._planner(self.allowances, now_ns).try_one(demand)
        if not isinstance(outcome, Grant):
            at = next(at for at, each in enumerate(self.allowances) if demand.may_go_to(each.account))
            granted = self.allowances[at].enter(next(self._leases), demand.tokens, now_ns)
            outcome = Grant(demand, at, granted)
        return self._place(demand, outcome.account, outcome.granted, 0, now_ns)

    def seed(self, calls: Sequence[Recent]) -> None:
        """Count calls of before our start."""
        seed(self.allowances, calls, self._clock.monotonic_ns())

    def heard(self, place: Place, headers: Mapping[str, str]) -> None:
        """Learn, and let in who may go by what was learned."""
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.now_ns()
        self.allowances[place.number].heard(place.granted, headers, now_ns, wall_ns)
        if self._waiters:
            self.advance()

    def _left(self, place: Place, ended: Ended, now_ns: int) -> None:
        self.allowances[place.number].leave(place.granted, ended, now_ns)
        if self._waiters:
            self.advance()

    def _withdraw(self, place: Place, now_ns: int) -> None:
        self.allowances[place.number].withdraw(place.granted, now_ns)

    def advance(self) -> None:
        """Let in whoever may go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiters:
            return
        now_ns = self._clock.monotonic_ns()
        plan = self._planner(self.allowances, now_ns).plan(self.queue)
        self._carry_out(plan)
        if plan.again_ns is not None and self._waiters:
            self._come_back((plan.again_ns - now_ns) / NS_PER_S)

    def _now_ns(self) -> int:
        return self._clock.monotonic_ns()
