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

A call that ends is only noted. What was noted goes into the buckets together, before somebody reads or when
there are MAX_NOTED (`fold`).

Source: OpenTelemetry semantic conventions 1.41, "Generative AI metrics": names, attributes and bounds of
buckets, with dots as underscores and units at the end as OpenTelemetry's rules for Prometheus say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from macroslow.metering.ledger import CallOutcome
from macroslow.ports import NS_PER_S
from macroslow.services.calls.gen_ai import Peer, error_type, operation_name
from macroslow.services.calls.paid_call import Settlement
from macroslow.services.calls.settle_call import Report
from macroslow.web.histograms import Family, Histogram, Labels

MAX_MODELS: Final = 100
MAX_NOTED: Final = 1024  # calls: some 250 kB
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


@dataclass(slots=True)  # not frozen: it counts
class _End:
    """Calls of one line that ended alike. `told`: their usage is known, and not only the most that it can be.

    `noted` are those of them that are in no count yet: their durations, waits and times to the first chunk in
    nanoseconds, input and output tokens.
    """

    duration: Histogram
    told: bool
    calls: int = 0
    noted: list[tuple[int, int, int | None, int, int]] = field(default_factory=list)


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
            NS_PER_S,
        )
        self._firsts = Family(
            DURATION_BOUNDS_S,
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "Until a stream's first bytes",
            _CALL,
            NS_PER_S,
        )
        self._queue = Family(
            QUEUE_BOUNDS_S,
            "macroslow_queue_seconds",
            "Waiting for room at the provider",
            ("provider", "model"),
            NS_PER_S,
        )
        self._repeats: dict[Labels, int] = {}
        self._noted = 0

    def __call__(self, report: Report) -> None:
        """Count one call that is over."""
        under_way, ended = report.under_way, report.ended
        call, usage = under_way.call, ended.usage
        asked, operation = call.target.model, call.order.operation.name
        provider, model = asked.provider, asked.name
        line = self._lines.get((operation, provider, model)) or self._line(operation, provider, model)
        end = line.ends.get((ended.outcome, ended.status)) or self._end(line, ended)
        end.noted.append(
            (
                report.duration_ns,
                under_way.waited_ns,
                report.first_ns,
                usage.input_tokens,
                usage.output_tokens,
            )
        )
        self._noted += 1
        if self._noted >= MAX_NOTED:
            self.fold()
        if under_way.attempts > 1:
            for status in under_way.repeated:
                _count(self._repeats, (provider, _status_class(status)))

    def fold(self) -> None:
        """Have every call that was noted in the counts."""
        for line in self._lines.values():
            for end in line.ends.values():
                if end.noted:
                    _fold(line, end)
        self._noted = 0

    def _end(self, line: _Line, ended: Settlement) -> _End:
        duration = self._durations.at(*line.call, error_type(ended))
        told = ended.outcome is not CallOutcome.UNKNOWN
        return line.ends.setdefault((ended.outcome, ended.status), _End(duration, told))

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
        """The families of metrics, as they were at the last `fold`. Another thread may count on meanwhile."""
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


def _fold(line: _Line, end: _End) -> None:
    durations_ns, waits_ns, firsts_ns, inputs, outputs = zip(*end.noted, strict=True)
    end.calls += len(end.noted)
    end.noted.clear()
    end.duration.add(durations_ns)
    line.queue.add(waits_ns)
    line.first.add(each for each in firsts_ns if each is not None)
    if end.told:
        line.input.add(filter(None, inputs))
        line.output.add(filter(None, outputs))


def _status_class(status: int) -> str:
    return f"{status // 100}xx" if 100 <= status <= 599 else "none"


def _count(counts: dict[Labels, int], labels: Labels, more: int = 1) -> None:
    counts[labels] = counts.get(labels, 0) + more


def _family(name: str, text: str, labels: Sequence[str], counts: dict[Labels, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, count in list(counts.items()):
        family.add_metric(key, count)
    return family
