"""Responses: what is served, what is refused by name, and what answers say."""

import orjson
import pytest
from tests.inference.clients import CODEX, CODEX_SEARCH
from tests.inference.streams import POSSIBLE, RESPONSE, USED, named
from tests.metering.vocabulary import counter

from macroslow.errors import InvalidModelRequestError
from macroslow.inference import RESPONSES
from macroslow.inference.operation import AnswerUnreadableError
from macroslow.inference.responses_members import RESPONSE_OPTIONAL, RESPONSE_REQUIRED
from macroslow.metering.images import Image
from macroslow.metering.prices import TokenCounts

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": None}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
LONG = "word " * 50


def parse(given="x", **more):
    return RESPONSES.parse(orjson.dumps({"model": "m", "input": given, **more}))


def forwarded(given="x", **more):
    return orjson.loads(parse(given, **more).forwarded("up", 7, reasoning=True))


def tokens(given="x", **more) -> int:
    return counter().prompt(parse(given, **more).prompt)


def test_what_codex_sends_is_forwarded_as_it_is():
    request = RESPONSES.parse(orjson.dumps(CODEX))
    sent = orjson.loads(request.forwarded(request.model, 7, reasoning=True))
    assert sent.pop("max_output_tokens") == 7
    sent["input"][2]["content"] = None  # "not given"
    assert sent == CODEX
    assert (request.stream, request.stores, request.continues) == (True, False, "")
    assert request.prompt.images == (Image(64, 32, "high"),)
    assert request.prompt.framing_tokens > 40  # sealed thinking among it


def test_a_search_that_codex_offers_unless_told_otherwise_is_refused_by_name():
    with pytest.raises(InvalidModelRequestError) as caught:
        RESPONSES.parse(orjson.dumps({**CODEX, "tools": [*CODEX["tools"], CODEX_SEARCH]}))
    assert caught.value.param == "tools[3].type"
    assert "web_search is not served: what it would cost is not known here" in caught.value.detail


@pytest.mark.parametrize(
    "tool",
    [
        FUNCTION,
        {"type": "function", "name": "f", "parameters": None, "strict": True, "description": "d"},
        {"type": "custom", "name": "c"},
        {"type": "custom", "name": "c", "format": {"type": "text"}},
        {"type": "namespace", "name": "n", "description": "d", "tools": [FUNCTION]},
        {"type": "local_shell"},
        {"type": "shell", "environment": {"type": "local"}},
        {"type": "apply_patch"},
        {"type": "tool_search", "execution": "client", "description": "d", "parameters": {}},
    ],
    ids=range(9),
)
def test_tools_that_the_client_executes_are_served(tool):
    assert forwarded(tools=[tool])["tools"] == [tool]
    item = {"type": "additional_tools", "role": "developer", "tools": [tool]}
    assert forwarded([item])["input"] == [item]
    assert tokens(tools=[tool]) > tokens()


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "web_search"}, "type"),
        ({"type": "web_search_preview"}, "type"),
        ({"type": "file_search", "vector_store_ids": ["vs_1"]}, "type"),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, "type"),
        ({"type": "image_generation"}, "type"),
        ({"type": "computer_use_preview"}, "type"),
        ({"type": "computer"}, "type"),
        ({"type": "mcp", "server_label": "x", "server_url": "http://x"}, "type"),
        ({"type": "programmatic_tool_calling"}, "type"),
        ({"type": "shell"}, "environment"),
        ({"type": "shell", "environment": {"type": "container_auto"}}, "environment.type"),
        ({"type": "tool_search"}, "execution"),
        ({"type": "tool_search", "execution": "server"}, "execution"),
        ({**FUNCTION, "allowed_callers": ["programmatic"]}, "allowed_callers[0]"),
        ({**FUNCTION, "async": True}, "async"),
        (
            {"type": "namespace", "name": "n", "description": "d", "tools": [{"type": "web_search"}]},
            "tools[0].type",
        ),
        ({"name": "f"}, "type"),
        ({"type": 5}, "type"),
    ],
    ids=range(18),
)
def test_tools_that_the_provider_executes_are_refused_by_name(tool, param):
    item = {"type": "tool_search_output", "tools": [tool]}
    for given, more, where in (
        ("x", {"tools": [FUNCTION, tool]}, "tools[1]"),
        ([item], {}, "input[0].tools[0]"),
    ):
        with pytest.raises(InvalidModelRequestError) as caught:
            parse(given, **more)
        assert caught.value.param == f"{where}.{param}"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"moderation": {"model": "omni"}}, "moderation"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"include": ["file_search_call.results"]}, "include[0]"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"reasoning": {"effort": 5}}, "reasoning.effort"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "s"}}}, "text.format.schema"),
        ({"previous_response_id": ""}, "previous_response_id"),
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"store": "no"}, "store"),
        ({"stream": 1}, "stream"),
        ({"max_tool_calls": 1}, "max_tool_calls"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice.type"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"messages": []}, "messages"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"input": 5}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{}]}, "input[0].role"),
        ({"input": [{"id": "msg_1"}]}, "input[0].role"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "input[0].type"),
        ({"input": [{"type": "mcp_call", "id": "x"}]}, "input[0].type"),
        ({"input": [CALL, {"type": "function_call"}]}, "input[1].call_id"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input[0].content[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}]},
            "input[0].content[0].image_url",
        ),
        ({"input": [{"type": "reasoning", "summary": [{"text": "x"}]}]}, "input[0].summary[0].type"),
    ],
    ids=range(36),
)
def test_a_member_at_fault_is_named(change, param):
    with pytest.raises(InvalidModelRequestError) as caught:
        parse(**{"given": change.pop("input", "x"), **change})
    assert caught.value.param == param


