"""Responses: the official SDK, the documented sequence of events, conversations, and bad input."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.asking import KEY, THINKER, Reply, call, events_of, response_body

from macroslow.emulator import Emulator, create_emulator, running

MODEL = "gpt-4o-mini"
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}
CALL = 'Call the tool look with {"at": "the sky"}'
APP = create_emulator()


async def respond(app: Emulator, content: object = "Hello", **members: object) -> Reply:
    return await call(app, response_body(content, **members), path="/v1/responses")


@pytest.fixture
async def client() -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        running(create_emulator()) as base_url,
        openai.AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client,
    ):
        yield client


async def test_a_plain_response_is_what_was_asked_for(client: openai.AsyncOpenAI) -> None:
    response = await client.responses.create(
        model=MODEL, instructions="Be exact.", input="Answer with exactly: blue sky", temperature=0.5
    )
    assert (response.object, response.status, response.output_text) == ("response", "completed", "blue sky")
    assert (response.instructions, response.temperature, response.store) == ("Be exact.", 0.5, True)
    assert response.id.startswith("resp_")
    assert response.usage is not None
    assert response.usage.output_tokens == 2
    assert response.usage.input_tokens == 2 * 4 + 3 + 3 + 6
    assert response.usage.total_tokens == response.usage.input_tokens + 2


async def test_a_stream_is_the_documented_sequence(client: openai.AsyncOpenAI) -> None:
    stream = await client.responses.create(model=MODEL, input="Answer with exactly: one two", stream=True)
    events = [event async for event in stream]
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(10))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == ["one", " two"]
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "one two"
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == 2


async def test_the_sdks_own_reader_of_streams_is_content(client: openai.AsyncOpenAI) -> None:
    async with client.responses.stream(model=MODEL, input=CALL, tools=[TOOL]) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert "response.function_call_arguments.delta" in kinds
    (item,) = final.output
    assert item.type == "function_call"
    assert (item.name, orjson.loads(item.arguments), item.status) == ("look", {"at": "the sky"}, "completed")


async def test_a_call_its_result_and_the_answer_are_one_conversation(client: openai.AsyncOpenAI) -> None:
    first = await client.responses.create(model=MODEL, input=CALL, tools=[TOOL])
    (item,) = first.output
    assert item.type == "function_call"
    result = {"type": "function_call_output", "call_id": item.call_id, "output": "blue"}
    second = await client.responses.create(
        model=MODEL, previous_response_id=first.id, input=[result], tools=[TOOL]
    )
    assert second.output_text.startswith("Emulated answer to")
    assert second.previous_response_id == first.id
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens


async def test_a_stored_response_is_found_forgotten_and_then_not_found(client: openai.AsyncOpenAI) -> None:
    made = await client.responses.create(model=MODEL, input="Hello")
    assert (await client.responses.retrieve(made.id)).output_text == made.output_text
    await client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model=MODEL, input="And?", previous_response_id=made.id)
    assert (caught.value.param, caught.value.code) == ("previous_response_id", "previous_response_not_found")


async def test_what_is_not_to_be_stored_is_not_and_neither_is_what_broke_off(app: Emulator) -> None:
    made = (await respond(app, store=False)).json()
    assert (await call(app, method="GET", path=f"/v1/responses/{made['id']}")).status == 404


async def test_the_maximum_makes_a_response_incomplete(client: openai.AsyncOpenAI) -> None:
    response = await client.responses.create(model=MODEL, input="Answer with 90 words", max_output_tokens=16)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage is not None
    assert response.usage.output_tokens == 16


async def test_an_incomplete_stream_ends_with_its_own_event(app: Emulator) -> None:
    reply = await respond(app, "Answer with 90 words", max_output_tokens=16, stream=True)
    last = events_of(reply.body)[-1]
    assert (last["type"], last["response"]["status"]) == ("response.incomplete", "incomplete")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_reasoning_model_thinks_in_tokens_that_count_and_do_not_show(
    app: Emulator, stream: bool
) -> None:
    text = "Think for 64 tokens. Answer with exactly: yes"
    reply = await respond(app, text, model=THINKER, stream=stream)
    response = events_of(reply.body)[-1]["response"] if stream else reply.json()
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] == 64
    assert response["usage"]["output_tokens"] == 65
    assert app.statistics.report(0)["output_tokens"] == 65


async def test_a_required_tool_is_called_though_nobody_says_how(app: Emulator) -> None:
    response = (await respond(app, tools=[TOOL], tool_choice="required")).json()
    assert [(item["name"], item["arguments"]) for item in response["output"]] == [("look", "{}")]
    named = {"type": "function", "name": "look"}
    response = (await respond(app, tools=[TOOL], tool_choice=named)).json()
    assert response["output"][0]["type"] == "function_call"
    response = (await respond(app, CALL, tools=[TOOL], tool_choice="none")).json()
    assert response["output"][0]["type"] == "message"


async def test_what_clients_that_run_tools_of_their_own_send_is_taken_and_counted(app: Emulator) -> None:
    tools = [TOOL, {"type": "custom", "name": "apply_patch"}, {"type": "local_shell"}]
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "xyz"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin Patch"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "Done!"},
    ]
    members = {"store": False, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k"}
    with_tools = (await respond(app, items, tools=tools, **members)).json()["usage"]["input_tokens"]
    without = (await respond(app, items[:1], **members)).json()["usage"]["input_tokens"]
    assert with_tools > without + 40


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"input": 7}, "input", "invalid_type"),
        ({"input": [{"role": "user"}]}, "input[0].content", "missing_required_parameter"),
        ({"input": [{"type": "web_search_call"}]}, "input[0].type", "unsupported_parameter"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "input[0].content[0].type",
            "unsupported_parameter",
        ),
        ({"max_output_tokens": 15}, "max_output_tokens", "integer_below_min_value"),
        ({"max_output_tokens": 10**9}, "max_output_tokens", "invalid_value"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "unsupported_parameter"),
        ({"tool_choice": "required"}, "tool_choice", None),
        ({"background": True}, "background", "unsupported_parameter"),
        ({"conversation": "conv_1"}, "conversation", "unsupported_parameter"),
        ({"text": {"format": {"type": "json_object"}}}, "input", None),
        ({"messages": []}, "messages", "unknown_parameter"),
    ],
)
async def test_a_wrong_member_is_named_with_its_code(
    members: dict[str, object], param: str, code: str | None
) -> None:
    reply = await call(APP, orjson.dumps({"model": MODEL, "input": "x"} | members), path="/v1/responses")
    error = reply.json()["error"]
    assert (reply.status, error["param"], error["code"]) == (400, param, code)


async def test_no_input_at_all_is_a_missing_parameter() -> None:
    reply = await call(APP, orjson.dumps({"model": MODEL}), path="/v1/responses")
    assert reply.json()["error"]["code"] == "missing_required_parameter"


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["message", "function_call", "function_call_output", "reasoning"]) | VALUE,
        "role": st.sampled_from(["user", "assistant"]) | VALUE,
        "content": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["input_text", "input_image", "refusal"])},
                optional={"text": VALUE, "image_url": VALUE, "detail": VALUE, "refusal": VALUE},
            ),
            max_size=2,
        )
        | VALUE,
        "call_id": VALUE,
        "name": VALUE,
        "arguments": VALUE,
        "output": VALUE,
        "summary": VALUE,
    },
)
MEMBERS = [
    "instructions",
    "previous_response_id",
    "max_output_tokens",
    "tools",
    "tool_choice",
    "text",
    "store",
]


@settings(max_examples=80, deadline=None)
@given(
    body=st.fixed_dictionaries(
        {"model": st.just(MODEL) | VALUE, "input": st.lists(ITEM, max_size=3) | VALUE},
        optional=dict.fromkeys([*MEMBERS, "store", "stream", "include", "truncation", "reasoning"], VALUE),
    )
)
async def test_any_object_gets_an_answer_or_a_refusal(body: dict[str, Any]) -> None:
    reply = await call(APP, orjson.dumps(body), path="/v1/responses")
    assert reply.complete
    assert reply.status == 200 or 400 <= reply.status < 500
