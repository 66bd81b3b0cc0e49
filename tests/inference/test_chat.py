"""Chat requests from adversaries and from SDKs."""

import json

import orjson
import pytest
from tests.inference.clients import PNG
from tests.metering.vocabulary import counter

from macroslow.errors import InvalidModelRequestError
from macroslow.inference import CHAT_COMPLETIONS
from macroslow.inference.members import MEMBERS
from macroslow.metering.images import Image

USER = {"role": "user", "content": "hi"}
BASE = {"model": "gpt-4o", "messages": [USER]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def body(**changes) -> bytes:
    return json.dumps({**BASE, **changes}).encode()  # not orjson: it writes no large numbers


def refused(raw: bytes) -> InvalidModelRequestError:
    with pytest.raises(InvalidModelRequestError) as caught:
        CHAT_COMPLETIONS.parse(raw)
    return caught.value


def forwarded(raw: bytes, bound: int = 7) -> dict:
    return orjson.loads(CHAT_COMPLETIONS.parse(raw).forwarded("upstream-name", bound, reasoning=False))


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": 5}, "model"),
        ({"model": ""}, "model"),
        ({"model": "x" * 257}, "model"),
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": {"0": USER}}, "messages"),
        ({"messages": [USER] * 2049}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [USER, {"role": "root", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0].type",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "system", "content": [PICTURE]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": "x", "image": "y"}]}, "messages[0].image"),
        ({"messages": [{**USER, "tool_calls": [CALL]}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "assistant", "tool_calls": []}]}, "messages[0].tool_calls"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "type": "x"}]}]},
            "messages[0].tool_calls[0].type",
        ),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}] * 8193}]},
            "messages[0].content",
        ),
        ({"stream": 1}, "stream"),
        ({"stream": "true"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"stream": True, "stream_options": {"x": True}}, "stream_options.x"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"n": -1}, "n"),
        ({"n": 1.0}, "n"),
        ({"n": True}, "n"),
        ({"n": 10**30}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": "10"}, "max_tokens"),
        ({"max_tokens": 2**53}, "max_tokens"),
        ({"max_tokens": False}, "max_tokens"),
        ({"max_completion_tokens": 1e300}, "max_completion_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"logit_bias": {"5": "1"}}, "logit_bias"),
        ({"logit_bias": {str(n): 1 for n in range(1025)}}, "logit_bias"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"stop": []}, "stop"),
        ({"stop": [1]}, "stop[0]"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"seed": 1.5}, "seed"),
        ({"tools": [TOOL] * 1025}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [TOOL, {**TOOL, "cache": 1}]}, "tools[1].cache"),
        ({"tools": [{"type": "function", "function": {"parameters": {}}}]}, "tools[0].function.name"),
        ({"tools": "f"}, "tools"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": "json"}, "response_format"),
        ({"store": "yes"}, "store"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"prediction": {"type": "content"}}, "prediction"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"api_base": "http://evil.example"}, "api_base"),
        ({"Model": "gpt-4o"}, "Model"),
        ({"": 1}, ""),
        ({"\u001b[31m": 1}, repr("\u001b[31m")),
        ({"x" * 1000: 1}, repr("x" * 64)),
    ],
)
def test_a_member_at_fault_is_named(change, param):
    assert refused(body(**change)).param == param


def test_what_is_null_is_not_forwarded():
    sent = forwarded(body(temperature=None, service_tier=None, max_tokens=None))
    assert sent.keys() == {"model", "messages", "max_tokens"}


def test_the_output_is_bounded_under_the_name_that_the_client_used():
    assert forwarded(body())["max_tokens"] == 7
    assert forwarded(body(max_tokens=9), 9)["max_tokens"] == 9
    sent = forwarded(body(max_completion_tokens=9), 9)
    assert sent["max_completion_tokens"] == 9
    assert "max_tokens" not in sent


def test_a_reasoning_model_gets_the_member_it_understands():
    sent = orjson.loads(CHAT_COMPLETIONS.parse(body()).forwarded("o", 7, reasoning=True))
    assert sent["max_completion_tokens"] == 7
    assert "max_tokens" not in sent


