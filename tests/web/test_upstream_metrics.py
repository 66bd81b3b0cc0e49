"""What is counted about other MCP servers; no label takes anybody's free text."""

import mcp_types as types
from prometheus_client import CollectorRegistry, generate_latest
from tests.services.upstreams.fake_server import FakeServer, Servers, caller

from macroslow.web.upstream_metrics import UpstreamMetrics


async def test_calls_items_and_hidden_characters_are_counted_by_server() -> None:
    house = await Servers(s=FakeServer()).approved()
    house.ports["s"].answer = {"content": [{"type": "text", "text": "a\u200b"}]}
    params = types.CallToolRequestParams(name="s__say", arguments={})
    await house.source.call_tool(caller("mcp:s"), params)
    house.ports["s"].tools = ()
    registry = CollectorRegistry()
    registry.register(UpstreamMetrics(house.watched, house.call.counts))
    text = generate_latest(registry).decode()
    assert 'macroslow_mcp_server_calls_total{outcome="ok",server="s"} 1.0' in text
    assert 'macroslow_mcp_hidden_characters_total{server="s"} 1.0' in text
    assert 'macroslow_mcp_server_items{server="s",state="approved"} 3.0' in text
