"""How the providers' limits stand, account by account, as metrics."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from macroslow.limits.admission import LineReport


class LimitMetrics(Collector):
    """One look at every account of every model that was asked for."""

    def __init__(self, lines: Sequence[LineReport]) -> None:
        self._lines = lines

    def collect(self) -> Iterator[Metric]:
        """The families of metrics."""
        of_line = ("provider", "model", "account")
        waiting = GaugeMetricFamily("macroslow_waiting_calls", "Calls in the queue", labels=of_line[:2])
        under_way = GaugeMetricFamily("macroslow_calls_under_way", "Calls at the provider", labels=of_line)
        resting = GaugeMetricFamily(
            "macroslow_account_resting", "1: its circuit breaker is not closed", labels=of_line
        )
        held = GaugeMetricFamily(
            "macroslow_account_held_seconds",
            "How long its provider wants no calls",
            labels=of_line,
        )
        remaining = GaugeMetricFamily(
            "macroslow_provider_limit_remaining", "What a limit has left", labels=(*of_line, "limit")
        )
        most = GaugeMetricFamily("macroslow_provider_limit", "A limit", labels=(*of_line, "limit"))
        for model, count in {(line.provider, line.model): line.waiting for line in self._lines}.items():
            waiting.add_metric(model, count)
        for line in self._lines:
            where = (line.provider, line.model, line.account)
            under_way.add_metric(where, line.in_flight)
            resting.add_metric(where, float(line.breaker != "closed"))
            held.add_metric(where, line.held_s)
            for limit in line.limits:
                remaining.add_metric((*where, limit.name), limit.remaining)
                most.add_metric((*where, limit.name), limit.limit)
        yield from (waiting, under_way, resting, held, remaining, most)