def test_a_stream_always_reports_its_usage():
    assert forwarded(body(stream=True))["stream_options"] == {"include_usage": True}
    options = {"include_usage": False, "include_obfuscation": False}
    raw = body(stream=True, stream_options=options)
    assert not CHAT_COMPLETIONS.parse(raw).wants_usage
    assert forwarded(raw)["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert CHAT_COMPLETIONS.parse(body(stream=True, stream_options={"include_usage": True})).wants_usage
    assert "stream_options" not in forwarded(body(stream=False))


def test_a_conversation_as_sdks_send_it_back_is_served():
    messages = [
        {"role": "developer", "content": "Be terse."},
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}], "name": "ann"},
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "annotations": [],
            "audio": None,
            "function_call": None,
            "tool_calls": [CALL],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "12 degrees"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ]
    sent = forwarded(body(messages=messages, tools=[TOOL], tool_choice="auto"))
    assert sent["messages"][2] == {"role": "assistant", "tool_calls": [CALL]}
    assert [message["role"] for message in sent["messages"]] == [message["role"] for message in messages]


def test_every_member_that_is_served_is_forwarded_as_it_is():
    values = {
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": {}, "strict": True},
        },
        "stream": True,
        "n": 2,
        "max_tokens": 7,
        "temperature": 0.1,
        "top_p": 1,
        "presence_penalty": -2.0,
        "frequency_penalty": 2,
        "logit_bias": {"5": -100},
        "logprobs": True,
        "top_logprobs": 20,
        "stop": ["a", "b"],
        "seed": -(2**63),
        "reasoning_effort": "low",
        "verbosity": "low",
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "p",
        "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
        "prompt_cache_retention": "in_memory",
        "service_tier": "default",
        "store": True,
        "metadata": {"a": "b"},
    }
    handled = {"model", "messages", "stream_options", "max_completion_tokens"}
    assert values.keys() == MEMBERS.keys() - handled
    sent = forwarded(body(**values))
    assert {name: sent[name] for name in values} == values


@pytest.mark.parametrize("store", [None, False])
def test_metadata_of_what_is_not_stored_is_taken_and_goes_nowhere(store):
    # OpenAI: "The 'metadata' parameter is only allowed when 'store' is enabled."
    assert "metadata" not in forwarded(body(metadata={"trace": "7"}, store=store))


def test_a_tier_that_holds_without_being_named_may_be_named():
    assert forwarded(body(service_tier="auto"))["service_tier"] == "auto"


def test_pictures_are_beside_the_text():
    inline = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}}
    content = [{"type": "text", "text": "what is this?"}, inline, PICTURE]
    request = CHAT_COMPLETIONS.parse(body(messages=[{"role": "user", "content": content}]))
    assert request.prompt.images == (Image(64, 32, "low"), Image(None, None))
    assert request.prompt.texts == ("what is this?",)
    assert orjson.loads(request.forwarded("m", 1, reasoning=False))["messages"][0]["content"] == content


def test_a_picture_in_more_detail_than_there_is_a_price_for_is_refused():
    sharp = {"type": "image_url", "image_url": {**PICTURE["image_url"], "detail": "original"}}
    error = refused(body(messages=[{"role": "user", "content": [sharp]}]))
    assert error.param == "messages[0].content[0].image_url.detail"


def test_custom_tools_and_their_calls_are_text():
    long = "word " * 50
    tool = {"type": "custom", "custom": {"name": "t", "description": long}}
    call = {"id": "c", "type": "custom", "custom": {"name": "t", "input": long}}
    plain = counter().prompt(CHAT_COMPLETIONS.parse(body()).prompt)
    asked = body(messages=[USER, {"role": "assistant", "tool_calls": [call]}], tools=[tool])
    request = CHAT_COMPLETIONS.parse(asked)
    assert counter().prompt(request.prompt) > plain + 100
    assert orjson.loads(request.forwarded("gpt-4o", 1, reasoning=False))["tools"] == [tool]


def test_a_deep_schema_alone_makes_the_request_too_deep():
    schema = b'{"a":' * 300 + b"1" + b"}" * 300
    raw = (
        body()[:-1] + b',"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":' + schema
    )
    assert refused(raw + b"}}}").param == "response_format"
