"""Getting a call to a provider: a place, a durable reservation, and as many attempts as are safe.

An attempt is repeated only where the provider did no work, so that nothing is billed twice: it could
not be reached, did not take this key, or refused for now (429, 500, 503, 529). Between attempts the call
has no place; it waits a random part of a growing bound and comes back through the queue, which holds
back an account as long as its provider asked. If another account has room before that time is over,
it goes there; if not, to whichever has, also the one that failed, unless that did not take its key.
"""

import asyncio
from collections.abc import Collection, Set
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import overload

from macroslow.errors import (
    BudgetExhaustedError,
    OverloadedError,
    RateLimitedError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from macroslow.inference.ports import NotReached, ProviderAnswer, ProviderStream
from macroslow.limits.admission import Demand, Ended, Verdict
from macroslow.limits.backoff import ENTROPY_BYTES, repeatable, wait_ns
from macroslow.limits.reported import retry_after_ns
from macroslow.ports import NS_PER_S, Clock, Entropy
from macroslow.services.calls.admission import Admission, Place
from macroslow.services.calls.paid_call import PaidCall, UnderWay
from macroslow.services.calls.settle_call import SettleCall, charged
from macroslow.workflow.books import Books

Reached = ProviderAnswer | ProviderStream | NotReached | UpstreamRefusedError


@dataclass(frozen=True, slots=True)
class ReachProvider:
    """Its fields are everything that it touches.

    `attempts` is how often one call is sent at most, `max_wait_s` how long it may queue each time. `traced`
    tells the provider where the call stands in its trace.
    """

    books: Books
    admission: Admission
    settle: SettleCall
    clock: Clock
    entropy: Entropy
    deadline_s: float
    attempts: int
    max_wait_s: float
    traced: bool = False

    async def reserve(self, call: PaidCall, wait_s: float | None) -> UnderWay:
        """Wait for a place, at most `wait_s`, then make the reservation durable.

        Raises RateLimitedError, UpstreamUnavailableError, BudgetExhaustedError or LogUnavailableError;
        then nothing is held.
        """
        place = await self._place(call, wait_s, call.target.accounts)
        since_ns = self.clock.monotonic_ns()
        try:
            try:
                await self.books.commit(call.reserve)
            except BudgetExhaustedError as error:
                if call.order.enforced:
                    raise
                call = replace(call, over_budget=error.budget)
                await self.books.commit(call.reserve)
        except BaseException as error:
            self.admission.withdraw(place)
            if isinstance(error, asyncio.CancelledError):  # the reservation may be on its way
                self.settle.booking(self.settle.undo(UnderWay(call, since_ns, None, place.account)))
            raise
        return UnderWay(call, since_ns, place, place.account, waited_ns=place.waited_ns)

    @overload
    async def send(self, under_way: UnderWay) -> tuple[UnderWay, ProviderAnswer | NotReached]: ...

    @overload
    async def send(
        self, under_way: UnderWay, stack: AsyncExitStack
    ) -> tuple[UnderWay, ProviderAnswer | ProviderStream | NotReached]: ...

    async def send(
        self, under_way: UnderWay, stack: AsyncExitStack | None = None
    ) -> tuple[UnderWay, ProviderAnswer | ProviderStream | NotReached]:
        """Send the call until its answer is final.

        `stack` closes an open stream; without one the call is a plain one.
        Where no answer came that may be passed on, it is settled and raised: UpstreamRefusedError,
        UpstreamUnavailableError, CancelledError.
        """
        tried: dict[str, Reached] = {}
        while True:
            place = under_way.place
            if place is None:
                raise AssertionError("a call is sent from its place")
            reached = await self._attempt(under_way, place, stack)
            if isinstance(reached, ProviderStream) or (
                isinstance(reached, ProviderAnswer) and not repeatable(reached.status, reached.headers)
            ):
                return under_way, reached
            under_way = await self._again(under_way, place, reached, tried)
            if under_way.place is None:
                if isinstance(reached, UpstreamRefusedError):
                    await self.settle.failed(under_way, reached)
                    raise reached
                return under_way, reached

    async def _attempt(self, under_way: UnderWay, place: Place, stack: AsyncExitStack | None) -> Reached:
        """Send the call once, to the account of its place."""
        call = under_way.call
        provider = call.target.accounts[place.account]
        deadline_s = self._left_s(under_way)
        path, body, headers = call.order.operation.path, call.target.forwarded, call.order.headers
        if self.traced:
            headers = {**headers, "traceparent": call.trace.header}
        reached: Reached
        try:
            if stack is not None:
                opened = AsyncExitStack()
                stack.push_async_callback(opened.aclose)
                opening = provider.stream(path, body, headers=headers, deadline_s=deadline_s)
                reached = await opened.enter_async_context(opening)
                if not isinstance(reached, ProviderStream):
                    await opened.aclose()
            else:
                reached = await provider.complete(path, body, headers=headers, deadline_s=deadline_s)
                if isinstance(reached, ProviderStream):  # against its port; then nobody knows what it did
                    raise AssertionError("a plain call opens no stream")
        except UpstreamRefusedError as error:
            return error
        except UpstreamUnavailableError as error:
            raise charged(await self.settle.failed(under_way, error), error) from error
        except BaseException as error:
            await self.settle.failed(under_way, error)
            raise
        if not isinstance(reached, NotReached):
            self.admission.heard(place, reached.headers)
        return reached

    async def _again(
        self, under_way: UnderWay, place: Place, reached: Reached, tried: dict[str, Reached]
    ) -> UnderWay:
        """The call with a place for another attempt; without a place if there is to be none.

        `tried` is what came last of each account that was asked.
        """
        tried[place.account] = reached
        self.admission.leave(place, self._refused(reached))
        waiting = replace(under_way, place=None)
        left_ns = int(self._left_s(under_way) * NS_PER_S)
        pause_ns = wait_ns(under_way.attempts - 1, self.entropy.random(ENTROPY_BYTES), left_ns)
        refused = {account for account, came in tried.items() if isinstance(came, UpstreamRefusedError)}
        hopeless = len(refused) == len(under_way.call.target.accounts)
        if hopeless or pause_ns is None or under_way.attempts >= self.attempts:
            return waiting
        try:
            next_place = await self._next_place(under_way, pause_ns, tried.keys(), refused)
        except (OverloadedError, RateLimitedError, UpstreamUnavailableError):
            return waiting
        except BaseException as error:
            await self.settle.failed(waiting, error)
            raise
        return replace(
            waiting,
            place=next_place,
            account=next_place.account,
            attempts=under_way.attempts + 1,
            waited_ns=under_way.waited_ns + next_place.waited_ns,
            repeated=(*under_way.repeated, _status(reached)),
        )

    async def _next_place(
        self, under_way: UnderWay, pause_ns: int, tried: Set[str], refused: Set[str]
    ) -> Place:
        """A place at an account that was not tried; after the pause, at any that did not refuse the key."""
        call, pause_until_ns = under_way.call, self.clock.monotonic_ns() + pause_ns
        accounts = call.target.accounts.keys()
        if others := accounts - tried:
            with suppress(RateLimitedError, UpstreamUnavailableError):
                return await self._place(call, pause_ns / NS_PER_S, others)
        await asyncio.sleep(max(0, pause_until_ns - self.clock.monotonic_ns()) / NS_PER_S)
        return await self._place(call, min(self._left_s(under_way), self.max_wait_s), accounts - refused)

    async def _place(self, call: PaidCall, wait_s: float | None, among: Collection[str]) -> Place:
        """A place at one of the accounts `among` those of the call."""
        model, caller = call.target.model, call.order.principal
        demand = Demand(caller.name, call.target.bounds.likely_tokens, caller.weight, among)
        if caller.own_key is not None:
            (own,) = call.target.accounts
            return self.admission.enter_alone(model.provider, model.name, demand, own)
        return await self.admission.enter(model.provider, model.name, demand, wait_s=wait_s)

    def _refused(self, reached: Reached) -> Ended:
        """What an attempt that came to nothing says about the account that served it."""
        if not isinstance(reached, ProviderAnswer):
            return Ended(0, Verdict.FAILED)
        verdict = Verdict.LIMITED if reached.status == 429 else Verdict.FAILED
        return Ended(0, verdict, retry_after_ns(reached.headers, self.clock.now_ns()))

    def _left_s(self, under_way: UnderWay) -> float:
        """Seconds until the call's deadline."""
        elapsed_ns = self.clock.monotonic_ns() - under_way.started_ns
        return max(0.0, self.deadline_s - elapsed_ns / NS_PER_S)


def _status(reached: Reached) -> int:
    """The provider's status; 0: none came."""
    return reached.status if isinstance(reached, ProviderAnswer | UpstreamRefusedError) else 0
