"""Counters for operators, in the Prometheus text format. No label takes a caller's free text.

Routes come from the table, status classes are five, reasons are error codes, names of providers and
accounts the operator's. Of what grows with the configuration a bounded number is shown. Calls of models
are counted in `model_metrics`; limits and what the books know are read at each scrape.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from macroslow.limits.admission import LineReport
from macroslow.services.calls.gen_ai import Peer
from macroslow.services.spending.read_figures import Figures
from macroslow.web.book_metrics import BookMetrics
from macroslow.web.limit_metrics import LimitMetrics
from macroslow.web.model_metrics import OTHER, ModelMetrics

MAX_REASONS: Final = 100
MAX_LINES: Final = 500
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4.encode("ascii")
DURATION_BOUNDS_S: Final = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)


class Metrics(Collector):
    """Plain integers on the hot path; families of metrics only when somebody scrapes."""

    def __init__(
        self,
        alerts: Mapping[str, int] | None = None,
        lines: Callable[[], Sequence[LineReport]] = list,
        messages: Callable[[], Mapping[str, int]] = dict,
        spans: Callable[[], Mapping[str, int]] = dict,
        peers: Mapping[str, Peer] | None = None,
        upstreams: Collector | None = None,
    ) -> None:
        """`alerts` is how many were raised, by kind; `lines` how the providers' limits stand.

        `messages` and `spans` are what became of alerts and spans on their way out, by result; `peers`
        the providers as OpenTelemetry names them; `upstreams` counts calls to other MCP servers.
        """
        self._alerts = {} if alerts is None else alerts
        self._lines = lines
        self._messages = messages
        self._spans = spans
        self._requests: dict[tuple[str, int], int] = {}
        self._refusals: dict[str, int] = {}
        self._durations = [0] * (len(DURATION_BOUNDS_S) + 1)
        self._duration_sum_s = 0.0
        self._body_bytes: Callable[[], float] = float
        self._upstreams = [] if upstreams is None else [upstreams]
        self.model_call = ModelMetrics(peers)

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

    async def text(self, figures: Figures) -> bytes:
        """Everything, as a scraper reads it. The page is put together beside the loop."""
        self.model_call.fold()
        return await asyncio.to_thread(self._text, figures, self._lines()[:MAX_LINES])

    def _text(self, figures: Figures, lines: Sequence[LineReport]) -> bytes:
        registry = CollectorRegistry()
        for collector in (self, LimitMetrics(lines), self.model_call, BookMetrics(figures), *self._upstreams):
            registry.register(collector)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """The families of metrics, as they are now."""
        requests = CounterMetricFamily(
            "macroslow_requests", "Requests by route and class of status", labels=("route", "status")
        )
        for (route, status), count in self._by_class().items():
            requests.add_metric((route, status), count)
        refusals = CounterMetricFamily("macroslow_refusals", "Refused requests by reason", labels=("reason",))
        for reason, count in list(self._refusals.items()):
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
        yield _by(self._alerts, "macroslow_alerts", "Alerts raised, by kind", "kind")
        yield _by(self._messages(), "macroslow_alert_messages", "Alerts sent to webhooks", "result")
        yield _by(
            self._spans(), "macroslow_spans", "Spans for the collector, by what became of them", "result"
        )

    def _by_class(self) -> Mapping[tuple[str, str], int]:
        classes: dict[tuple[str, str], int] = {}
        for (route, status), count in list(self._requests.items()):
            key = (route, f"{status // 100}xx")
            classes[key] = classes.get(key, 0) + count
        return classes

    def _buckets(self) -> list[tuple[str, float]]:
        bounds = [*map(str, DURATION_BOUNDS_S), "+Inf"]
        return list(zip(bounds, accumulate(self._durations), strict=True))


def _by(counts: Mapping[str, int], name: str, text: str, label: str) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=(label,))
    for value, count in list(counts.items()):
        family.add_metric((value,), count)
    return family
