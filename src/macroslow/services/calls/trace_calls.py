"""One span for each call of a model, as OpenTelemetry describes it: who answered, how long, at what cost.

Never content: no prompt, no answer, no name of a caller, no tag. The request's id leads to the log, where
all of that may be looked up by whoever may.

    gen_ai.operation.name, gen_ai.provider.name, gen_ai.request.model, gen_ai.request.stream,
    gen_ai.usage.input_tokens, gen_ai.usage.output_tokens, gen_ai.response.time_to_first_chunk (s),
    server.address, server.port, error.type
    macroslow.cost.usd_micros, macroslow.outcome, macroslow.attempts, macroslow.queue.duration (s),
    macroslow.request.id, macroslow.key.id, macroslow.run.id, macroslow.provider, macroslow.upstream.status

Source: OpenTelemetry semantic conventions 1.41, "Spans for generative AI clients" (inference, embeddings).
"""

from collections.abc import Mapping
from typing import Final, Protocol

from macroslow.inference.trace import Span
from macroslow.metering.ledger import CallOutcome
from macroslow.ports import NS_PER_S, Clock
from macroslow.services.calls.gen_ai import Peer, error_type, operation_name
from macroslow.services.calls.settle_call import Report

_RANDOM_DIGITS: Final = 14
"""The end of a trace's id, 56 bits, which are random (W3C Trace Context, level 2, section 3.2.2.3.1)."""


class SpanOutlet(Protocol):
    """Where spans go; returns at once."""

    def put(self, span: Span) -> None: ...


class TraceCalls:
    """Told of every call that is over. All of its work is done on the spot: it holds on to no call."""

    def __init__(
        self, outlet: SpanOutlet, clock: Clock, peers: Mapping[str, Peer], sample_ratio: float = 1.0
    ) -> None:
        """Of traces that begin here a share of `sample_ratio` is told; of others, those that are sampled."""
        self._outlet = outlet
        self._clock = clock
        self._peers = peers
        self._from = int((1 - sample_ratio) * 16**_RANDOM_DIGITS)

    def __call__(self, report: Report) -> None:
        """Send on the span of one call."""
        call = report.under_way.call
        here, parent = call.trace, call.order.parent
        if not here.sampled or (parent is None and int(here.trace_id[-_RANDOM_DIGITS:], 16) < self._from):
            return
        error = error_type(report.ended)
        attributes = self._attributes(report, error)
        end_ns = self._clock.now_ns()
        self._outlet.put(
            Span(
                trace_id=here.trace_id,
                span_id=here.span_id,
                parent_span_id="" if parent is None else parent.span_id,
                name=f"{attributes['gen_ai.operation.name']} {call.target.model.name}",
                start_ns=end_ns - report.duration_ns,
                end_ns=end_ns,
                attributes=attributes,
                error=error,
            )
        )

    def _attributes(self, report: Report, error: str) -> dict[str, str | int | float | bool]:
        under_way, ended = report.under_way, report.ended
        call = under_way.call
        order, model = call.order, call.target.model
        peer = self._peers.get(model.provider) or Peer(model.provider, "", 0)
        found: dict[str, str | int | float | bool] = {
            "gen_ai.operation.name": operation_name(order.operation.name),
            "gen_ai.provider.name": peer.name,
            "gen_ai.request.model": model.name,
            "macroslow.provider": model.provider,
            "macroslow.request.id": order.request_id,
            "macroslow.key.id": order.principal.key_id,
            "macroslow.outcome": ended.outcome,
            "macroslow.cost.usd_micros": ended.usage.usd_micros,
            "macroslow.attempts": under_way.attempts,
            "macroslow.queue.duration": under_way.waited_ns / NS_PER_S,
        }
        if peer.address:
            found["server.address"], found["server.port"] = peer.address, peer.port
        if ended.outcome is not CallOutcome.UNKNOWN:  # that one is charged for the most that it can have used
            found["gen_ai.usage.input_tokens"] = ended.usage.input_tokens
            found["gen_ai.usage.output_tokens"] = ended.usage.output_tokens
        if ended.status:
            found["macroslow.upstream.status"] = ended.status
        if error:
            found["error.type"] = error
        if order.run_id:
            found["macroslow.run.id"] = order.run_id
        if order.stream:
            found["gen_ai.request.stream"] = True
        if report.first_ns is not None:
            found["gen_ai.response.time_to_first_chunk"] = report.first_ns / NS_PER_S
        return found
