"""Counters for operators, in the Prometheus text format. No label takes a caller's free text.

Calls of models are counted under OpenTelemetry's names for generative AI (`gen_ai.…`, dots written as
underscores), with the names of the catalogue and the configuration as attributes: their number is
bounded by what the operator wrote.

Routes come from the table, status classes are five, reasons are error codes. What models used is
read from the ledger at each scrape: it includes streams and runs, costs the hot path nothing, and
goes on counting over a restart. At most MAX_MODELS names are shown; the rest is "other".
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from macroslow.limits.admission import LineReport
from macroslow.metering.ledger import UsageRow
from macroslow.web.model_metrics import ModelMetrics

MAX_MODELS: Final = 100
MAX_REASONS: Final = 100
OTHER: Final = "other"
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4.encode("ascii")
DURATION_BOUNDS_S: Final = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)


class Metrics(Collector):
    """Plain integers on the hot path; families of metrics only when somebody scrapes."""

    def __init__(
        self, alerts: Mapping[str, int] | None = None, lines: Callable[[], Sequence[LineReport]] = list
    ) -> None:
        """`alerts` is how many were raised, by kind; `lines` how the providers' limits stand."""
        self._alerts = {} if alerts is None else alerts
        self._lines = lines
        self._requests: dict[tuple[str, int], int] = {}
        self._refusals: dict[str, int] = {}
        self._durations = [0] * (len(DURATION_BOUNDS_S) + 1)
        self._duration_sum_s = 0.0
        self._body_bytes: Callable[[], float] = float
        self.model_call = ModelMetrics()

    def request(self, route: str, status: int, duration_s: float) -> None:
        """Count one answered request; `route` is a path template of the table, or "none"."""
        key = (route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        self._durations[bisect_left(DURATION_BOUNDS_S, duration_s)] += 1
        self._duration_sum_s += duration_s

    def refusal(self, reason: str) -> None:
        """Count one refusal; `reason` is an error's code or a Refusal."""
        if reason not in self._refusals and len(self._refusals) >= MAX_REASONS:
            reason = OTHER
        self._refusals[reason] = self._refusals.get(reason, 0) + 1

    def watch_body_bytes(self, held_bytes: Callable[[], float]) -> None:
        """Show what `held_bytes` returns, asked at each scrape."""
        self._body_bytes = held_bytes

    def text(self, usage_by_model: Sequence[UsageRow]) -> bytes:
        """Everything, as a scraper reads it."""
        registry = CollectorRegistry()
        registry.register(self)
        registry.register(self.model_call)
        registry.register(_Usage(usage_by_model))
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """The families of metrics, as they are now."""
        requests = CounterMetricFamily(
            "macroslow_requests", "Requests by route and class of status", labels=("route", "status")
        )
        for (route, status), count in self._by_class().items():
            requests.add_metric((route, status), count)
        refusals = CounterMetricFamily("macroslow_refusals", "Refused requests by reason", labels=("reason",))
        for reason, count in self._refusals.items():
            refusals.add_metric((reason,), count)
        yield requests
        yield refusals
        yield HistogramMetricFamily(
            "macroslow_request_duration_seconds",
            "From the request's headers to the answer's end",
            buckets=self._buckets(),
            sum_value=self._duration_sum_s,
        )
        yield GaugeMetricFamily(
            "macroslow_body_bytes_in_flight", "Bytes of request bodies held now", self._body_bytes()
        )

        yield from self._governor()

    def _governor(self) -> Iterator[Metric]:
        """Alerts, and each account's limits as they stand."""
        alerts = CounterMetricFamily("macroslow_alerts", "Alerts raised, by kind", labels=("kind",))
        for kind, count in self._alerts.items():
            alerts.add_metric((kind,), count)
        of_line = ("provider", "model", "account")
        waiting = GaugeMetricFamily("macroslow_waiting_calls", "Calls in the queue", labels=of_line[:2])
        resting = GaugeMetricFamily(
            "macroslow_account_resting", "1: its circuit breaker is not closed", labels=of_line
        )
        remaining = GaugeMetricFamily(
            "macroslow_provider_limit_remaining", "What a limit has left", labels=(*of_line, "limit")
        )
        lines = self._lines()
        for model, count in {(line.provider, line.model): line.waiting for line in lines}.items():
            waiting.add_metric(model, count)
        for line in lines:
            where = (line.provider, line.model, line.account)
            resting.add_metric(where, float(line.breaker != "closed"))
            for limit in line.limits:
                remaining.add_metric((*where, limit.name), limit.remaining)
        yield from (alerts, waiting, resting, remaining)

    def _by_class(self) -> Mapping[tuple[str, str], int]:
        classes: dict[tuple[str, str], int] = {}
        for (route, status), count in self._requests.items():
            key = (route, f"{status // 100}xx")
            classes[key] = classes.get(key, 0) + count
        return classes

    def _buckets(self) -> list[tuple[str, float]]:
        bounds = [*map(str, DURATION_BOUNDS_S), "+Inf"]
        return list(zip(bounds, accumulate(self._durations), strict=True))


class _Usage(Collector):
    """The ledger's rows as counters."""

    def __init__(self, rows: Sequence[UsageRow]) -> None:
        self._rows = sorted(rows, key=lambda row: row.usd_micros, reverse=True)

    def collect(self) -> Iterator[CounterMetricFamily]:
        tokens = CounterMetricFamily(
            "macroslow_model_tokens", "Tokens by model and direction", labels=("model", "direction")
        )
        calls = CounterMetricFamily("macroslow_model_calls", "Calls by model", labels=("model",))
        cost = CounterMetricFamily(
            "macroslow_model_usd_micros", "Millionths of a US dollar by model", labels=("model",)
        )
        for model, rows in _named(self._rows):
            calls.add_metric((model,), sum(row.calls for row in rows))
            tokens.add_metric((model, "input"), sum(row.input_tokens for row in rows))
            tokens.add_metric((model, "output"), sum(row.output_tokens for row in rows))
            cost.add_metric((model,), sum(row.usd_micros for row in rows))
        yield from (calls, tokens, cost)


def _named(rows: Sequence[UsageRow]) -> Iterable[tuple[str, Sequence[UsageRow]]]:
    yield from ((row.key, (row,)) for row in rows[:MAX_MODELS])
    if rest := rows[MAX_MODELS:]:
        yield OTHER, rest
