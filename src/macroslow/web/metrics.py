"""Counters for operators, in the Prometheus text format. No label takes a caller's free text.

Routes come from the table, status classes are five, reasons are error codes. What models used is
read from the ledger at each scrape: it includes streams and runs, costs the hot path nothing, and
goes on counting over a restart. At most MAX_MODELS names are shown; the rest is "other".
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from macroslow.metering.ledger import UsageRow

MAX_MODELS: Final = 100
MAX_REASONS: Final = 100
OTHER: Final = "other"
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4.encode("ascii")
DURATION_BUCKETS_S: Final = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)


class Metrics:
    """One registry of our own: nothing that a library registers globally is shown."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        self._requests = Counter(
            "macroslow_requests", "Requests by route and class of status", ("route", "status"), registry=own
        )
        self._duration_s = Histogram(
            "macroslow_request_duration_seconds",
            "From the request's headers to the answer's end",
            registry=own,
            buckets=DURATION_BUCKETS_S,
        )
        self._refusals = Counter(
            "macroslow_refusals", "Refused requests by reason", ("reason",), registry=own
        )
        self._body_bytes = Gauge(
            "macroslow_body_bytes_in_flight", "Bytes of request bodies held now", registry=own
        )
        self._by_route: dict[tuple[str, int], Counter] = {}
        self._by_reason: dict[str, Counter] = {}

    def request(self, route: str, status: int, duration_s: float) -> None:
        """Count one answered request; `route` is a path template of the table, or "none"."""
        counter = self._by_route.get((route, status))
        if counter is None:
            counter = self._requests.labels(route, f"{status // 100}xx")
            self._by_route[route, status] = counter
        counter.inc()
        self._duration_s.observe(duration_s)

    def refusal(self, reason: str) -> None:
        """Count one refusal; `reason` is an error's code or a Refusal."""
        if reason not in self._by_reason:
            if len(self._by_reason) >= MAX_REASONS:
                reason = OTHER
            self._by_reason[reason] = self._refusals.labels(reason)
        self._by_reason[reason].inc()

    def watch_body_bytes(self, held_bytes: Callable[[], float]) -> None:
        """Show what `held_bytes` returns, asked at each scrape."""
        self._body_bytes.set_function(held_bytes)

    def text(self, usage_by_model: Sequence[UsageRow]) -> bytes:
        """Everything, as a scraper reads it."""
        models = CollectorRegistry()
        models.register(_Usage(usage_by_model))
        return generate_latest(self._registry) + generate_latest(models)


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
