"""Reading chat answers of providers that are right, wrong and hostile."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metering.vocabulary import counter

from macroslow.inference import CHAT_COMPLETIONS
from macroslow.inference.operation import AnswerUnreadableError, Possible, StreamReader
from macroslow.metering.prices import TokenCounts

POSSIBLE = Possible(1000, 100)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "delta", "content", "tool_calls", "function", "usage"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


def whole(usage=None, content="hello world") -> bytes:
    choices = [{"index": 0, "message": {"role": "assistant", "content": content}}]
    return orjson.dumps({"choices": choices, **({} if usage is None else {"usage": usage})})


def event(payload) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def delta(text: str, **more) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}}], **more})


USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
USAGE_EVENT = event({"choices": [], "usage": USAGE})
DONE = b"data: [DONE]\n\n"


def reader(*, wants_usage: bool = False) -> StreamReader:
    options = {"stream_options": {"include_usage": wants_usage}}
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True, **options}
    return CHAT_COMPLETIONS.reader(CHAT_COMPLETIONS.parse(orjson.dumps(body)), counter(), POSSIBLE)


def test_usage_is_taken_as_reported():
    details = {"prompt_tokens_details": {"cached_tokens": 4}}
    assert CHAT_COMPLETIONS.read(whole({**USAGE, **details}), POSSIBLE).usage == TokenCounts(10, 5, 4)


def test_zero_is_a_value():
    zero = {"prompt_tokens": 0, "completion_tokens": 0}
    assert CHAT_COMPLETIONS.read(whole(zero), POSSIBLE).usage == TokenCounts(0, 0)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {},
        {"prompt_tokens": 10},
        {"prompt_tokens": 10, "completion_tokens": -1},
        {"prompt_tokens": -5, "completion_tokens": 5},
        {"prompt_tokens": 10, "completion_tokens": 101},
        {"prompt_tokens": 1001, "completion_tokens": 1},
        {"prompt_tokens": 10.0, "completion_tokens": 5},
        {"prompt_tokens": "10", "completion_tokens": 5},
        {"prompt_tokens": True, "completion_tokens": 5},
        {"prompt_tokens": 10**18, "completion_tokens": 10**18},
    ],
)
def test_a_usage_that_cannot_be_is_as_good_as_none(usage):
    read = CHAT_COMPLETIONS.read(whole(usage), POSSIBLE)
    assert read.usage is None
    assert tuple(read.texts) == ("hello world",)


@pytest.mark.parametrize("cached", [-1, 11, "4", 2.5, None, True])
def test_cached_tokens_that_cannot_be_are_not_cached(cached):
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": cached}}
    assert CHAT_COMPLETIONS.read(whole(usage), POSSIBLE).usage == TokenCounts(10, 5, 0)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff", b'{"a": 1e400}', b"<html>"])
def test_what_is_no_json_object_is_no_answer(body):
    with pytest.raises(AnswerUnreadableError):
        CHAT_COMPLETIONS.read(body, POSSIBLE)


@given(json_values)
def test_answers_of_any_shape_are_read_without_failing(choices):
    read = CHAT_COMPLETIONS.read(orjson.dumps({"choices": choices, "usage": choices}), POSSIBLE)
    assert all(isinstance(text, str) for text in read.texts)


def test_all_that_a_model_wrote_is_found():
    call = {"function": {"name": "f", "arguments": "{}"}}
    message = {"content": "a", "refusal": "b", "reasoning_content": "c", "tool_calls": [call]}
    body = orjson.dumps({"choices": [{"message": message}, {"message": {"content": "d"}}]})
    assert tuple(CHAT_COMPLETIONS.read(body, POSSIBLE).texts) == ("a", "b", "c", "f", "{}", "d")


@pytest.mark.parametrize("wants_usage", [False, True])
@given(places=st.lists(st.integers(0, 1000), max_size=10))
def test_a_stream_passes_byte_for_byte_but_for_the_usage_nobody_asked_for(wants_usage, places):
    shown = [b": ping\r\n\r\n", delta("hello", usage=None), delta(" world")]
    stream = b"".join(shown) + USAGE_EVENT + DONE
    marks = [0, *sorted(place % len(stream) for place in places), len(stream)]
    reading = reader(wants_usage=wants_usage)
    passed = b"".join(reading.feed(stream[a:b]) for a, b in pairwise(marks))
    assert passed == b"".join(shown) + (USAGE_EVENT if wants_usage else b"")
    assert reading.closing == DONE
    assert reading.usage == TokenCounts(10, 5)
    assert reading.complete
    assert reading.output_tokens() == counter().text("hello world")


def test_usage_beside_text_is_noted_and_passed():
    reading = reader()
    last = delta("x", usage=USAGE)
    assert reading.feed(last) == last
    assert reading.usage == TokenCounts(10, 5)


def test_the_word_usage_in_the_text_is_text():
    reading = reader()
    said = delta('he said "usage": {} and "error"')
    assert reading.feed(said) == said
    assert reading.usage is None


def test_the_last_usage_that_can_be_believed_stands():
    reading = reader()
    reading.feed(event({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 1}}))
    reading.feed(USAGE_EVENT)
    reading.feed(event({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 10**9}}))
    assert reading.usage == TokenCounts(10, 5)


def test_a_failure_within_the_stream_is_not_passed_on():
    with pytest.raises(AnswerUnreadableError):
        reader().feed(event({"error": {"message": "key sk-canary is over its quota"}}))


def test_an_error_member_of_null_is_none():
    assert reader().feed(delta("x", error=None))


def test_parts_of_the_input_are_told_apart():
    details = {
        "cached_tokens": 4,
        "cache_write_tokens": 3,
        "cache_write_tokens_details": {"ttl_12h_tokens": 1},
    }
    usage = {**USAGE, "prompt_tokens_details": details}
    assert CHAT_COMPLETIONS.read(whole(usage), POSSIBLE).usage == TokenCounts(10, 5, 4, 2, 1)


@pytest.mark.parametrize("null", [b'"usage":null', b'"usage": null', b'"usage" :null'])
def test_chunks_that_say_they_have_no_usage_are_text(null):
    reading = reader()
    raw = delta("hello", usage=None).replace(b'"usage":null', null)
    assert reading.feed(raw) == raw
    assert reading.usage is None
    assert reading.output_tokens() == counter().text("hello")


def test_a_usage_beside_one_that_is_null_is_seen():
    chunk = {"choices": [{"delta": {"content": "x"}, "usage": None}], "usage": USAGE}
    reading = reader()
    reading.feed(event(chunk))
    assert reading.usage == TokenCounts(10, 5)


def test_a_word_that_ends_other_streams_is_no_end_here_unless_it_is_all_there_is():
    reading = reader()
    said = delta("[DONE]")
    assert reading.feed(said) == said
    assert not reading.complete
    assert reading.feed(b"event: done\ndata: [DONE]\n\n") == b""
    assert reading.complete
