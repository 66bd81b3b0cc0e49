"""Results of other servers: nothing in them passes for ours; the log has the digest of what a client got."""

import hashlib
import json
from typing import Any

import mcp_types as types
import pytest
from tests.services.upstreams.fake_server import FakeServer, Servers, caller, principal, wanting

from macroslow.errors import BadRequestError, UpstreamUnavailableError
from macroslow.tlog.event import EventType

OURS = "macroslow://runs/01ABC"
UNDER_IT = "macroslow://servers/s/macroslow%3A%2F%2Fruns%2F01ABC"
LINK = {"type": "resource_link", "name": "r", "uri": OURS, "icons": [{"src": "https://evil.example/1.png"}]}
EMBEDDED = {"type": "resource", "resource": {"uri": OURS, "text": "forged", "_meta": {"a": 1}}, "_meta": {}}
TEXT = {"type": "text", "text": "x", "_meta": {"a": "b"}}
PROMPT = types.GetPromptRequestParams(name="s__hi")


async def house_of(answer: Any) -> Servers:
    port = FakeServer()
    port.prompts = ({"name": "hi"},)
    port.resources = ({"uri": "file:///a", "name": "a"},)
    port.templates = ({"uriTemplate": "file:///t/{name}", "name": "t"},)
    house = await Servers(s=port).approved()
    port.answer = answer
    return house


def written(result: Any) -> Any:
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def test_a_tool_passes_off_nothing_as_ours_and_hands_on_nothing_unseen() -> None:
    house = await house_of({"content": [LINK, EMBEDDED, TEXT], "structuredContent": {}})
    found = written(await house.source.call_tool(caller("mcp:s"), wanting("s__say")))
    assert found["content"] == [
        {"type": "resource_link", "name": "r", "uri": UNDER_IT},
        {"type": "resource", "resource": {"uri": UNDER_IT, "text": "forged"}},
        {"type": "text", "text": "x"},
    ]


@pytest.mark.parametrize("part", [LINK, EMBEDDED, TEXT], ids=["link", "embedded", "text"])
async def test_neither_does_a_prompt(part: dict[str, Any]) -> None:
    house = await house_of({"messages": [{"role": "user", "content": part, "_meta": {"a": 1}}]})
    found = json.dumps(written(await house.source.get_prompt(caller("mcp:s"), PROMPT)))
    assert OURS not in found
    assert "_meta" not in found
    assert "evil.example" not in found


async def test_what_is_read_has_the_name_that_was_asked_for_and_nothing_unseen() -> None:
    house = await house_of({"contents": [{"uri": OURS, "text": "x", "_meta": {"a": 1}}]})
    uri = "macroslow://servers/s/file%3A%2F%2F%2Fa"
    found = await house.source.read_resource(caller("mcp:s"), types.ReadResourceRequestParams(uri=uri))
    assert written(found)["contents"] == [{"uri": uri, "text": "x"}]


@pytest.mark.parametrize(
    "answer",
    [{"messages": [{"role": "user", "content": "x"}]}, {"messages": ["x"]}, {"messages": {}}, {}],
    ids=range(4),
)
async def test_a_prompt_that_is_none_is_refused_and_logged_as_refused(answer: Any) -> None:
    house = await house_of(answer)
    with pytest.raises(UpstreamUnavailableError, match="none"):
        await house.source.get_prompt(caller("mcp:s"), PROMPT)
    (entry,) = await house.events(EventType.MCP_FORWARDED)
    assert (entry["outcome"], entry["result_sha256"]) == ("upstream-unavailable", None)


async def test_the_log_has_the_digest_of_what_the_client_got() -> None:
    house = await house_of({"content": [LINK, TEXT], "structuredContent": {}, "resultType": "complete"})
    found = written(await house.source.call_tool(caller("mcp:s"), wanting("s__say")))
    kept = {name: found[name] for name in found if name not in {"_meta", "resultType", "ttlMs", "cacheScope"}}
    exact = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    (entry,) = await house.events(EventType.MCP_FORWARDED)
    assert entry["result_sha256"] == hashlib.sha256(exact).hexdigest()


async def test_a_resource_of_a_template_is_logged_as_such() -> None:
    house = await house_of({"contents": []})
    uri = "macroslow://servers/s/file%3A%2F%2F%2Ft%2Fx"
    await house.source.read_resource(caller("mcp:s"), types.ReadResourceRequestParams(uri=uri))
    (entry,) = await house.events(EventType.MCP_FORWARDED)
    assert (entry["kind"], entry["outcome"]) == ("template", "ok")


@pytest.mark.parametrize("number", [2**64, -(2**70)])
async def test_a_number_that_cannot_be_sent_is_refused_before_anything_is_sent(number: int) -> None:
    house = await house_of({"content": []})
    with pytest.raises(BadRequestError, match="64 bits"):
        await house.source.call_tool(caller("mcp:s"), wanting("s__say", n=number))
    assert house.ports["s"].asked == []
    assert await house.events(EventType.MCP_FORWARDED) == []


async def test_headers_that_a_tool_asks_for_are_told_to_nobody() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "x-mcp-header": "Tenant"},
            "x-mcp-header": {"type": "string"},
        },
    }
    house = await Servers(s=FakeServer({"name": "t", "inputSchema": schema})).approved()
    (shown,) = await house.source.tools(principal("mcp:s"))
    assert shown.input_schema["properties"] == {"a": {"type": "string"}, "x-mcp-header": {"type": "string"}}
    assert house.source.input_schema("s__t") is None
