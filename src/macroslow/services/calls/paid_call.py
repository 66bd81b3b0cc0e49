"""One paid call in the books: its reservation, and the one settlement that every path ends in.

A `PaidCall` is the facts of a call; a `Settlement` says how it ended. Booking it is one commit: the
ledger's row and the log's leaf are durable together, or neither is.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from macroslow.authn.principal import Principal
from macroslow.errors import UpstreamRefusedError
from macroslow.inference.operation import Operation, Possible
from macroslow.inference.trace import TraceParent
from macroslow.metering.ledger import Budget, CallOutcome, Reserve, Settle, Usage
from macroslow.ports import NS_PER_MS
from macroslow.services.calls.admission import Place
from macroslow.services.calls.quote_call import OWN, Target
from macroslow.tlog import receipt
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append, KeepReceipt
from macroslow.values import value
from macroslow.workflow.replies import BindId

NOTHING: Final = Usage(0, 0, 0)


@value
class Settlement:
    """How a call ended, what is owed, and what the client was sent.

    `status` is the provider's (0: none came); `answer_sha256` is over the bytes of the answer as
    they went out, None where this gateway answered with an error of its own. `kept_id` is the id
    under which the provider keeps the answer. `disputed`: no usage was reported that
    this request can have had, so our own count was booked.
    """

    outcome: CallOutcome
    usage: Usage
    status: int
    answer_sha256: str | None = None
    kept_id: str = ""
    disputed: bool = False


@value
class Order:
    """What one request asks for, whichever model will answer it, and who pays.

    `request_sha256` is over the body as the client sent it; `headers` go to the provider with it.
    `asked_model` is the name in the request, which is seldom that of the model. `owner` is this process,
    which settles the call before `expires_ns`; `enforced` False: an operator
    who only observes. `parent` is where the client says that it stands in a trace. `wants_receipt`: the
    receipt of its end is kept under `request_id`.
    """

    principal: Principal
    operation: Operation
    asked_model: str
    stream: bool
    request_id: str
    request_sha256: str
    tag: str
    headers: Mapping[str, str]
    run_id: str
    account: str
    budgets: tuple[Budget, ...]
    owner: str
    created_ns: int
    expires_ns: int
    enforced: bool
    parent: TraceParent | None = None
    wants_receipt: bool = False


@value
class PaidCall:
    """One reservation: an order, and the model that is to answer it.

    `over_budget` is the budget that would have refused it, where budgets are only observed.
    """

    reservation_id: str
    order: Order
    target: Target
    over_budget: str = ""

    @property
    def trace(self) -> TraceParent:
        """Where the call itself stands: in its client's trace, or in that of its request.

        A reservation's id ends with 16 random digits, which name the span.
        """
        parent, span_id = self.order.parent, self.reservation_id[-16:]
        if parent is not None:
            return TraceParent(parent.trace_id, span_id, parent.sampled)
        request = hashlib.sha256(self.order.request_id.encode()).hexdigest()
        return TraceParent(request[:32], span_id, sampled=True)

    @property
    def emulator(self) -> bool:
        """Whether no real provider is asked: all accounts are of one provider."""
        return next(iter(self.target.accounts.values())).emulator

    @property
    def reserve(self) -> Reserve:
        """The change that holds the most this call can cost."""
        order, principal, model = self.order, self.order.principal, self.target.model
        return Reserve(
            id=self.reservation_id,
            account=order.account,
            usd_micros=self.target.bounds.usd_micros,
            principal=principal.name,
            key_id=principal.key_id,
            provider=model.provider if principal.own_key is None else f"{model.provider}{OWN}",
            model=model.name,
            created_ns=order.created_ns,
            tag=order.tag,
            run_id=order.run_id,
            team=principal.team,
            budgets=order.budgets,
            owner=order.owner,
            expires_ns=order.expires_ns,
            enforced=not self.over_budget,
        )


@value
class UnderWay:
    """A call that has its reservation; since when (monotonic), in which attempt, how long it queued.

    `place` is its place at the provider, None between two attempts; `account` is the one that was asked
    last. `repeated` are the statuses after which it was sent again (0: none came).
    """

    call: PaidCall
    started_ns: int
    place: Place | None
    account: str
    attempts: int = 1
    waited_ns: int = 0
    repeated: tuple[int, ...] = ()

    @property
    def possible(self) -> Possible:
        """The usage that a provider can report and be believed."""
        bounds = self.call.target.bounds
        return Possible(bounds.input.most_tokens, bounds.output_tokens)

    def sent(self) -> "UnderWay":
        """The same without its request's bytes, which an open stream would hold to its end."""
        target = replace(self.call.target, forwarded=b"")
        return replace(self, call=replace(self.call, target=target))

    def unknown(self, status: int = 0, sha256: str | None = None) -> Settlement:
        """Nobody knows what was done: charged in full."""
        return Settlement(CallOutcome.UNKNOWN, self.call.target.bounds.in_full, status, sha256)

    def aborted(
        self, counted_tokens: int, now_ns: int, status: int = 0, sha256: str | None = None
    ) -> Settlement:
        """The client hung up after `counted_tokens` of output had come; without a place, nothing was sent."""
        if self.place is None:
            return Settlement(CallOutcome.ABORTED, NOTHING, status, sha256)
        usage = self.call.target.bounds.aborted(counted_tokens, now_ns - self.started_ns)
        return Settlement(CallOutcome.ABORTED, usage, status, sha256)

    def failed(self, error: BaseException, now_ns: int) -> Settlement:
        """No answer came, but this error."""
        if isinstance(error, UpstreamRefusedError):
            return Settlement(CallOutcome.REFUSED, NOTHING, error.status)
        if isinstance(error, asyncio.CancelledError):
            return self.aborted(0, now_ns)
        return self.unknown()

    def book(self, ended: Settlement, now_ns: int) -> tuple[Settle | Append | KeepReceipt, ...]:
        """The changes of the one commit that ends this call."""
        settle = Settle(self.call.reservation_id, ended.usage, now_ns, ended.outcome)
        order = self.call.order
        event = Event(EventType.CHAT_COMPLETED, now_ns, order.principal.name, self._fields(ended))
        if not order.wants_receipt:
            return settle, Append(event)
        return settle, Append(event), receipt.kept(order.request_id, order.principal.name, now_ns)

    def kept(self, ended: Settlement, now_ns: int) -> BindId | None:
        """The change that makes the answer's id its principal's own, where the provider keeps the answer."""
        if not ended.kept_id or self.place is None:
            return None
        model = self.call.target.model
        return BindId(
            id=ended.kept_id,
            kind=f"{self.call.order.operation.name}/{model.name}",
            principal=self.call.order.principal.name,
            provider=model.provider,
            account=self.place.account,
            created_ns=now_ns,
            tokens=ended.usage.input_tokens + ended.usage.output_tokens,
        )

    def _fields(self, ended: Settlement) -> dict[str, object]:
        """What the log keeps for ever: what is as usual is left out, and its absence says just that."""
        call, order, model = self.call, self.call.order, self.call.target.model
        fields: dict[str, object] = {
            "request_id": order.request_id,
            "principal": order.principal.name,
            "key_id": order.principal.key_id,
            "operation": order.operation.name,
            "provider": model.provider,
            "model": model.name,
            "input_tokens": ended.usage.input_tokens,
            "output_tokens": ended.usage.output_tokens,
            "usd_micros": ended.usage.usd_micros,
            "status": ended.status,
            "outcome": ended.outcome,
            "request_sha256": order.request_sha256,
        }
        if self.account != model.provider:
            fields["account"] = self.account
        if order.asked_model != model.name:
            fields["asked_model"] = order.asked_model
        if self.attempts != 1:
            fields["attempts"] = self.attempts
        if self.waited_ns >= NS_PER_MS:
            fields["waited_ms"] = self.waited_ns // NS_PER_MS
        if ended.disputed:
            fields["disputed"] = True
        if call.over_budget:
            fields["would_refuse"] = call.over_budget
        if order.tag:
            fields["tag"] = order.tag
        if order.run_id:
            fields["run_id"] = order.run_id
        if ended.answer_sha256 is not None:
            fields["answer_sha256"] = ended.answer_sha256
        if order.stream:
            fields["stream"] = True
        if call.emulator:
            fields["emulator"] = True
        return fields
