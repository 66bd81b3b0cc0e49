"""Anthropic's messages: what is served, what is refused by name, and what answers say."""

import orjson
import pytest
from tests.inference.clients import CLAUDE_CODE, CLAUDE_CODE_TITLE, PNG
from tests.inference.streams import MESSAGE, POSSIBLE, USED, named
from tests.metering.vocabulary import counter

from macroslow.errors import InvalidModelRequestError
from macroslow.inference import COUNT_TOKENS, MESSAGES
from macroslow.inference.messages_members import MESSAGE_OPTIONAL, MESSAGE_REQUIRED
from macroslow.inference.operation import AnswerUnreadableError
from macroslow.metering.images import Image
from macroslow.metering.prices import TokenCounts

TOOL = {"name": "f", "input_schema": {"type": "object"}}
LONG = "word " * 50
EPHEMERAL = {"type": "ephemeral"}


def user(*blocks):
    return {"role": "user", "content": [*blocks]}


def parse(*blocks, **more):
    return MESSAGES.parse(orjson.dumps({"model": "m", "messages": [user(*blocks)], "max_tokens": 9, **more}))


def forwarded(*blocks, **more):
    return orjson.loads(parse(*blocks, **more).forwarded("up", 7, reasoning=True))


def tokens(*blocks, **more) -> int:
    return counter().prompt(parse(*blocks, **more).prompt)


@pytest.mark.parametrize("body", [CLAUDE_CODE, CLAUDE_CODE_TITLE], ids=["turn", "title"])
def test_what_claude_code_sends_is_forwarded_as_it_is(body):
    request = MESSAGES.parse(orjson.dumps(body))
    assert orjson.loads(request.forwarded(request.model, request.max_output_tokens, reasoning=True)) == body
    assert (request.stream, request.max_output_tokens, request.bound_member) == (True, 64000, "max_tokens")


def test_pictures_in_results_of_tools_are_found():
    assert MESSAGES.parse(orjson.dumps(CLAUDE_CODE)).prompt.images == (Image(64, 32),)


def test_tokens_are_counted_of_what_would_be_sent():
    asked = {name: CLAUDE_CODE[name] for name in ("model", "messages", "system", "tools", "thinking")}
    request = COUNT_TOKENS.parse(orjson.dumps(asked))
    assert request.model == CLAUDE_CODE["model"]
    assert request.prompt == MESSAGES.parse(orjson.dumps(CLAUDE_CODE)).prompt
    assert COUNT_TOKENS.parse(orjson.dumps(CLAUDE_CODE)).prompt == request.prompt
    with pytest.raises(InvalidModelRequestError) as caught:
        COUNT_TOKENS.parse(orjson.dumps({**asked, "mcp_servers": []}))
    assert caught.value.param == "mcp_servers"


@pytest.mark.parametrize(
    "tool",
    [
        TOOL,
        {**TOOL, "type": "custom", "description": "d", "strict": True, "input_examples": [{}]},
        {**TOOL, "cache_control": {**EPHEMERAL, "ttl": "1h"}, "allowed_callers": ["direct"]},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 9},
        {"type": "memory_20250818", "name": "memory", "cache_control": EPHEMERAL},
        {"type": "computer_20250124", "name": "computer", "display_width_px": 9, "display_height_px": 9},
    ],
    ids=range(7),
)
def test_tools_that_the_client_executes_are_served(tool):
    assert forwarded(tools=[tool])["tools"] == [tool]
    assert tokens(tools=[tool]) > tokens() + 500  # with what is said around them


