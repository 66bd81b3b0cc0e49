"""Chat requests from adversaries and from SDKs."""

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metering.vocabulary import counter

from macroslow.errors import InvalidModelRequestError
from macroslow.inference.chat import parse_chat
from macroslow.inference.members import MEMBERS

USER = {"role": "user", "content": "hi"}
BASE = {"model": "gpt-4o", "messages": [USER]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def body(**changes) -> bytes:
    return json.dumps({**BASE, **changes}).encode()  # not orjson: it writes no large numbers


def refused(raw: bytes) -> InvalidModelRequestError:
    with pytest.raises(InvalidModelRequestError) as caught:
        parse_chat(raw)
    return caught.value


def forwarded(raw: bytes, bound: int = 7) -> dict:
    return orjson.loads(parse_chat(raw).forwarded("upstream-name", bound))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"5",
        b"\xff\xfe",
        b'{"model": "\xc3\x28"}',
        b'{"model": "\\ud800", "messages": []}',
        b'{"model": "m", "messages": [{"role": "user", "content": "\\udfff"}]}',
        b'{"temperature": 1e400}',
        b'{"temperature": NaN}',
        b'{"model": "m"} {"model": "n"}',
        b"[" * 100_000,
        b'{"messages":' * 2000,
        b"\x00",
        b"\xef\xbb\xbf{}",
    ],
)
def test_bodies_that_are_no_json_object_are_refused(raw):
    assert refused(raw).param == ""


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
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x", "image": "y"}]}, "messages[0].image"),
        ({"messages": [{**USER, "tool_calls": [CALL]}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "assistant", "tool_calls": []}]}, "messages[0].tool_calls"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "type": "x"}]}]},
            "messages[0].tool_calls",
        ),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}] * 8193}]},
            "messages[0].content",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}] * 5000}] * 2}, "messages"),
        ({"stream": 1}, "stream"),
        ({"stream": "true"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options"),
        ({"stream": True, "stream_options": {"x": True}}, "stream_options"),
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
        ({"stop": [1]}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"seed": 1.5}, "seed"),
        ({"tools": [TOOL] * 129}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [TOOL, {**TOOL, "cache": 1}]}, "tools[1]"),
        ({"tools": [{"type": "function", "function": {"parameters": {}}}]}, "tools[0]"),
        ({"tools": "f"}, "tools"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": "json"}, "response_format"),
        ({"store": True}, "store"),
        ({"service_tier": "priority"}, "service_tier"),
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


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_what_is_missing_is_named(missing):
    assert refused(orjson.dumps({name: v for name, v in BASE.items() if name != missing})).param == missing


def nested(depth: int) -> bytes:
    schema = b'{"a":' * depth + b"1" + b"}" * depth
    return b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function",' + (
        b'"function":{"name":"f","parameters":' + schema + b"}}]}"
    )


def test_a_schema_that_is_nested_too_deeply_is_refused_and_one_that_is_not_is_forwarded():
    assert refused(nested(500)).param == "tools"
    assert refused(nested(2000)).param == ""
    for depth in range(240, 256):  # no depth passes the parser and fails the serialiser
        try:
            request = parse_chat(nested(depth))
        except InvalidModelRequestError:
            continue
        request.forwarded("m", 1)


def test_a_key_given_twice_means_the_same_to_us_and_to_the_provider():
    messages = b'"messages":[{"role":"user","content":"x"}]'
    raw = b'{"model":"cheap","model":"gpt-4o",' + messages + b',"n":1,"n":3,"max_tokens":5}'
    request = parse_chat(raw)
    sent = request.forwarded("gpt-4o", 5)
    assert (request.model, request.choices) == ("gpt-4o", 3)
    assert sent.count(b'"model"') == sent.count(b'"n"') == 1
    assert orjson.loads(sent)["n"] == 3


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
    sent = orjson.loads(parse_chat(body()).forwarded("o", 7, reasoning=True))
    assert sent["max_completion_tokens"] == 7
    assert "max_tokens" not in sent


def test_a_stream_always_reports_its_usage():
    assert forwarded(body(stream=True))["stream_options"] == {"include_usage": True}
    options = {"include_usage": False, "include_obfuscation": False}
    raw = body(stream=True, stream_options=options)
    assert not parse_chat(raw).wants_usage
    assert forwarded(raw)["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert parse_chat(body(stream=True, stream_options={"include_usage": True})).wants_usage
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
        "store": False,
    }
    handled = {"model", "messages", "stream_options", "max_completion_tokens"}
    assert values.keys() == MEMBERS.keys() - handled
    sent = forwarded(body(**values))
    assert {name: sent[name] for name in values} == values


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*MEMBERS, "role", "content", "type", "text", "function"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*MEMBERS, "x"]), json_values, max_size=6))
def test_any_object_is_served_or_refused_and_what_is_served_can_be_forwarded_again(members):
    try:
        request = parse_chat(orjson.dumps({**BASE, **members}))
    except InvalidModelRequestError:
        return
    again = parse_chat(request.forwarded(request.model, request.max_output_tokens or 1))
    assert again.prompt == request.prompt
    assert (again.choices, again.stream) == (request.choices, request.stream)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_way(raw):
    with pytest.raises(InvalidModelRequestError):
        parse_chat(raw)


def test_a_million_spaces_are_counted():
    request = parse_chat(body(messages=[{"role": "user", "content": " " * 1_000_000}]))
    assert 1_000_000 // 128 <= counter().prompt(request.prompt) <= 1_000_010
