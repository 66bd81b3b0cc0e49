"""One paid call of a model, in any of the APIs: reserve the worst case, call, settle at the true cost.

In this order: parse, price, count, admission, reservation (durable before anything is sent), call,
then settlement and log entry in one commit, and after that commit the answer: all of a plain one,
the closing event of a streamed one. A refusal names its step and nothing after it happens.

A model that cannot answer now gives way to its fall-back, which is a call of its own with a price of
its own. Every reservation is settled, once, however its call ends (see `settle_call`).
"""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from macroslow.authn.principal import Principal
from macroslow.authz.decision import require_scope
from macroslow.authz.scopes import INFERENCE_CHAT
from macroslow.errors import (
    BudgetExhaustedError,
    InvalidModelRequestError,
    MissingRightError,
    RateLimitedError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from macroslow.inference.operation import Operation
from macroslow.inference.ports import ProviderStream
from macroslow.inference.trace import TraceParent
from macroslow.limits.backoff import repeatable
from macroslow.metering.budgets import BudgetRule, Spender, budgets_of, own_rules
from macroslow.metering.ledger import Budget
from macroslow.metering.models import Model
from macroslow.ports import NS_PER_S, Clock, FreshNames
from macroslow.services.calls.paid_call import Order, PaidCall, UnderWay
from macroslow.services.calls.quote_call import LEAST_FILLED_OUTPUT_TOKENS, Asked, QuoteCall, Target
from macroslow.services.calls.reach_provider import ReachProvider
from macroslow.services.calls.settle_call import ModelAnswer, ModelStream, SettleCall

_TAG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}", re.ASCII)
EXPIRY_MARGIN_S: Final = 60.0  # after a call's deadline, for its settlement
FALLBACK_WAIT_S: Final = 2.0  # how long a call queues for a model that has a fall-back
NAME_BYTES: Final = 8  # of a reservation, besides its time
QUOTES: Final = 4  # of an open request: in full, twice what a budget that others use too has, the least


