"""The official MCP client, unmodified, against a real gateway, in both of its eras."""

import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from tests.e2e.conftest import Site, wait_until
from tests.e2e.documents import document

from macroslow.mcp.catalogue import TOOLS
from macroslow.mcp.tools.images import IMAGE_TOOLS

DOCS = Path(__file__).parents[3] / "docs"
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
async def test_mcp_calls_the_tools(gateway, key, era):
    async with mcp_client(gateway, key, era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {tool.name for tool in TOOLS if tool not in IMAGE_TOOLS}  # none is configured
        assert tools["validate_document"].annotations.read_only_hint

        async def called(name, **arguments):
            answer = await client.call_tool(name, arguments)
            assert not answer.is_error, answer.content[0].text
            assert json.loads(answer.content[0].text) == answer.structured_content
            return answer.structured_content

        ran = await called("run_document", document=RESULT)
        assert (ran["status"], ran["result"]) == ("success", {"answer": 42})
        assert (await called("validate_document", document=RESULT))["valid"]
        assert (await called("verify_document", document=RESULT))["status"] == "unsigned"
        assert ran["run_id"] in {run["run_id"] for run in (await called("list_runs"))["runs"]}
        assert (await called("get_run", run_id=ran["run_id"]))["state"] == "success"
        kept = (await called("get_run_result", run_id=ran["run_id"]))["answer"]
        assert kept["result"] == {"answer": 42}
        assert (await client.call_tool("cancel_run", {"run_id": ran["run_id"]})).is_error
        asked = {"model": "gpt-4o-mini", "messages": ASKED}
        assert (await called("count_tokens", **asked))["input_tokens"] > 0
        chat = await called("complete_chat", **asked)
        assert chat["choices"][0]["message"]["content"] == "forty-two"
        assert chat["usd_micros"] > 0
        assert "gpt-4o-mini" in {model["id"] for model in (await called("list_models"))["models"]}
        usage = await called("usage")
        assert (usage["principal"], usage["usd_micros"] > 0) == ("ada", True)
        proved = await called("prove_entry", log_index=chat["log_index"])
        assert (await called("verify_receipt", receipt=proved["receipt"]))["verified"]
        told = await called("verify_receipt", receipt=ran, document=RESULT)
        assert (told["verified"], told["checked"]) == (True, ["answer", "document"])
        assert (await client.call_tool("get_receipt", {"request_id": "nobody-s"})).is_error


@pytest.mark.parametrize("era", ERAS)
async def test_mcp_has_resources_and_prompts(gateway, key, era):
    async with mcp_client(gateway, key, era) as client:
        ran = (await client.call_tool("run_document", {"document": RESULT})).structured_content
        document = await client.read_resource(f"macroslow://runs/{ran['run_id']}/document")
        assert document.contents[0].text == RESULT
        reference = (await client.read_resource("macroslow://reference/maml")).contents[0].text
        assert reference == (DOCS / "reference/maml.md").read_text()
        listed = {str(each.uri) for each in (await client.list_resources()).resources}
        assert "macroslow://log/checkpoint" not in listed  # the key may not read the log
        with pytest.raises(MCPError) as unknown:
            await client.read_resource("macroslow://log/checkpoint")
        assert unknown.value.error.code == -32602
        prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
        assert prompts == {"write_workflow", "review_permissions", "explain_refusal"}
        filled = await client.get_prompt("review_permissions", {"document": RESULT})
        assert RESULT in filled.messages[0].content.text


@pytest.mark.parametrize("era", ERAS)
async def test_mcp_tells_how_far_a_run_is(gateway, key, era):
    told = []

    async def hear(done, total, words):
        told.append((done, total, words))

    async with mcp_client(gateway, key, era) as client:
        ran = await client.call_tool("run_document", {"document": RESULT}, progress_callback=hear)
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert ran.structured_content["run_id"] in told[1][2]


@pytest.mark.parametrize("era", ERAS)
async def test_mcp_lists_what_a_key_may_call_and_others_are_refused_or_unknown(gateway, era):
    narrow = gateway.client("narrow", scopes=["mcp:connect", "documents:validate"])
    async with mcp_client(gateway, narrow, era) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        assert listed == {"validate_document", "verify_document", "get_receipt", "verify_receipt"}
        with pytest.raises(MCPError, match="lacks the scope inference:chat"):
            await client.call_tool("complete_chat", {"model": "gpt-4o-mini", "messages": ASKED})
        with pytest.raises(MCPError) as unknown:
            await client.call_tool("no_such_tool", {})
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


WAITS = document("import time\ntime.sleep(120)\nresult = 1").decode()
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def call_of(name: str, arguments: dict, version: str, meta: dict) -> tuple[bytes, dict[str, str]]:
    """Body and headers of one call of a tool, as a client of that version sends it."""
    modern = version not in ("2025-11-25", "2025-03-26")
    params = {"name": name, "arguments": arguments, "_meta": {**(META if modern else {}), **meta}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    routing = {"mcp-method": "tools/call", "mcp-name": name} if modern else {}
    sent = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    return body, sent | routing | {"mcp-protocol-version": version}


@pytest.mark.parametrize("meta", [{}, {"progressToken": 7}], ids=["plain", "progress"])
@pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25"])
def test_n14_who_closes_the_stream_stops_the_run(gateway, version, meta):
    mine = gateway.client(f"hangs-{version}-{len(meta)}")
    body, headers = call_of("run_document", {"document": WAITS}, version, meta)

    def state() -> str:
        runs = gateway.call("GET", "/runs", headers={"x-api-key": mine}).json["runs"]
        return runs[0]["state"] if runs else ""

    host, port = gateway.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    connection.request("POST", "/mcp", body, headers | {"x-api-key": mine})
    wait_until(lambda: state() == "running")
    connection.close()
    wait_until(lambda: state() == "cancelled")


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
