"""Calls of models, counted as they end, under OpenTelemetry's names for generative AI.

    gen_ai_client_token_usage                       tokens of a call, by gen_ai_token_type
    gen_ai_client_operation_duration_seconds        from its first sending to its settlement
    gen_ai_client_operation_time_to_first_chunk_seconds     of streams
    macroslow_model_outcomes_total                  by outcome, as the ledger has it
    macroslow_queue_seconds                         how long calls waited for the provider's limits
    macroslow_upstream_answers_total                by class of the provider's status; "none": none came
    macroslow_repeats_total                         attempts after the first

Labels are names of the catalogue and the configuration, so their number is the operator's choice.

Source: OpenTelemetry semantic conventions, "Generative AI metrics" (names and bucket bounds).
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from macroslow.ports import NS_PER_S
from macroslow.services.settle_call import Report

TOKEN_BOUNDS: Final = tuple(float(4**power) for power in range(14))
DURATION_BOUNDS_S: Final = tuple(0.01 * 2**power for power in range(14))
QUEUE_BOUNDS_S: Final = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0)

_CALL: Final = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_OPERATIONS: Final = {"embeddings": "embeddings"}  # all others are "chat", as the conventions have it

Labels = tuple[str, ...]


@dataclass(slots=True)
class Histogram:
    """How often values fell between `bounds`, for each set of labels."""

    bounds: Sequence[float]
    _counts: dict[Labels, list[int]] = field(default_factory=dict)
    _sums: dict[Labels, float] = field(default_factory=dict)

    def add(self, labels: Labels, value: float) -> None:
        """Count one value."""
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * (len(self.bounds) + 1)
        counts[bisect_left(self.bounds, value)] += 1
        self._sums[labels] = self._sums.get(labels, 0.0) + value

    def family(self, name: str, text: str, labels: Sequence[str]) -> HistogramMetricFamily:
        """As Prometheus has it."""
        found = HistogramMetricFamily(name, text, labels=labels)
        bounds = [*map(str, self.bounds), "+Inf"]
        for key, counts in self._counts.items():
            found.add_metric(key, list(zip(bounds, accumulate(counts), strict=True)), self._sums[key])
        return found


class ModelMetrics(Collector):
    """Plain numbers on the hot path; families of metrics only when somebody scrapes."""

    def __init__(self) -> None:
        self._tokens = Histogram(TOKEN_BOUNDS)
        self._durations = Histogram(DURATION_BOUNDS_S)
        self._firsts = Histogram(DURATION_BOUNDS_S)
        self._queue = Histogram(QUEUE_BOUNDS_S)
        self._outcomes: dict[Labels, int] = {}
        self._answers: dict[Labels, int] = {}
        self._repeats: dict[Labels, int] = {}

    def __call__(self, report: Report) -> None:
        """Count one call that is over."""
        under_way, ended = report.under_way, report.ended
        call = under_way.call
        operation = call.order.operation.name
        labels = (_OPERATIONS.get(operation, "chat"), call.provider, call.model)
        self._tokens.add((*labels, "input"), ended.usage.input_tokens)
        self._tokens.add((*labels, "output"), ended.usage.output_tokens)
        self._durations.add(labels, report.duration_ns / NS_PER_S)
        if report.first_ns is not None:
            self._firsts.add(labels, report.first_ns / NS_PER_S)
        self._queue.add(labels[1:], under_way.waited_ns / NS_PER_S)
        _count(self._outcomes, (operation, *labels[1:], ended.outcome))
        _count(self._answers, (call.provider, f"{ended.status // 100}xx" if ended.status else "none"))
        if under_way.attempts > 1:
            _count(self._repeats, (call.provider,), under_way.attempts - 1)

    def collect(self) -> Iterator[Metric]:
        """The families of metrics, as they are now."""
        yield self._tokens.family(
            "gen_ai_client_token_usage", "Tokens of a call", (*_CALL, "gen_ai_token_type")
        )
        yield self._durations.family(
            "gen_ai_client_operation_duration_seconds", "From the first sending to the settlement", _CALL
        )
        yield self._firsts.family(
            "gen_ai_client_operation_time_to_first_chunk_seconds", "Until a stream's first bytes", _CALL
        )
        yield self._queue.family(
            "macroslow_queue_seconds", "Waiting for room at the provider", ("provider", "model")
        )
        yield _family(
            "macroslow_model_outcomes",
            "Calls by how they ended",
            ("operation", "provider", "model", "outcome"),
            self._outcomes,
        )
        yield _family(
            "macroslow_upstream_answers", "Final answers by status", ("provider", "status"), self._answers
        )
        yield _family("macroslow_repeats", "Attempts after the first", ("provider",), self._repeats)


def _count(counts: dict[Labels, int], labels: Labels, more: int = 1) -> None:
    counts[labels] = counts.get(labels, 0) + more


def _family(name: str, text: str, labels: Sequence[str], counts: dict[Labels, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, count in counts.items():
        family.add_metric(key, count)
    return family
