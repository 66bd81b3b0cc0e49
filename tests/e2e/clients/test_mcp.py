"""The official MCP client, unmodified, against a real gateway, in both of its eras."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from tests.e2e.conftest import Site
from tests.e2e.documents import document

ASKED = [{"role": "user", "content": "Answer with exactly: forty-two"}]
RESULT = document("print('out')\nresult = {'answer': 42}").decode()
ERAS = ["auto", "legacy"]


@asynccontextmanager
async def mcp_client(gateway: Site, key: str, era: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"x-api-key": key}, timeout=60) as http,
        Client(streamable_http_client(gateway.url + "/mcp", http_client=http), mode=era) as client,
    ):
        yield client


@pytest.mark.parametrize("era", ERAS)
async def test_mcp_calls_all_four_tools(gateway, key, era):
    async with mcp_client(gateway, key, era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"run_document", "validate_document", "complete_chat", "usage"}
        assert tools["validate_document"].annotations.read_only_hint
        ran = await client.call_tool("run_document", {"document": RESULT})
        valid = await client.call_tool("validate_document", {"document": RESULT})
        chat = await client.call_tool("complete_chat", {"model": "gpt-4o-mini", "messages": ASKED})
        usage = await client.call_tool("usage", {"by": "principal"})
    assert not any(answer.is_error for answer in (ran, valid, chat, usage))
    assert ran.structured_content["status"] == "success"
    assert ran.structured_content["result"] == {"answer": 42}
    assert ran.structured_content["receipt"]
    assert json.loads(ran.content[0].text) == ran.structured_content
    assert valid.structured_content["valid"]
    assert chat.structured_content["choices"][0]["message"]["content"] == "forty-two"
    assert chat.structured_content["usd_micros"] > 0
    (row,) = usage.structured_content["rows"]
    assert row["key"] == "ada"
    assert row["usd_micros"] > 0


@pytest.mark.parametrize("era", ERAS)
async def test_mcp_lists_what_a_key_may_call_and_others_are_refused_or_unknown(gateway, era):
    narrow = gateway.client("narrow", scopes=["mcp:connect", "documents:validate"])
    async with mcp_client(gateway, narrow, era) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["validate_document"]
        refused = await client.call_tool("complete_chat", {"model": "gpt-4o-mini", "messages": ASKED})
        with pytest.raises(MCPError) as unknown:
            await client.call_tool("no_such_tool", {})
    assert refused.is_error
    assert "inference:chat" in refused.content[0].text
    assert unknown.value.error.code == -32602
    assert "unknown tool" in unknown.value.error.message


@pytest.mark.parametrize("era", ERAS)
async def test_mcp_tells_a_model_what_to_mend(gateway, key, era):
    async with mcp_client(gateway, key, era) as client:
        bad = await client.call_tool("run_document", {"document": 1, "surprise": True})
        typeless = RESULT.replace("type: workflow", "")
        broken = await client.call_tool("validate_document", {"document": typeless})
    assert bad.is_error
    assert "/document" in bad.content[0].text
    assert "surprise" in bad.content[0].text
    assert broken.is_error or not broken.structured_content["valid"]
    assert "type" in broken.content[0].text


def test_mcp_is_behind_the_same_gate(gateway, key):
    listing = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}).encode()
    sent = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    known = sent | {"x-api-key": key}
    cases = [
        (sent, 401),
        (sent | {"x-api-key": "msk_wrong"}, 401),
        (known | {"origin": "https://evil.example"}, 403),
        (known | {"host": "evil.example"}, 403),
        (known | {"content-type": "text/plain"}, 415),
    ]
    for headers, status in cases:
        answer = gateway.call("POST", "/mcp", listing, headers)
        assert answer.status == status
        assert answer.json["error"]["code"] == -32600
        assert answer.json["error"]["data"]["request_id"]
    assert gateway.call("GET", "/mcp", headers=known).status == 405