@pytest.mark.parametrize(
    "kind",
    [
        "web_search_20250305",
        "web_search_20260318",
        "web_fetch_20250910",
        "code_execution_20250825",
        "tool_search_tool_bm25_20251119",
        "mcp_toolset",
        "advisor_20260301",
        "bash_29990101",
        "",
    ],
)
def test_tools_that_anthropic_executes_are_refused_by_name(kind):
    with pytest.raises(InvalidModelRequestError) as caught:
        parse(tools=[TOOL, {"type": kind, "name": "x"}])
    assert caught.value.param == "tools[1].type"
    assert kind in caught.value.detail


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ({"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}}, "type"),
        ({"type": "web_search_tool_result"}, "type"),
        ({"type": "container_upload", "file_id": "f"}, "type"),
        ({"type": "compaction", "content": "x"}, "type"),
        ({"type": "document", "source": {"type": "base64", "data": "JVBERi0="}}, "source.type"),
        ({"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}}, "source.type"),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}}, "source.type"),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "source.type"),
        ({"type": "image", "source": {"type": "url", "url": "http://x/a.png"}}, "source.url"),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "@@"}},
            "source.data",
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": PNG}},
            "source.media_type",
        ),
        ({"type": "text"}, "text"),
        (
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1d"}},
            "cache_control.ttl",
        ),
        ({"type": "tool_result"}, "tool_use_id"),
        ({"type": "tool_result", "tool_use_id": "x", "content": [{"type": "tool_use"}]}, "content[0].type"),
        (
            {
                "type": "tool_result",
                "tool_use_id": "x",
                "content": [{"type": "document", "source": {"type": "base64"}}],
            },
            "content[0].source.type",
        ),
        ({"type": "thinking", "thinking": "x"}, "signature"),
        ({"type": "tool_use", "id": "x", "name": "f", "input": "{}"}, "input"),
        ({"text": "x"}, "type"),
    ],
    ids=range(19),
)
def test_blocks_without_a_price_are_refused_by_name(block, param):
    with pytest.raises(InvalidModelRequestError) as caught:
        parse({"type": "text", "text": "x"}, block)
    assert caught.value.param == f"messages[0].content[1].{param}"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"service_tier": "batch"}, "service_tier"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"speed": "fast"}, "speed"),
        ({"inference_geo": "us"}, "inference_geo"),
        ({"container": "c"}, "container"),
        ({"mcp_servers": []}, "mcp_servers"),
        ({"fallbacks": "default"}, "fallbacks"),
        (
            {"context_management": {"edits": [{"type": "compact_20260112"}]}},
            "context_management.edits[0].type",
        ),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens"),
        ({"thinking": True}, "thinking"),
        ({"output_config": {"effort": 5}}, "output_config.effort"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"temperature": 1.1}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"metadata": {"user_id": "u", "x": "y"}}, "metadata.x"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"system": 5}, "system"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x", "name": "n"}]}, "messages[0].name"),
        ({"n": 2}, "n"),
        ({"stream_options": {}}, "stream_options"),
        ({"betas": []}, "betas"),
    ],
    ids=range(28),
)
def test_a_member_at_fault_is_named(change, param):
    with pytest.raises(InvalidModelRequestError) as caught:
        parse(**change)
    assert caught.value.param == param


def test_every_member_that_is_served_is_forwarded_as_it_is():
    edit = {"type": "clear_tool_uses_20250919", "trigger": {"type": "input_tokens", "value": 9}}
    schema = {"type": "json_schema", "schema": {}}
    values = {
        "system": "s",
        "tools": [TOOL],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
        "output_config": {"effort": "max", "format": schema, "task_budget": {"type": "tokens", "total": 9}},
        "output_format": schema,
        "context_management": {"edits": [{**edit, "clear_tool_inputs": ["f"], "exclude_tools": []}]},
        "cache_control": EPHEMERAL,
        "metadata": {"user_id": "u"},
        "stop_sequences": ["x"],
        "stream": True,
        "temperature": 0,
        "top_k": 0,
        "top_p": 1.0,
        "service_tier": "standard_only",
        "speed": "standard",
    }
    assert values.keys() == MESSAGE_OPTIONAL.keys()
    sent = forwarded(**values)
    assert {name: sent[name] for name in values} == values
    assert sent.keys() == MESSAGE_OPTIONAL.keys() | MESSAGE_REQUIRED.keys()


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text", "text": LONG},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [LONG]}},
        {"type": "tool_result", "tool_use_id": "t", "content": LONG, "is_error": True},
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": LONG}]},
        {"type": "thinking", "thinking": LONG, "signature": ""},
        {"type": "thinking", "thinking": "", "signature": LONG},
        {"type": "redacted_thinking", "data": LONG},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": LONG}},
        {
            "type": "search_result",
            "source": "s",
            "title": "t",
            "content": [{"type": "text", "text": LONG}],
            "citations": {"enabled": True},
        },
        {"type": "mid_conv_system", "content": [{"type": "text", "text": LONG}]},
    ],
    ids=range(10),
)
def test_everything_a_model_reads_is_counted(block):
    assert forwarded(block)["messages"] == [user(block)]
    assert tokens(block) > tokens() + 49


def test_the_system_prompt_and_schemas_are_counted():
    assert tokens(system=LONG) > tokens() + 50
    assert tokens(system=[{"type": "text", "text": LONG, "cache_control": EPHEMERAL}]) == tokens(system=LONG)
    schema = {"type": "json_schema", "schema": {"description": LONG}}
    for more in ({"output_config": {"format": schema}}, {"output_format": schema}):
        assert tokens(**more) > tokens() + 50


def test_pictures_are_no_text():
    base64 = {"type": "base64", "media_type": "image/png", "data": PNG}
    picture = {"type": "image", "source": base64, "cache_control": EPHEMERAL}
    elsewhere = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    assert parse(picture, elsewhere).prompt.images == (Image(64, 32), Image(None, None))
    assert tokens(picture) == tokens()


def answer(**members) -> bytes:
    return orjson.dumps({"id": "msg_1", "type": "message", "content": [], **members})


def test_an_answer_tells_its_usage_and_its_texts():
    content = [
        {"type": "thinking", "thinking": "a", "signature": "s"},
        {"type": "text", "text": "b"},
        {"type": "tool_use", "id": "t", "name": "c", "input": {"d": 1}},
        {"type": "redacted_thinking", "data": "x"},
    ]
    read = MESSAGES.read(answer(content=content, usage={"input_tokens": 10, "output_tokens": 5}), POSSIBLE)
    assert (read.usage, tuple(read.texts), read.id) == (USED, ("a", "b", "c", '{"d":1}'), "")


