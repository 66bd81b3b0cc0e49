"""The official OpenAI and MCP clients, unmodified, against a real gateway."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import openai
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from tests.e2e.conftest import Site
from tests.e2e.documents import document

ASKED = [{"role": "user", "content": "Answer with exactly: forty-two"}]
RESULT = document("print('out')\nresult = {'answer': 42}").decode()
ERAS = ["auto", "legacy"]


@pytest.fixture(scope="module")
def key(site: Site) -> str:
    return site.client("ada", budget_usd_micros=5_000_000)


def sdk(site: Site, key: str) -> openai.OpenAI:
    return openai.OpenAI(api_key=key, base_url=site.url + "/v1", max_retries=0)


def test_openai_completes_a_chat_and_is_told_its_cost(site, key):
    with sdk(site, key) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o-mini", messages=ASKED, max_tokens=20
        )
    answer = raw.parse()
    assert answer.choices[0].message.content == "forty-two"
    assert answer.usage.total_tokens > 0
    assert float(raw.headers["x-macroslow-cost-usd"]) > 0
    assert raw.headers["x-macroslow-emulator"] == "true"


@pytest.mark.parametrize("wants_usage", [False, True])
def test_openai_streams_and_gets_a_usage_chunk_only_if_it_asked(site, key, wants_usage):
    more = {"stream_options": {"include_usage": True}} if wants_usage else {}
    with sdk(site, key) as client:
        chunks = [*client.chat.completions.create(model="gpt-4o", messages=ASKED, stream=True, **more)]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == "forty-two"
    assert bool(chunks[-1].usage) is wants_usage
    assert all(chunk.choices for chunk in chunks) is not wants_usage


def test_openai_lists_the_models_that_are_served(site, key):
    with sdk(site, key) as client:
        assert {"gpt-4o", "gpt-4o-mini"} <= {model.id for model in client.models.list()}


async def test_openai_streams_asynchronously(site, key):
    async with openai.AsyncOpenAI(api_key=key, base_url=site.url + "/v1", max_retries=0) as client:
        stream = await client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True)
        said = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(said) == "forty-two"


def test_openai_raises_its_own_exception_for_every_refusal(site, key):
    cases: list[tuple[str, dict[str, Any], type[openai.APIStatusError], str]] = [
        ("msk_wrong", {}, openai.AuthenticationError, "unauthorized"),
        (site.client("no-chat", scopes=["runs:read"]), {}, openai.PermissionDeniedError, "missing-scope"),
        (key, {"model": "gpt-99"}, openai.NotFoundError, "not-found"),
        (key, {"max_tokens": 10**6}, openai.BadRequestError, "invalid-model-request"),
        (key, {"extra_body": {"unheard_of": 1}}, openai.BadRequestError, "invalid-model-request"),
        (site.client("poor", budget_usd_micros=2), {}, openai.APIStatusError, "budget-exhausted"),
    ]
    for used, more, exception, code in cases:
        with sdk(site, used) as client, pytest.raises(exception) as caught:
            client.chat.completions.create(**{"model": "gpt-4o-mini", "messages": ASKED} | more)
        assert caught.value.code == code
        assert caught.value.request_id
    hurried = site.client("hurried", requests_per_minute=1)
    with sdk(site, hurried) as client:
        client.models.list()
        with pytest.raises(openai.RateLimitError):
            client.models.list()


@asynccontextmanager
async def mcp_client(site: Site, key: str, era: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"x-api-key": key}, timeout=60) as http,
        Client(streamable_http_client(site.url + "/mcp", http_client=http), mode=era) as client,
    ):
        yield client


@pytest.mark.parametrize("era", ERAS)
async def test_mcp_calls_all_four_tools(site, key, era):
    async with mcp_client(site, key, era) as client:
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
async def test_mcp_hides_tools_without_scope_and_they_are_unknown(site, era):
    narrow = site.client("narrow", scopes=["mcp:connect", "documents:validate"])
    async with mcp_client(site, narrow, era) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["validate_document"]
        with pytest.raises(MCPError) as hidden:
            await client.call_tool("complete_chat", {"model": "gpt-4o-mini", "messages": ASKED})
        with pytest.raises(MCPError) as unknown:
            await client.call_tool("no_such_tool", {})
    assert hidden.value.error.code == unknown.value.error.code == -32602
    assert "unknown tool" in hidden.value.error.message


@pytest.mark.parametrize("era", ERAS)
async def test_mcp_tells_a_model_what_to_mend(site, key, era):
    async with mcp_client(site, key, era) as client:
        bad = await client.call_tool("run_document", {"document": 1, "surprise": True})
        typeless = RESULT.replace("type: workflow", "")
        broken = await client.call_tool("validate_document", {"document": typeless})
    assert bad.is_error
    assert "/document" in bad.content[0].text
    assert "surprise" in bad.content[0].text
    assert broken.is_error or not broken.structured_content["valid"]
    assert "type" in broken.content[0].text


def test_mcp_is_behind_the_same_gate(site, key):
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
        answer = site.call("POST", "/mcp", listing, headers)
        assert answer.status == status
        assert answer.json["error"]["code"] == -32600
        assert answer.json["error"]["data"]["request_id"]
    assert site.call("GET", "/mcp", headers=known).status == 405