def test_every_member_that_is_served_is_forwarded_as_it_is():
    schema = {"type": "json_schema", "name": "s", "schema": {}, "strict": None, "description": "d"}
    values = {
        "instructions": "i",
        "tools": [FUNCTION],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function"}]},
        "parallel_tool_calls": False,
        "text": {"format": schema, "verbosity": "low"},
        "reasoning": {"effort": "none", "summary": None, "context": "auto"},
        "include": [],
        "max_output_tokens": 7,
        "temperature": 2,
        "top_p": 0.5,
        "top_logprobs": 3,
        "truncation": "auto",
        "stream": True,
        "stream_options": {"include_obfuscation": False},
        "store": True,
        "background": False,
        "previous_response_id": "resp_0",
        "metadata": {"a": "b"},
        "client_metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
        "prompt_cache_retention": "24h",
        "safety_identifier": "s",
        "user": "u",
        "service_tier": "default",
    }
    assert values.keys() == RESPONSE_OPTIONAL.keys()
    sent = forwarded(**values)
    assert {name: sent[name] for name in values} == values
    assert sent.keys() == RESPONSE_OPTIONAL.keys() | RESPONSE_REQUIRED.keys()


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": LONG},
        {"role": "assistant", "content": [{"type": "output_text", "text": LONG}], "phase": "commentary"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": LONG}]},
        {**CALL, "arguments": LONG, "namespace": "n"},
        {"type": "function_call_output", "call_id": "c", "output": LONG},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": LONG}]},
        {"type": "custom_tool_call", "call_id": "c", "name": "n", "input": LONG},
        {"type": "custom_tool_call_output", "call_id": "c", "output": LONG},
        {"type": "reasoning", "summary": [], "encrypted_content": LONG},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": LONG}]},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": LONG}]},
        {"type": "local_shell_call", "call_id": "c", "action": {"command": [LONG]}},
        {"type": "local_shell_call_output", "id": "c", "output": LONG},
        {"type": "shell_call", "call_id": "c", "action": {"commands": [LONG]}},
        {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": LONG, "stderr": ""}]},
        {"type": "apply_patch_call", "call_id": "c", "operation": {"diff": LONG}},
        {"type": "apply_patch_call_output", "call_id": "c", "status": "failed", "output": LONG},
        {"type": "tool_search_call", "execution": "client", "arguments": {"q": LONG}},
        {"type": "tool_search_output", "execution": "client", "tools": [{**FUNCTION, "description": LONG}]},
        {"type": "compaction", "encrypted_content": LONG},
    ],
    ids=range(20),
)
def test_everything_a_model_reads_is_counted(item):
    assert forwarded([item])["input"] == [item]
    assert tokens([item]) > tokens([]) + 50


