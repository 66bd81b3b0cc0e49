"""Requests of every API from adversaries: served as they were understood, or refused in one way."""

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metering.vocabulary import counter

from macroslow.errors import InvalidModelRequestError
from macroslow.inference import CHAT_COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES
from macroslow.inference.embeddings import Embeddings
from macroslow.inference.members import MEMBERS
from macroslow.inference.messages_members import MESSAGE_OPTIONAL, MESSAGE_REQUIRED
from macroslow.inference.responses_members import RESPONSE_OPTIONAL, RESPONSE_REQUIRED

USER = [{"role": "user", "content": "x"}]
OPERATIONS = [CHAT_COMPLETIONS, RESPONSES, EMBEDDINGS, MESSAGES]
BASES = {
    "chat.completions": {"model": "m", "messages": USER},
    "responses": {"model": "m", "input": "x"},
    "embeddings": {"model": "m", "input": "x"},
    "messages": {"model": "m", "messages": USER, "max_tokens": 5},
}
KNOWN = {
    "chat.completions": [*MEMBERS],
    "responses": [*RESPONSE_REQUIRED, *RESPONSE_OPTIONAL],
    "embeddings": ["model", "input", "dimensions", "encoding_format", "user"],
    "messages": [*MESSAGE_REQUIRED, *MESSAGE_OPTIONAL],
}
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=[*BASES])


def body(operation, **changes) -> bytes:
    return json.dumps({**BASES[operation.name], **changes}).encode()  # not orjson: it writes no large numbers


def refused(operation, raw: bytes) -> InvalidModelRequestError:
    with pytest.raises(InvalidModelRequestError) as caught:
        operation.parse(raw)
    return caught.value


@every_operation
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
        b'{"model": "\\ud800"}',
        b'{"input": "\\udfff"}',
        b'{"temperature": 1e400}',
        b'{"temperature": NaN}',
        b'{"temperature": -Infinity}',
        b'{"model": "m"} {"model": "n"}',
        b"[" * 100_000,
        b'{"input":' * 100_000,
        b"\x00",
        b"\xef\xbb\xbf{}",
    ],
    ids=range(18),
)
def test_bodies_that_are_no_json_object_are_refused(operation, raw):
    assert refused(operation, raw).param == ""


@every_operation
@pytest.mark.parametrize("wrong", [5, 1.5, True, [], {}, "", "x" * 257, None, [["m"]]], ids=range(9))
def test_a_model_is_a_name(operation, wrong):
    assert refused(operation, body(operation, model=wrong)).param == "model"


@every_operation
def test_what_is_missing_is_named(operation):
    base = BASES[operation.name]
    for name in base:
        raw = orjson.dumps({other: value for other, value in base.items() if other != name})
        assert refused(operation, raw).param == name


@every_operation
@pytest.mark.parametrize(
    ("name", "param"),
    [
        ("api_base", "api_base"),
        ("Model", "Model"),
        ("", ""),
        ("model ", "model "),
        ("a.b[0]", "a.b[0]"),
        ("\u001b[31m", repr("\u001b[31m")),
        ("x" * 1000, repr("x" * 64)),
    ],
)
def test_a_member_that_is_not_known_is_refused_by_name(operation, name, param):
    error = refused(operation, body(operation, **{name: 1}))
    assert error.param == param
    assert "what it would cost is not known" in error.detail
    assert operation.parse(body(operation, **{name: None}))  # null means "not given"


@every_operation
def test_a_key_given_twice_means_the_same_to_us_and_to_the_provider(operation):
    raw = b'{"model":"cheap","model":"dear",' + body(operation)[1:].replace(b'"model": "m", ', b"")
    request = operation.parse(raw)
    assert request.model == "dear"
    sent = request.forwarded("dear", 5, reasoning=False)
    assert sent.count(b'"model"') == 1
    assert orjson.loads(sent)["model"] == "dear"


@every_operation
def test_a_million_spaces_are_counted(operation):
    prompt_member = operation.parse(body(operation)).prompt_member
    spaces = " " * 1_000_000
    given = [{"role": "user", "content": spaces}] if prompt_member == "messages" else spaces
    request = operation.parse(body(operation, **{prompt_member: given}))
    assert 1_000_000 // 128 <= counter().prompt(request.prompt) <= 1_000_010


NESTED = {
    "chat.completions": ("tools", b'[{"type":"function","function":{"name":"f","parameters":%b}}]'),
    "responses": ("tools", b'[{"type":"function","name":"f","parameters":%b}]'),
    "messages": ("tools", b'[{"name":"f","input_schema":%b}]'),
}


@pytest.mark.parametrize("operation", [CHAT_COMPLETIONS, RESPONSES, MESSAGES], ids=[*NESTED])
def test_what_is_nested_too_deeply_is_refused_and_what_is_not_is_forwarded(operation):
    def nested(depth: int) -> bytes:
        member, shape = NESTED[operation.name]
        schema = b'{"a":' * depth + b"1" + b"}" * depth
        return body(operation)[:-1] + b', "%b": %b}' % (member.encode(), shape % schema)

    assert refused(operation, nested(500)).param == "tools"
    assert refused(operation, nested(100_000)).param == ""
    for depth in range(190, 256):  # no depth passes the parser and fails the serialiser
        try:
            request = operation.parse(nested(depth))
        except InvalidModelRequestError:
            continue
        request.forwarded("m", 1, reasoning=False)


ABSURD = [0, -1, 1.5, 1e308, 2**53, 2**63, 2**64, 10**30, -0.0, True, False, "10", [], {}, "NaN"]


