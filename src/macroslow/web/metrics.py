"""Counters for operators, in the Prometheus text format. No label takes a caller's free text.

Routes come from the table, status classes from five, reasons from error codes, and models from at
most MAX_MODELS names: whatever comes after is counted as "other", so a caller cannot fill memory.
"""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

MAX_MODELS: Final = 100
MAX_REASONS: Final = 100
OTHER: Final = "other"
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4.encode("ascii")
DURATION_BUCKETS_S: Final = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)


class Metrics:
    """One registry of our own: nothing that a library registers globally is shown."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "macroslow_requests",
            "Requests by route and class of status",
            ("route", "status"),
            registry=self._registry,
        )
        self._duration_s = Histogram(
            "macroslow_request_duration_seconds",
            "From the request's headers to the answer's end",
            registry=self._registry,
            buckets=DURATION_BUCKETS_S,
        )
        self._refusals = Counter(
            "macroslow_refusals", "Refused requests by reason", ("reason",), registry=self._registry
        )
        self._tokens = Counter(
            "macroslow_tokens",
            "Tokens by model and direction",
            ("model", "direction"),
            registry=self._registry,
        )
        self._usd_micros = Counter(
            "macroslow_usd_micros",
            "Millionths of a US dollar by model",
            ("model",),
            registry=self._registry,
        )
        self._in_flight_bytes = Gauge(
            "macroslow_body_bytes_in_flight", "Bytes of request bodies held now", registry=self._registry
        )
        self._by_route: dict[tuple[str, int], Counter] = {}
        self._by_reason: dict[str, Counter] = {}
        self._by_model: dict[str, tuple[Counter, Counter, Counter]] = {}

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

    def usage(self, model: str, input_tokens: int, output_tokens: int, usd_micros: int) -> None:
        """Count what one settled call used."""
        counters = self._by_model.get(model)
        if counters is None:
            label = model if len(self._by_model) < MAX_MODELS else OTHER
            counters = (
                self._tokens.labels(label, "input"),
                self._tokens.labels(label, "output"),
                self._usd_micros.labels(label),
            )
            if label is not OTHER:
                self._by_model[label] = counters
        for counter, amount in zip(counters, (input_tokens, output_tokens, usd_micros), strict=True):
            counter.inc(amount)

    def watch_body_bytes(self, held_bytes: Callable[[], float]) -> None:
        """Show what `held_bytes` returns, asked at each scrape."""
        self._in_flight_bytes.set_function(held_bytes)

    def text(self) -> bytes:
        """Everything, as a scraper reads it."""
        return generate_latest(self._registry)
