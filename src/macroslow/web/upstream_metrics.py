"""Counters about other MCP servers, by the operator's names for them; outcomes are codes of errors."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from macroslow.services.upstreams.call_server import Counts
from macroslow.services.upstreams.watched_server import WatchedServer

_SERVER: Final = ("server",)


class UpstreamMetrics(Collector):
    """What was called, what is offered and what waits, as it is at a scrape."""

    def __init__(self, servers: Mapping[str, WatchedServer], counts: Counts) -> None:
        self._servers = servers
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """The families of metrics, as they are now."""
        calls = CounterMetricFamily(
            "macroslow_mcp_server_calls", "Calls to other MCP servers", labels=("server", "outcome")
        )
        for (server, outcome), count in list(self._counts.calls.items()):
            calls.add_metric((server, outcome), count)
        hidden = CounterMetricFamily(
            "macroslow_mcp_hidden_characters", "Characters taken out of MCP servers' answers", labels=_SERVER
        )
        for server, count in list(self._counts.hidden.items()):
            hidden.add_metric((server,), count)
        items = GaugeMetricFamily(
            "macroslow_mcp_server_items", "Items of MCP servers by how they stand", labels=("server", "state")
        )
        for name, watched in self._servers.items():
            for state, count in Counter(one.state.value for one in watched.standings).items():
                items.add_metric((name, state), count)
        yield calls
        yield hidden
        yield items