@pytest.mark.parametrize(
    ("operation", "member"),
    [
        (CHAT_COMPLETIONS, "max_tokens"),
        (CHAT_COMPLETIONS, "max_completion_tokens"),
        (CHAT_COMPLETIONS, "n"),
        (RESPONSES, "max_output_tokens"),
        (MESSAGES, "max_tokens"),
        (EMBEDDINGS, "dimensions"),
    ],
)
@pytest.mark.parametrize("number", ABSURD, ids=range(len(ABSURD)))
def test_a_count_is_a_whole_number_that_can_be(operation, member, number):
    assert refused(operation, body(operation, **{member: number})).param == member


def test_a_request_compares_and_shows_itself_by_value():
    one, same = (CHAT_COMPLETIONS.parse(body(CHAT_COMPLETIONS, max_tokens=5)) for _ in range(2))
    assert one == same
    assert one != CHAT_COMPLETIONS.parse(body(CHAT_COMPLETIONS, max_completion_tokens=5))
    assert "bound_member='max_tokens'" in repr(one)


def test_a_request_says_what_it_is():
    chat = CHAT_COMPLETIONS.parse(body(CHAT_COMPLETIONS, stream=True, n=3, max_completion_tokens=7))
    assert (chat.stream, chat.choices, chat.writes) == (True, 3, True)
    assert (chat.max_output_tokens, chat.bound_member) == (7, "max_completion_tokens")
    assert (chat.continues, chat.stores, chat.prompt_member) == ("", False, "messages")
    embedding = EMBEDDINGS.parse(body(EMBEDDINGS))
    assert (embedding.stream, embedding.choices, embedding.writes) == (False, 1, False)
    assert (embedding.max_output_tokens, embedding.bound_member) == (None, None)
    response = RESPONSES.parse(body(RESPONSES, previous_response_id="resp_0"))
    assert (response.continues, response.stores, response.prompt_member) == ("resp_0", True, "input")
    assert not RESPONSES.parse(body(RESPONSES, store=False)).stores
    assert RESPONSES.parse(body(RESPONSES, store=None)).stores  # the provider's default


def test_the_bound_goes_under_the_name_that_each_api_knows():
    def sent(operation, *, reasoning=False, **changes):
        return orjson.loads(
            operation.parse(body(operation, **changes)).forwarded("u", 7, reasoning=reasoning)
        )

    assert sent(CHAT_COMPLETIONS)["max_tokens"] == 7
    assert sent(CHAT_COMPLETIONS, reasoning=True)["max_completion_tokens"] == 7
    assert "max_tokens" not in sent(CHAT_COMPLETIONS, reasoning=True)
    assert sent(RESPONSES, reasoning=True) == {"model": "u", "input": "x", "max_output_tokens": 7}
    assert sent(MESSAGES)["max_tokens"] == 7
    assert sent(EMBEDDINGS) == {"model": "u", "input": "x"}


def test_a_prompt_in_too_many_pieces_is_refused():
    pieces = [{"type": "text", "text": "x"}] * 8000
    for operation, member in ((CHAT_COMPLETIONS, "messages"), (MESSAGES, "messages")):
        raw = body(operation, messages=[{"role": "user", "content": pieces}] * 5)
        assert refused(operation, raw).param == member
    items = [{"role": "user", "content": [{"type": "input_text", "text": "x"}] * 8000}] * 5
    assert refused(RESPONSES, body(RESPONSES, input=items)).param == "input"
    assert len(Embeddings().parse(body(EMBEDDINGS, input=["x"] * 2048)).prompt.texts) == 2048


words = st.sampled_from(
    ["role", "content", "type", "text", "function", "name", "input_text", "message", "user", "tool_use", "id"]
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=9)
    | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@every_operation
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_object_is_served_or_refused_and_what_is_served_can_be_forwarded_again(operation, data):
    names = st.sampled_from([*KNOWN[operation.name], "x"])
    changes = data.draw(st.dictionaries(names, json_values, max_size=5))
    try:
        request = operation.parse(orjson.dumps({**BASES[operation.name], **changes}))
    except InvalidModelRequestError:
        return
    again = operation.parse(request.forwarded(request.model, request.max_output_tokens or 1, reasoning=False))
    assert again.prompt == request.prompt
    assert (again.choices, again.stream, again.stores) == (request.choices, request.stream, request.stores)


@every_operation
@settings(max_examples=25)
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_way(operation, raw):
    refused(operation, raw)


@pytest.mark.parametrize(
    "body",
    [
        b'{"x":[' + b",".join([b"[]"] * 300_000) + b"]}",
        b'{"x":[' + b",".join([b"{}"] * 300_000) + b"]}",
        b"{" + b",".join(b'"%d":0' % n for n in range(600_000)) + b"}",
        b'{"x":[' + b"1," * 2_100_000 + b"1]}",
    ],
    ids=["lists", "objects", "members", "numbers"],
)
def test_a_body_of_millions_of_values_is_refused_before_it_is_parsed(body, monkeypatch):
    monkeypatch.setattr("macroslow.inference.request.orjson.loads", None)
    with pytest.raises(InvalidModelRequestError):
        CHAT_COMPLETIONS.parse(body)


def test_a_long_text_of_source_code_is_no_such_body():
    text = '{"a": [1, 2, {"b": "c"}]}\n' * 60_000
    body = orjson.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]})
    assert CHAT_COMPLETIONS.parse(body).prompt.texts == (text,)
