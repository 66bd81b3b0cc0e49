"""Messages: the documented sequence of events, tools, errors in the service's shape, and bad input."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.asking import (
    CLAUDE,
    KEY,
    VERSION,
    Reply,
    call,
    events_of,
    message,
    message_body,
)
from tests.machine import SetClock

from macroslow.emulator import Emulator, create_emulator, parse_limits
from macroslow.emulator.exchange import MAX_BODY_BYTES

APP = create_emulator()
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
CALL = 'Call the tool look with {"at": "the sky"}'
HEADERS = {"x-api-key": KEY, "anthropic-version": VERSION}


async def post(body: bytes, headers: dict[str, str] = HEADERS, path: str = "/v1/messages") -> Reply:
    return await call(APP, body, path=path, headers=headers)


def names(body: bytes) -> list[str]:
    return [
        line.removeprefix(b"event: ").decode() for line in body.splitlines() if line.startswith(b"event: ")
    ]


async def test_a_plain_message_is_what_was_asked_for(app: Emulator) -> None:
    reply = await message(app, "Answer with exactly: blue sky", system="Be exact.")
    body = reply.json()
    assert body["id"].startswith("msg_01")
    assert (body["type"], body["role"], body["model"]) == ("message", "assistant", CLAUDE)
    assert body["content"] == [{"type": "text", "text": "blue sky"}]
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    # A thousand tokens of the vocabulary that is counted in are 1,200 of these models.
    assert body["usage"] == {
        "input_tokens": -(-(2 * 4 + 3 + 3 + 6) * 12 // 10),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 3,
        "service_tier": "standard",
    }
    assert reply.headers["request-id"].startswith("req_")
    assert reply.headers["x-macroslow-emulator"] == "1"
    assert not [name for name in reply.headers if name.startswith("openai")]


async def test_a_stream_is_the_documented_sequence(app: Emulator) -> None:
    reply = await message(app, "Answer with exactly: one two", stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert names(reply.body) == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    events = events_of(reply.body)
    assert [event["type"] for event in events] == names(reply.body)
    whole = (await message(app, "Answer with exactly: one two")).json()
    started = events[0]["message"]
    assert (started["content"], started["stop_reason"]) == ([], None)
    assert started["usage"] == whole["usage"] | {"output_tokens": 1}
    assert events[1]["content_block"] == {"type": "text", "text": ""}
    assert [event["delta"]["text"] for event in events[3:5]] == ["one", " two"]
    assert events[6]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert events[6]["usage"] == whole["usage"]


async def test_a_streamed_call_brings_its_input_in_pieces(app: Emulator) -> None:
    reply = await message(app, CALL, tools=[TOOL], stream=True)
    events = events_of(reply.body)
    block = events[1]["content_block"]
    assert (block["type"], block["name"], block["input"]) == ("tool_use", "look", {})
    pieces = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
    assert pieces[0] == ""
    assert orjson.loads("".join(pieces)) == {"at": "the sky"}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


async def test_a_call_its_result_and_the_answer_are_one_conversation(app: Emulator) -> None:
    first = (await message(app, CALL, tools=[TOOL])).json()
    (block,) = first["content"]
    assert (block["type"], block["input"], first["stop_reason"]) == (
        "tool_use",
        {"at": "the sky"},
        "tool_use",
    )
    result = {
        "type": "tool_result",
        "tool_use_id": block["id"],
        "content": [{"type": "text", "text": "blue"}],
    }
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
    messages = [
        {"role": "user", "content": CALL},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "I look."}, block]},
        {"role": "user", "content": [result]},
    ]
    second = (await message(app, messages=messages, tools=[TOOL])).json()
    assert (second["stop_reason"], second["content"][0]["type"]) == ("end_turn", "text")
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"]


@pytest.mark.parametrize(
    ("choice", "kind"),
    [
        ({"type": "any"}, "tool_use"),
        ({"type": "tool", "name": "look"}, "tool_use"),
        ({"type": "none"}, "text"),
    ],
)
async def test_a_tool_is_called_if_it_has_to_be_or_not_if_it_may_not(
    app: Emulator, choice: dict[str, str], kind: str
) -> None:
    body = (await message(app, "Hello", tools=[TOOL], tool_choice=choice)).json()
    assert body["content"][0]["type"] == kind


async def test_the_maximum_and_a_stop_sequence_are_told_apart(app: Emulator) -> None:
    body = (await message(app, "Answer with 90 words", max_tokens=6)).json()
    assert (body["stop_reason"], body["usage"]["output_tokens"]) == ("max_tokens", 6)
    body = (await message(app, "Answer with exactly: a; b", stop_sequences=["x", ";"])).json()
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", ";")
    assert body["content"] == [{"type": "text", "text": "a"}]
    body = (await message(app, "Answer with exactly: a; b", stop_sequences=["a"])).json()
    assert body["content"] == []


async def test_tokens_are_counted_as_they_will_be_billed(app: Emulator) -> None:
    members = {"system": [{"type": "text", "text": "Be exact."}], "tools": [TOOL]}
    billed = (await message(app, CALL, **members)).json()["usage"]["input_tokens"]
    body = orjson.loads(message_body(CALL, **members))
    del body["max_tokens"]
    reply = await post(orjson.dumps(body), path="/v1/messages/count_tokens")
    assert reply.json() == {"input_tokens": billed}


async def test_what_clients_send_along_is_taken() -> None:
    members = {
        "metadata": {"user_id": "u"},
        "thinking": {"type": "adaptive"},
        "temperature": 0.5,
        "top_k": 3,
        "service_tier": "auto",
        "cache_control": {"type": "ephemeral"},
        "context_management": {"edits": []},
        "output_config": {"effort": "low"},
        "tools": [
            TOOL | {"type": "custom", "cache_control": {"type": "ephemeral"}},
            {"type": "bash_20250124", "name": "bash"},
        ],
    }
    document = {"type": "text", "media_type": "text/plain", "data": "A text."}
    messages = [
        {"role": "user", "content": [{"type": "document", "source": document}]},
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": "Hello"},
    ]
    assert (await post(message_body(**members, messages=messages))).status == 200


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 64_001}, "max_tokens: 64001 > 64000, which is the maximum allowed number"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": [{"role": "king", "content": ""}]}, "messages.0.role: Input should be 'user' or"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        (
            {"messages": [{"role": "user", "content": [{"type": "container_upload"}]}]},
            "messages.0.content.0.type: the emulator does not do blocks of type 'container_upload'",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]},
            "messages.0.content.0.source.type: the emulator does not do images of type 'file'",
        ),
        ({"temperature": 1.5}, "temperature: Input should be between 0 and 1"),
        ({"stop_sequences": [" "]}, "stop_sequences: each stop sequence must contain non-whitespace"),
        ({"tools": [{"type": "web_search_20250305", "name": "w"}]}, "tools.0.type: the emulator does not do"),
        ({"tool_choice": {"type": "any"}}, "tool_choice: may only be specified while providing tools"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}},
            "tool_choice.name: Tool 'x' not found",
        ),
        ({"mcp_servers": [{}]}, "mcp_servers: the emulator does not do MCP servers"),
        ({"n": 2}, "n: Extra inputs are not permitted"),
    ],
)
async def test_a_wrong_member_is_named(members: dict[str, object], words: str) -> None:
    reply = await post(message_body(**members))
    body = reply.json()
    assert (reply.status, body["type"], body["error"]["type"]) == (400, "error", "invalid_request_error")
    assert body["error"]["message"].startswith(words)
    assert body["request_id"] == reply.headers["request-id"]


@pytest.mark.parametrize(
    ("headers", "status", "kind", "words"),
    [
        ({"anthropic-version": VERSION}, 401, "authentication_error", "x-api-key header is required"),
        (HEADERS | {"x-api-key": "sk-ant-no"}, 401, "authentication_error", "invalid x-api-key"),
        ({"x-api-key": KEY}, 400, "invalid_request_error", "anthropic-version: header is required"),
        (
            HEADERS | {"anthropic-version": "2020-01-01"},
            400,
            "invalid_request_error",
            'anthropic-version: "2020-01-01" is not a valid version',
        ),
    ],
)
async def test_key_and_version_are_required(
    headers: dict[str, str], status: int, kind: str, words: str
) -> None:
    reply = await post(b"{", headers)
    assert (reply.status, reply.json()["error"]["type"], reply.json()["error"]["message"]) == (
        status,
        kind,
        words,
    )


async def test_a_key_may_come_as_a_bearer_token_and_the_newest_version_has_no_sampling() -> None:
    newest = {"authorization": f"Bearer {KEY}", "anthropic-version": "2026-10-21"}
    assert (await post(message_body(), newest)).status == 200
    reply = await post(message_body(temperature=0.5), newest)
    assert reply.json()["error"]["message"] == "temperature: Extra inputs are not permitted"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("GET", "/v1/messages", b"", 405, "invalid_request_error"),
        ("POST", "/v1/messages/batches", b"{}", 404, "not_found_error"),
        ("POST", "/v1/messages", message_body(model="claude-none"), 404, "not_found_error"),
        ("POST", "/v1/messages", message_body(model="gpt-4o"), 404, "not_found_error"),
        ("POST", "/v1/messages", b"[]", 400, "invalid_request_error"),
        ("POST", "/v1/messages", b"\xff", 400, "invalid_request_error"),
        ("POST", "/v1/messages", b" " * (MAX_BODY_BYTES + 1), 413, "request_too_large"),
        ("GET", "/v1/models/claude-none", b"", 404, "not_found_error"),
    ],
    ids=["method", "path", "model", "other-model", "array", "bytes", "size", "no-model"],
)
async def test_other_refusals_have_the_shape_of_the_service(
    method: str, path: str, body: bytes, status: int, kind: str
) -> None:
    reply = await call(APP, body, method=method, path=path, headers=HEADERS)
    assert (reply.status, reply.json()["error"]["type"]) == (status, kind)


async def test_more_than_the_context_is_told_with_its_numbers() -> None:
    reply = await post(message_body("a " * 180_000))
    assert "prompt is too long: " in reply.json()["error"]["message"]
    reply = await post(message_body("a " * 150_000, max_tokens=60_000))
    assert reply.json()["error"]["message"].startswith("input length and `max_tokens` exceed context limit: ")


async def test_models_have_the_shape_of_whom_is_asked() -> None:
    listed = (await call(APP, method="GET", path="/v1/models", headers=HEADERS)).json()
    ids = [model["id"] for model in listed["data"]]
    assert {"claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-1"} <= set(ids)
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == (ids[0], ids[-1], False)
    one = (await call(APP, method="GET", path=f"/v1/models/{CLAUDE}", headers=HEADERS)).json()
    assert (one["type"], one["id"], one["max_tokens"]) == ("model", CLAUDE, 64_000)
    ours = (await call(APP, method="GET", path="/v1/models")).json()
    assert CLAUDE not in {model["id"] for model in ours["data"]}


async def test_a_limit_is_refused_in_the_services_words_and_headers() -> None:
    app = create_emulator(parse_limits("rpm=2,itpm=1000,otpm=100,charge=max_tokens"), clock=SetClock())
    first = await message(app, max_tokens=60)
    assert first.headers["anthropic-ratelimit-requests-remaining"] == "1"
    assert first.headers["anthropic-ratelimit-output-tokens-remaining"] == "40"
    assert first.headers["anthropic-ratelimit-output-tokens-reset"] == "2025-10-09T08:53:56Z"
    refused = await message(app, max_tokens=60)
    assert (refused.status, refused.json()["error"]["type"]) == (429, "rate_limit_error")
    assert "100 output tokens per minute" in refused.json()["error"]["message"]
    assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("12", "12000")


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
KINDS = ["text", "tool_use", "tool_result", "thinking", "image"]
BLOCK = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS) | VALUE},
    optional=dict.fromkeys(["text", "id", "name", "input", "tool_use_id", "content", "source"], VALUE),
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]), "content": st.lists(BLOCK, max_size=3) | VALUE}
)
MEMBERS = ["system", "stop_sequences", "stream", "tools", "tool_choice", "thinking", "speed"]


@settings(max_examples=80, deadline=None)
@given(
    body=st.fixed_dictionaries(
        {
            "model": st.just(CLAUDE) | VALUE,
            "max_tokens": st.just(9) | VALUE,
            "messages": st.lists(MESSAGE, max_size=3) | VALUE,
        },
        optional=dict.fromkeys(MEMBERS, VALUE),
    )
)
async def test_any_object_gets_an_answer_or_a_refusal(body: dict[str, Any]) -> None:
    reply = await post(orjson.dumps(body))
    assert reply.complete
    assert reply.status == 200 or (400 <= reply.status < 500 and reply.json()["type"] == "error")