@pytest.mark.parametrize(
    ("usage", "used"),
    [
        ({"input_tokens": 0, "output_tokens": 0}, TokenCounts(0, 0)),
        (
            {
                "input_tokens": 1,
                "cache_creation_input_tokens": 20,
                "cache_read_input_tokens": 300,
                "output_tokens": 5,
            },
            TokenCounts(321, 5, 300, 20, 0),
        ),
        (
            {
                "input_tokens": 1,
                "cache_creation_input_tokens": 20,
                "cache_read_input_tokens": None,
                "cache_creation": {"ephemeral_5m_input_tokens": 12, "ephemeral_1h_input_tokens": 8},
                "output_tokens": 5,
            },
            TokenCounts(21, 5, 0, 12, 8),
        ),
        (
            {
                "input_tokens": 1,
                "cache_creation_input_tokens": 20,
                "cache_creation": {"ephemeral_1h_input_tokens": 10**9},
                "output_tokens": 5,
            },
            TokenCounts(21, 5, 0, 20, 0),
        ),
        ({"input_tokens": 1, "cache_creation_input_tokens": -1, "output_tokens": 5}, None),
        ({"input_tokens": 1, "cache_read_input_tokens": 1.5, "output_tokens": 5}, None),
        ({"input_tokens": 600, "cache_read_input_tokens": 600, "output_tokens": 5}, None),
        ({"input_tokens": 10, "output_tokens": 101}, None),
        ({"input_tokens": True, "output_tokens": 5}, None),
        ({"input_tokens": "10", "output_tokens": 5}, None),
        ({"input_tokens": 2**63, "output_tokens": 5}, None),
        ({"output_tokens": 5}, None),
        ({"input_tokens": 10}, None),
        ([], None),
        (None, None),
    ],
    ids=range(15),
)
def test_usage_is_believed_if_it_can_be(usage, used):
    assert MESSAGES.read(answer(usage=usage), POSSIBLE).usage == used


def test_a_failure_is_no_answer():
    failure = {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}
    for body in (orjson.dumps(failure), b"", b"[]", b"<html>"):
        with pytest.raises(AnswerUnreadableError):
            MESSAGES.read(body, POSSIBLE)


def stream(start, *deltas):
    reading = MESSAGE.reader()
    reading.feed(named({"type": "message_start", "message": {"usage": start}}))
    for delta in deltas:
        assert reading.feed(named({"type": "message_delta", "delta": {}, "usage": delta}))
    return reading


def test_what_a_stream_says_at_its_start_is_not_yet_what_it_cost():
    """Else a client that hangs up in the middle would pay for a token."""
    assert stream({"input_tokens": 10, "output_tokens": 1}).usage is None


def test_what_a_stream_says_of_its_input_at_its_start_is_remembered():
    start = {
        "input_tokens": 1,
        "cache_read_input_tokens": 300,
        "cache_creation_input_tokens": 20,
        "cache_creation": {"ephemeral_1h_input_tokens": 8},
        "output_tokens": 4,
    }
    reading = stream(start)
    assert reading.reported_input == TokenCounts(321, 0, 300, 12, 8)
    reading.feed(named({"type": "message_start", "message": {"usage": {"input_tokens": 1001}}}))
    assert reading.reported_input == TokenCounts(321, 0, 300, 12, 8)
    assert stream({"input_tokens": 0}).reported_input == TokenCounts(0, 0)


@pytest.mark.parametrize(
    "start",
    [
        {},
        None,
        [],
        {"output_tokens": 1},
        {"input_tokens": -1},
        {"input_tokens": 1001},
        {"input_tokens": True},
        {"input_tokens": 600, "cache_read_input_tokens": 600},
        {"input_tokens": 1, "cache_creation_input_tokens": "1"},
    ],
    ids=range(9),
)
def test_input_that_cannot_be_is_not_remembered(start):
    assert stream(start).reported_input is None


def test_the_parts_of_the_usage_are_put_together_and_later_ones_count():
    start = {"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 1}
    assert stream(start, {"output_tokens": 5}).usage == TokenCounts(110, 5, 100)
    assert stream(start, {"output_tokens": 5}, {"output_tokens": 7}).usage == TokenCounts(110, 7, 100)
    again = {"input_tokens": 12, "cache_read_input_tokens": 50, "cache_creation_input_tokens": None}
    assert stream(start, {**again, "output_tokens": 5}).usage == TokenCounts(62, 5, 50)
    assert stream(start, {"output_tokens": 5}, {"output_tokens": 10**9}).usage == TokenCounts(110, 5, 100)


def test_an_end_without_a_usage_is_an_end_that_is_counted():
    reading = stream({"input_tokens": 10})
    tool = {"type": "tool_use", "id": "t", "name": "hello", "input": {}}
    reading.feed(named({"type": "content_block_start", "content_block": tool}))
    for part in ('{"a":', '"x"}'):
        delta = {"type": "input_json_delta", "partial_json": part}
        reading.feed(named({"type": "content_block_delta", "delta": delta}))
    reading.feed(MESSAGE.closing)
    assert (reading.usage, reading.complete) == (None, True)
    assert reading.output_tokens() == counter().text('hello{"a":"x"}')
