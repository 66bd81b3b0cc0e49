"""Messages of a server that may say anything: a result, or an error that is named; clean words."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.mcp.clean_text import LINE_CHARACTERS, is_clean
from macroslow.mcp.client.rpc import (
    MAX_BRACKETS,
    MAX_LEVELS,
    NoAnswerError,
    RPCError,
    WantsInputError,
    answer_to,
    complete,
    fresh_s,
    is_deep,
    is_list_change,
    listen_params,
    message_of,
    progress_of,
    words,
)
from macroslow.mcp.upstream import MAX_FRESH_S

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def members_of(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, anything))


def nested(levels: int) -> dict[str, Any]:
    made: Any = {}
    for _ in range(levels - 1):
        made = {"a": made} if levels % 2 else [made]
    return {"r": made}


@settings(max_examples=200)
@given(members_of("id", "error", "result", "method"), st.booleans())
def test_any_message_is_a_result_or_an_error_that_is_named(message: dict[str, Any], ours: bool) -> None:
    message = {**message, "jsonrpc": "2.0", **({"id": 7} if ours else {})}
    try:
        result = answer_to(7, message)
    except (NoAnswerError, RPCError):
        return
    assert type(message["id"]) is int
    assert message["id"] == 7
    assert result is message["result"]


@settings(max_examples=200)
@given(members_of("progressToken", "progress", "total", "message"))
def test_any_report_is_finite_numbers_and_clean_words_or_none(params: dict[str, Any]) -> None:
    heard = progress_of(params)
    if heard is None:
        return
    token, report = heard
    assert type(token) is int
    assert math.isfinite(report.done)
    assert report.total is None or math.isfinite(report.total)
    assert is_clean(report.words)


@given(anything)
def test_any_result_is_complete_or_asks_for_more(told: Any) -> None:
    if told == "complete":
        return
    with pytest.raises(WantsInputError):
        complete({"resultType": told})


@given(anything)
def test_whatever_it_says_of_freshness_there_is_a_time(told: Any) -> None:
    assert 0 < fresh_s({"ttlMs": told}) <= MAX_FRESH_S


@given(anything)
def test_any_method_is_a_change_or_none_and_any_promise_is_read(told: Any) -> None:
    assert is_list_change(told) is False
    assert listen_params({"tools": told, "prompts": {"listChanged": True}}) in (
        {"notifications": {"promptsListChanged": True}},
        {"notifications": {"toolsListChanged": True, "promptsListChanged": True}},
    )
    assert listen_params({"tools": {"listChanged": 1}, "logging": {"listChanged": True}}) is None


@given(st.text() | st.text(alphabet="a \n\t\r\x1b\u200b\u2028\u202e\U000e0041\ufeff"))
def test_words_are_clean_short_and_on_one_line(text: str) -> None:
    shown = words(text)
    assert is_clean(shown)
    assert len(shown) <= LINE_CHARACTERS
    assert not set(shown) & set("\n\r\t\x1b\x85")
    assert words(text.encode()) == ""


@pytest.mark.parametrize("levels", [1, 2, MAX_LEVELS - 1, MAX_LEVELS, MAX_LEVELS + 1, 400, 401, 100_000])
def test_levels_are_counted_as_deep_as_they_go(levels: int) -> None:
    assert is_deep(nested(levels)) is (levels >= MAX_LEVELS)


def test_an_answer_that_is_deep_is_none() -> None:
    assert answer_to(1, {"jsonrpc": "2.0", "id": 1, "result": nested(MAX_LEVELS - 1)})
    with pytest.raises(NoAnswerError, match="levels"):
        answer_to(1, {"jsonrpc": "2.0", "id": 1, "result": nested(MAX_LEVELS)})


def test_a_message_that_would_be_long_in_the_reading_is_not_read() -> None:
    assert message_of(b"[" + b"[]," * (MAX_BRACKETS - 1) + b"0]")
    with pytest.raises(NoAnswerError, match="lists and objects"):
        message_of(b"[" + b"[]," * MAX_BRACKETS + b"0]")


NO_JSON = {
    "nothing": b"",
    "half": b"{",
    "not a number": b"NaN",
    "beyond all numbers": b"1e400",
    "no UTF-8": b'"\xff"',
    "half a pair": b'"\\ud800"',
    "very deep": b"[" * 2000 + b"]" * 2000,
}


@pytest.mark.parametrize("kind", NO_JSON)
def test_what_is_no_json_is_no_answer(kind: str) -> None:
    with pytest.raises(NoAnswerError, match="no JSON"):
        message_of(NO_JSON[kind])