@dataclass(frozen=True, slots=True)
class CallModel:
    """Its fields are everything that it touches.

    `owner` is this process in the ledger; `rules` are the operator's budgets; `enforced` False only
    observes what they would refuse. Each of `refusals` hears of every call that a budget refused.
    """

    quote: QuoteCall
    reach: ReachProvider
    settle: SettleCall
    clock: Clock
    names: FreshNames
    owner: str
    rules: Sequence[BudgetRule] = ()
    enforced: bool = True
    refusals: Sequence[Callable[[BudgetExhaustedError], None]] = ()

    async def __call__(
        self,
        principal: Principal,
        operation: Operation,
        body: bytes,
        *,
        request_id: str,
        tag: str = "",
        headers: Mapping[str, str] = {},
        run_id: str = "",
        account: str | None = None,
        providers: Collection[str] | None = None,
        parent: TraceParent | None = None,
        wants_receipt: bool = False,
    ) -> ModelAnswer | ModelStream:
        """Answer one request; it is charged to `account`, or else to the principal's own.

        `headers` go to the provider with it: they have been checked. `providers` are those that a run
        was granted; None: any. `parent` is where the client stands in a trace. `wants_receipt`: the receipt
        of the call is kept under `request_id`. Raises MissingScopeError, MissingRightError,
        InvalidModelRequestError, NotFoundError (no such model), RateLimitedError, BudgetExhaustedError,
        UpstreamRefusedError, UpstreamUnavailableError and LogUnavailableError.
        """
        require_scope(principal, INFERENCE_CHAT)
        if tag:
            _require_tag(tag)
        asked = await self.quote.read(operation, body, principal.name, principal.own_key)
        models = asked.models if providers is None else _granted(asked.models, providers)
        now_ns = self.clock.now_ns()
        order = Order(
            principal=principal,
            operation=operation,
            asked_model=asked.request.model,
            stream=asked.request.stream,
            request_id=request_id,
            request_sha256=hashlib.sha256(body).hexdigest(),
            tag=tag,
            headers=headers,
            run_id=run_id,
            account=account or principal.account,
            budgets=self._budgets(principal, tag, now_ns),
            owner=self.owner,
            created_ns=now_ns,
            expires_ns=now_ns + self._longest_ns(len(models)),
            enforced=self.enforced,
            parent=parent,
            wants_receipt=wants_receipt,
        )
        tried: list[str] = []
        for model in models[:-1]:
            answer = await self._try(order, asked, model, tried)
            if answer is not None:
                return answer
        try:
            return await self._send(await self._reserve(order, asked, models[-1], None), asked)
        except UpstreamUnavailableError as error:
            if not tried:
                raise
            raise _after(tried, error) from error

    async def close(self) -> None:
        """Wait for bookings that outlived their callers."""
        await self.settle.close()

    async def _try(
        self, order: Order, asked: Asked, model: Model, tried: list[str]
    ) -> ModelAnswer | ModelStream | None:
        """The answer of a model that has a fall-back, or None if that is to be asked.

        It is asked only where this one did no work: what may have been done is not done twice.
        """
        named = f"{model.name} at {model.provider}"
        try:
            under_way = await self._reserve(order, asked, model, FALLBACK_WAIT_S)
        except (RateLimitedError, UpstreamUnavailableError) as error:
            tried.append(f"{named}: {error.detail}")
            return None
        try:
            answer = await self._send(under_way, asked)
        except UpstreamRefusedError as error:
            tried.append(f"{named}: {error.detail}")
            return None
        except UpstreamUnavailableError as error:
            if not error.nothing_done:
                raise
            tried.append(f"{named}: {error.detail}")
            return None
        if isinstance(answer, ModelAnswer) and repeatable(answer.status, answer.headers):
            tried.append(f"{named}: status {answer.status}")
            return None
        return answer

    async def _send(self, under_way: UnderWay, asked: Asked) -> ModelAnswer | ModelStream:
        if not under_way.call.order.stream:
            return await self.settle.whole(*await self.reach.send(under_way))
        async with AsyncExitStack() as stack:
            under_way, reached = await self.reach.send(under_way, stack)
            if not isinstance(reached, ProviderStream):
                return await self.settle.whole(under_way, reached)
            counter = under_way.call.target.counter
            reader = asked.operation.reader(asked.request, counter, under_way.possible)
            return await self.settle.stream(under_way.sent(), reached, reader, stack.pop_all())

    async def _reserve(self, order: Order, asked: Asked, model: Model, wait_s: float | None) -> UnderWay:
        """A place and a durable reservation; of a request without a maximum, for what the budget allows.

        A refusal of that names what the least that is worth having needs.
        """
        room_usd_micros: int | None = None
        for requotes_left in reversed(range(QUOTES)):
            target = await self.quote.target(asked, model, room_usd_micros)
            # It begins with its time, which keeps a store's index of many such ids quick.
            call = PaidCall(f"{order.created_ns:016x}{self.names.next()}", order, target)
            try:
                return await self.reach.reserve(call, wait_s)
            except BudgetExhaustedError as error:
                least_usd_micros = _least_usd_micros(asked, target)
                if not requotes_left or target.bounds.usd_micros <= least_usd_micros:
                    for hear in self.refusals:
                        hear(error)
                    raise
                left_usd_micros = error.limit_usd_micros - error.spent_usd_micros - error.held_usd_micros
                room_usd_micros = max(least_usd_micros, left_usd_micros if requotes_left > 1 else 0)
        raise AssertionError("the last quote was taken or refused")

    def _longest_ns(self, models: int) -> int:
        """The longest that a call may take until it is settled: queue and deadline for each model."""
        return int((models * (self.reach.max_wait_s + self.reach.deadline_s) + EXPIRY_MARGIN_S) * NS_PER_S)

    def _budgets(self, principal: Principal, tag: str, now_ns: int) -> tuple[Budget, ...]:
        """Every budget besides the account that this call is held against."""
        own = own_rules(principal)
        if not own and not self.rules:
            return ()
        makers = tuple(each.key_id for each in principal.makers)
        spender = Spender(principal.key_id, principal.name, principal.team, tag, makers)
        return budgets_of((*self.rules, *own), spender, now_ns)


def _after(tried: Sequence[str], error: UpstreamUnavailableError) -> UpstreamUnavailableError:
    """The error of the last model of the chain, which tells what was tried before."""
    return UpstreamUnavailableError(
        f"{error.detail}; before that {'; '.join(tried)}",
        upstream=error.upstream,
        fix=error.fix,
        reason=error.reason,
        nothing_done=error.nothing_done,
        retry_after_s=error.retry_after_s,
    )


def _require_tag(tag: str) -> None:
    if not _TAG.fullmatch(tag):
        raise InvalidModelRequestError(
            "a tag has 1 to 64 of letters, digits and . _ : / -, a letter or digit first",
            param="x-macroslow-tag",
            fix="send another x-macroslow-tag, or none",
        )


def _granted(models: Sequence[Model], providers: Collection[str]) -> Sequence[Model]:
    """Those models of the chain whose provider a run was granted."""
    granted = [model for model in models if model.provider in providers]
    if not granted or granted[0] is not models[0]:
        raise MissingRightError(
            f"this document may not call models of {models[0].provider}",
            uri=f"api://{models[0].provider}",
            fix=f"add api://{models[0].provider} to permissions.execute",
        )
    return granted


def _least_usd_micros(asked: Asked, target: Target) -> int:
    """What must be held for an answer worth having: all that was asked for, or a short one if nothing was."""
    bounds = target.bounds
    if asked.request.max_output_tokens is not None or not asked.request.writes:
        return bounds.usd_micros
    least_tokens = min(bounds.output_tokens, LEAST_FILLED_OUTPUT_TOKENS * bounds.choices)
    return bounds.model.estimate(bounds.input.most_tokens, least_tokens)
