"""Calls of models, counted as they end, under OpenTelemetry's names for generative AI.

    gen_ai_client_token_usage                       tokens of a call, by gen_ai_token_type
    gen_ai_client_operation_duration_seconds        from its first sending to its settlement
    gen_ai_client_operation_time_to_first_chunk_seconds     of streams
    macroslow_model_outcomes_total                  by outcome, as the ledger has it
    macroslow_queue_seconds                         how long calls waited for the provider's limits
    macroslow_upstream_answers_total                by class of the provider's status; "none": none came
    macroslow_repeats_total                         those of them after which a call was sent again

Tokens are those that are owed; of a call whose usage nobody knows there is no number. A label that is
empty says that there is none: error_type of a call that ended well.

Labels are names of the catalogue and the configuration; of more than MAX_MODELS models the rest is
"other".

Source: OpenTelemetry semantic conventions 1.41, "Generative AI metrics": names, attributes and bounds of
buckets, with dots as underscores and units at the end as OpenTelemetry's rules for Prometheus say.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from macroslow.metering.ledger import CallOutcome
from macroslow.ports import NS_PER_S
from macroslow.services.calls.gen_ai import Peer, error_type, operation_name
from macroslow.services.calls.paid_call import Settlement
from macroslow.services.calls.settle_call import Report

MAX_MODELS: Final = 100
OTHER: Final = "other"

TOKEN_BOUNDS: Final = tuple(float(4**power) for power in range(14))
DURATION_BOUNDS_S: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
QUEUE_BOUNDS_S: Final = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0)

_CALL: Final = (
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "server_address",
    "server_port",
)

Labels = tuple[str, ...]


class Histogram:
    """How often values fell between bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Family:
    """Histograms of one name by their labels."""

    def __init__(self, bounds: Sequence[float], name: str, text: str, labels: Sequence[str]) -> None:
        self._bounds = bounds
        self._described = (name, text, labels)
        self._histograms: dict[Labels, Histogram] = {}

    def at(self, *labels: str) -> Histogram:
        """The one with these labels, made at need."""
        return self._histograms.setdefault(labels, Histogram(self._bounds))

    def collected(self) -> HistogramMetricFamily:
        """As Prometheus has it."""
        name, text, labels = self._described
        found = HistogramMetricFamily(name, text, labels=labels)
        bounds = [*map(str, self._bounds), "+Inf"]
        for key, one in list(self._histograms.items()):
            found.add_metric(key, list(zip(bounds, accumulate(one.counts), strict=True)), one.total)
        return found


@dataclass(slots=True)  # not frozen: it counts
class _End:
    """Calls of one line that ended alike."""

    duration: Histogram
    calls: int = 0


@dataclass(frozen=True, slots=True)
class _Line:
    """Where calls of one operation and model are counted; looked up once for a call.

    `ends` are by outcome and the provider's status.
    """

    call: Labels
    own: Labels
    input: Histogram
    output: Histogram
    first: Histogram
    queue: Histogram
    ends: dict[tuple[str, int], _End] = field(default_factory=dict)


class ModelMetrics(Collector):
    """Plain numbers on the hot path; families of metrics only when somebody scrapes."""

    def __init__(self, peers: Mapping[str, Peer] | None = None) -> None:
        """`peers` are the providers by the configuration's name; one that is not there goes by its name."""
        self._peers = {} if peers is None else peers
        self._models: set[str] = set()
        self._lines: dict[Labels, _Line] = {}
        self._tokens = Family(
            TOKEN_BOUNDS, "gen_ai_client_token_usage", "Tokens of a call", (*_CALL, "gen_ai_token_type")
        )
        self._durations = Family(
            DURATION_BOUNDS_S,
            "gen_ai_client_operation_duration_seconds",
            "From the first sending to the settlement",
            (*_CALL, "error_type"),
        )
        self._firsts = Family(
            DURATION_BOUNDS_S,
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "Until a stream's first bytes",
            _CALL,
        )
        self._queue = Family(
            QUEUE_BOUNDS_S,
            "macroslow_queue_seconds",
            "Waiting for room at the provider",
            ("provider", "model"),
        )
        self._repeats: dict[Labels, int] = {}

    def __call__(self, report: Report) -> None:
        """Count one call that is over."""
        under_way, ended = report.under_way, report.ended
        call, usage = under_way.call, ended.usage
        provider, model, operation = call.provider, call.model, call.order.operation.name
        line = self._lines.get((operation, provider, model)) or self._line(operation, provider, model)
        end = line.ends.get((ended.outcome, ended.status)) or self._end(line, ended)
        end.calls += 1
        end.duration.add(report.duration_ns / NS_PER_S)
        line.queue.add(under_way.waited_ns / NS_PER_S)
        if ended.outcome is not CallOutcome.UNKNOWN:  # that one is charged for the most that it can have used
            if usage.input_tokens:
                line.input.add(usage.input_tokens)
            if usage.output_tokens:
                line.output.add(usage.output_tokens)
        if report.first_ns is not None:
            line.first.add(report.first_ns / NS_PER_S)
        if under_way.attempts > 1:
            for status in under_way.repeated:
                _count(self._repeats, (provider, _status_class(status)))

    def _end(self, line: _Line, ended: Settlement) -> _End:
        duration = self._durations.at(*line.call, error_type(ended))
        return line.ends.setdefault((ended.outcome, ended.status), _End(duration))

    def _line(self, operation: str, provider: str, model: str) -> _Line:
        """The line of a model; all those beyond the bound are one."""
        if model not in self._models:
            if len(self._models) >= MAX_MODELS:
                model = OTHER
                found = self._lines.get((operation, provider, model))
                if found is not None:
                    return found
            else:
                self._models.add(model)
        peer = self._peers.get(provider) or Peer(provider, "", 0)
        call = (operation_name(operation), peer.name, model, peer.address, str(peer.port or ""))
        line = self._lines[operation, provider, model] = _Line(
            call,
            (operation, provider, model),
            self._tokens.at(*call, "input"),
            self._tokens.at(*call, "output"),
            self._firsts.at(*call),
            self._queue.at(provider, model),
        )
        return line

    def collect(self) -> Iterator[Metric]:
        """The families of metrics, as they are now. Another thread may count on meanwhile."""
        for family in (self._tokens, self._durations, self._firsts, self._queue):
            yield family.collected()
        outcomes: dict[Labels, int] = {}
        answers = dict(self._repeats)
        for line in list(self._lines.values()):
            for (outcome, status), end in list(line.ends.items()):
                _count(outcomes, (*line.own, outcome), end.calls)
                _count(answers, (line.own[1], _status_class(status)), end.calls)
        of_call = ("operation", "provider", "model", "outcome")
        yield _family("macroslow_model_outcomes", "Calls by how they ended", of_call, outcomes)
        of_answer = ("provider", "status")
        yield _family("macroslow_upstream_answers", "Answers by class of status", of_answer, answers)
        yield _family(
            "macroslow_repeats", "Answers after which a call was sent again", of_answer, self._repeats
        )


def _status_class(status: int) -> str:
    return f"{status // 100}xx" if 100 <= status <= 599 else "none"


def _count(counts: dict[Labels, int], labels: Labels, more: int = 1) -> None:
    counts[labels] = counts.get(labels, 0) + more


def _family(name: str, text: str, labels: Sequence[str], counts: dict[Labels, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, count in list(counts.items()):
        family.add_metric(key, count)
    return family
