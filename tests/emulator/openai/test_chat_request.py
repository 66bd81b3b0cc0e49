"""Bodies from anyone: each answered with 200 or a 4xx of the service's shape, never with a 5xx."""

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.emulator.asking import KEY, Ask, call, chat_body

from macroslow.emulator import create_emulator
from macroslow.emulator.exchange import MAX_BODY_BYTES

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "system", "assistant", "tool", "developer"]) | JSON,
        "content": st.text(max_size=20)
        | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": JSON}))
        | JSON,
        "name": JSON,
        "tool_call_id": JSON,
        "tool_calls": JSON
        | st.lists(
            st.fixed_dictionaries(
                {"id": JSON, "function": st.fixed_dictionaries({"name": JSON, "arguments": JSON})}
            )
        ),
        "refusal": JSON,
    },
)
MEMBERS = [
    "temperature",
    "top_p",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "stream",
    "stream_options",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
    "seed",
    "logit_bias",
    "user",
    "logprobs",
    "modalities",
    "service_tier",
    "metadata",
    "functions",
]
BODY = st.fixed_dictionaries(
    {"model": st.just("gpt-4o") | JSON, "messages": st.lists(MESSAGE, max_size=3) | JSON},
    optional=dict.fromkeys(MEMBERS, JSON)
    | {"stream_options": st.dictionaries(st.just("include_usage"), JSON)},
)
APP = create_emulator()


def assert_is_refusal_or_answer(status: int, body: bytes) -> None:
    assert status == 200 or 400 <= status < 500
    if status != 200:
        error = orjson.loads(body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODY)
async def test_any_object_gets_an_answer_or_a_refusal(body: dict[str, Any]) -> None:
    reply = await call(APP, orjson.dumps(body))
    assert reply.complete
    assert_is_refusal_or_answer(reply.status, reply.body)


@settings(max_examples=80, deadline=None)
@given(
    raw=st.binary(max_size=60)
    | st.text(max_size=60).map(lambda text: chat_body()[: len(text)] + text.encode())
)
async def test_any_bytes_get_an_answer_or_a_refusal(raw: bytes) -> None:
    reply = await call(APP, raw)
    assert_is_refusal_or_answer(reply.status, reply.body)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b"NaN",
        b'{"model": NaN}',
        b"[" * 5_000,
        b"\xff",
        b'{"model":"\\ud800"}',
    ],
)
async def test_what_is_no_json_object_is_called_so(raw: bytes) -> None:
    reply = await call(APP, raw)
    assert reply.status == 400
    assert reply.json()["error"]["message"].startswith("We could not parse the JSON body of your request.")


PARTS = [{"type": "input_audio", "input_audio": {}}]
BAD_IMAGE = [{"type": "image_url", "image_url": {"url": "data:,"}}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": PARTS}]},
            "messages[0].content[0].type",
            "unsupported_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": BAD_IMAGE}]},
            "messages[0].content[0].image_url.url",
            "invalid_image_url",
        ),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages[0].tool_call_id",
            "missing_required_parameter",
        ),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"temperature": True}, "temperature", "invalid_type"),
        ({"temperature": -0.1}, "temperature", "decimal_below_min_value"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 129}, "n", "integer_above_max_value"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": 16_385}, "max_tokens", "invalid_value"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens", "invalid_parameter_combination"),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"stop": ["a"] * 5}, "stop", "array_above_max_length"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        ({"tool_choice": "required"}, "tool_choice", None),
        ({"tools": [TOOL], "tool_choice": "perhaps"}, "tool_choice", "invalid_value"),
        ({"tools": [TOOL], "tool_choice": {"type": "web"}}, "tool_choice.type", "unsupported_parameter"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice",
            None,
        ),
        ({"response_format": {"type": "json_schema"}}, "response_format", "unsupported_parameter"),
        ({"response_format": {"type": "json_object"}}, "messages", None),
        ({"logprobs": True}, "logprobs", "unsupported_parameter"),
        ({"temprature": 1}, "temprature", "unknown_parameter"),
    ],
)
async def test_a_wrong_member_is_named_with_its_code(
    ask: Ask, members: dict[str, object], param: str, code: str | None
) -> None:
    reply = await ask(**members)
    error = reply.json()["error"]
    assert (reply.status, error["param"], error["code"]) == (400, param, code)
    assert error["type"] == "invalid_request_error"


async def test_what_the_service_ignores_or_takes_as_null_is_accepted(ask: Ask) -> None:
    reply = await ask(
        temperature=0.5,
        top_p=1,
        stop=None,
        seed=7,
        user="u",
        tools=[TOOL],
        tool_choice="auto",
        logprobs=False,
    )
    assert reply.status == 200


async def test_a_whole_conversation_with_tool_calls_is_accepted(ask: Ask) -> None:
    call_ = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": "Look it up.", "name": "ada"},
        {"role": "assistant", "content": None, "tool_calls": [call_], "refusal": None},
        {"role": "tool", "content": "42", "tool_call_id": "call_1"},
    ]
    assert (await ask(messages=messages)).status == 200


async def test_a_context_that_only_the_answer_overflows_is_refused(ask: Ask) -> None:
    reply = await ask("a " * 120_000, max_tokens=16_000)
    assert reply.json()["error"]["code"] == "context_length_exceeded"
    assert "in the completion" in reply.json()["error"]["message"]


async def test_a_body_over_the_size_is_refused_before_it_is_parsed() -> None:
    reply = await call(APP, b" " * (MAX_BODY_BYTES + 1))
    assert reply.status == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/v1/embeddings", 405),
        ("POST", "/v1/audio/speech", 404),
        ("GET", "/v1/responses/resp_none", 404),
        ("PUT", "/v1/responses/resp_none", 405),
        ("GET", "/v1/responses/", 404),
        ("GET", "/", 404),
        ("GET", "/v1/models/%2e%2e", 404),
        ("GET", "/v1/modelsx", 404),
    ],
)
async def test_other_paths_and_methods_are_refused(method: str, path: str, status: int) -> None:
    reply = await call(APP, b"", method=method, path=path)
    assert reply.status == status
    assert reply.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("key", [None, "", " "])
async def test_no_key_is_told_how_to_give_one(key: str | None) -> None:
    reply = await call(APP, chat_body(), key=key)
    assert reply.status == 401
    assert "You didn't provide an API key." in reply.json()["error"]["message"]


async def test_the_key_is_checked_before_the_body() -> None:
    assert (await call(APP, b"{", key="sk-wrong")).status == 401
    assert (await call(APP, b"{", key=KEY)).status == 400


async def test_a_client_that_never_sends_its_body_is_not_answered() -> None:
    app = create_emulator()

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        raise AssertionError(message)

    headers = [(b"authorization", f"Bearer {KEY}".encode())]
    await app(
        {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}, gone, send
    )
    assert app.statistics.report(0)["hang_ups"] == 1