def test_instructions_schemas_and_pictures_are_counted():
    assert tokens(instructions=LONG) > tokens() + 50
    schema = {"type": "json_schema", "name": "s", "schema": {"description": LONG}}
    assert tokens(text={"format": schema}) > tokens() + 50
    assert tokens(text={"format": {"type": "text"}}) == tokens()
    picture = {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low"}
    assert parse([{"role": "user", "content": [picture]}]).prompt.images == (Image(None, None, "low"),)


def test_what_sdks_send_back_of_answers_is_left_out():
    said = {"type": "output_text", "text": "x", "annotations": [{"type": "url_citation"}], "logprobs": []}
    item = {"type": "message", "role": "assistant", "id": "msg_1", "status": None, "content": [said]}
    call = {**CALL, "caller": {"type": "direct"}, "internal_chat_message_metadata_passthrough": {"a": 1}}
    assert forwarded([item, call])["input"] == [
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "content": [{"type": "output_text", "text": "x"}],
        },
        CALL,
    ]


def answer(**members) -> bytes:
    return orjson.dumps(
        {"id": "resp_1", "object": "response", "status": "completed", "output": [], **members}
    )


USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


def test_an_answer_tells_its_id_its_usage_and_its_texts():
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}], "content": None},
        {
            "type": "message",
            "content": [{"type": "output_text", "text": "b"}, {"type": "refusal", "refusal": "c"}],
        },
        {"type": "function_call", "name": "d", "arguments": "e"},
        {"type": "custom_tool_call", "name": "f", "input": "g"},
    ]
    read = RESPONSES.read(answer(output=output, usage=USAGE), POSSIBLE)
    assert (read.usage, read.id) == (USED, "resp_1")
    assert tuple(read.texts) == ("a", "b", "c", "d", "e", "f", "g")


@pytest.mark.parametrize("given", [None, 5, "x" * 257, ["resp_1"]])
def test_an_id_that_is_none_is_none(given):
    assert RESPONSES.read(answer(id=given), POSSIBLE).id == ""


def test_parts_of_the_input_are_told_apart():
    details = {"cached_tokens": 4, "cache_write_tokens": 3}
    assert RESPONSES.read(
        answer(usage={**USAGE, "input_tokens_details": details}), POSSIBLE
    ).usage == TokenCounts(10, 5, 4, 3, 0)
    details["cache_write_tokens_details"] = {"ttl_30m_tokens": 1, "ttl_12h_tokens": 2}
    assert RESPONSES.read(
        answer(usage={**USAGE, "input_tokens_details": details}), POSSIBLE
    ).usage == TokenCounts(10, 5, 4, 1, 2)


def test_a_failure_that_reports_its_usage_is_billed_and_one_that_does_not_is_unknown():
    failed = {"status": "failed", "error": {"code": "server_error", "message": "sk-canary"}}
    assert RESPONSES.read(answer(**failed, usage=USAGE), POSSIBLE).usage == USED
    with pytest.raises(AnswerUnreadableError):
        RESPONSES.read(answer(**failed), POSSIBLE)
    reading = RESPONSE.reader()
    last = named({"type": "response.failed", "response": {**failed, "usage": USAGE}})
    assert reading.feed(last) == b""
    assert (reading.closing, reading.usage, reading.complete) == (last, USED, True)
    with pytest.raises(AnswerUnreadableError):
        RESPONSE.reader().feed(named({"type": "response.failed", "response": failed}))


def test_an_answer_that_stopped_early_is_an_answer():
    reading = RESPONSE.reader()
    details = {"incomplete_details": {"reason": "max_output_tokens"}, "status": "incomplete"}
    last = named({"type": "response.incomplete", "response": {"id": "resp_2", **details, "usage": USAGE}})
    reading.feed(last)
    assert (reading.closing, reading.usage, reading.id) == (last, USED, "resp_2")


def test_an_end_whose_usage_cannot_be_is_an_end_that_is_counted():
    reading = RESPONSE.reader()
    reading.feed(b"".join(RESPONSE.shown))
    lie = {**USAGE, "output_tokens": 10**9}
    reading.feed(named({"type": "response.completed", "response": {"usage": lie}}))
    assert (reading.usage, reading.complete, reading.id) == (None, True, "resp_1")
    assert reading.output_tokens() == counter().text("hello wörld")


def test_arguments_and_refusals_are_counted_as_they_come():
    reading = RESPONSE.reader()
    for kind in ("function_call_arguments", "custom_tool_call_input", "refusal", "reasoning_text"):
        reading.feed(named({"type": f"response.{kind}.delta", "delta": LONG}))
        reading.feed(named({"type": f"response.{kind}.done", "arguments": LONG, "text": LONG}))
    assert reading.output_tokens() == counter().text(LONG * 4)
