"""Tool calls of chat completions, plain and streamed, until the result is there."""

import openai
import orjson
import pytest
from tests.emulator.asking import KEY, THINKER, Ask

from macroslow.emulator import Emulator, create_emulator, running

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
OTHER = {"type": "function", "function": {"name": "other"}}
CALL = 'Call the tool look with {"at": [1, 2]}'


async def test_a_tool_is_called_and_its_result_ends_the_turn(ask: Ask) -> None:
    first = (await ask(CALL, tools=[OTHER, TOOL])).json()["choices"][0]
    assert (first["finish_reason"], first["message"]["content"]) == ("tool_calls", None)
    (called,) = first["message"]["tool_calls"]
    assert (called["function"]["name"], called["function"]["arguments"]) == ("look", '{"at":[1,2]}')
    messages = [
        {"role": "user", "content": CALL},
        {k: first["message"][k] for k in ("role", "content", "tool_calls")},
        {"role": "tool", "tool_call_id": called["id"], "content": "blue"},
    ]
    assert (await ask(messages=messages, tools=[TOOL])).json()["choices"][0]["finish_reason"] == "stop"


async def test_a_stream_brings_the_name_and_then_the_arguments() -> None:
    async with (
        running(create_emulator()) as base_url,
        openai.AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client,
        client.chat.completions.stream(
            model="gpt-4o-mini", messages=[{"role": "user", "content": CALL}], tools=[TOOL], n=2
        ) as stream,
    ):
        final = await stream.get_final_completion()
    calls = [choice.message.tool_calls for choice in final.choices]
    assert [call[0].function.name for call in calls if call] == ["look", "look"]
    assert [orjson.loads(call[0].function.arguments) for call in calls if call] == [{"at": [1, 2]}] * 2
    assert len({call[0].id for call in calls if call}) == 2
    assert {choice.finish_reason for choice in final.choices} == {"tool_calls"}


@pytest.mark.parametrize(
    ("content", "members", "name"),
    [
        (CALL, {"tool_choice": "none"}, None),
        ("Hello", {}, None),
        ("Hello", {"tool_choice": "required"}, "look"),
        (CALL, {"tool_choice": {"type": "function", "function": {"name": "other"}}}, "other"),
        ("Call the tool nobody with {}", {}, None),
        ("Call the tool look with {not JSON}", {}, "look"),
    ],
)
async def test_a_tool_is_called_if_it_may_be_or_has_to_be(
    ask: Ask, content: str, members: dict[str, object], name: str | None
) -> None:
    message = (await ask(content, tools=[TOOL, OTHER], **members)).json()["choices"][0]["message"]
    assert [call["function"]["name"] for call in message.get("tool_calls", ())] == [name] * bool(name)


async def test_a_call_that_does_not_fit_the_maximum_is_none(ask: Ask) -> None:
    choice = (await ask(CALL, tools=[TOOL], max_tokens=3)).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert "tool_calls" not in choice["message"]


async def test_thinking_takes_from_the_maximum_first(ask: Ask, app: Emulator) -> None:
    text = "Think for 90 tokens. Answer with 50 words"
    reply = await ask(text, model=THINKER, max_completion_tokens=40)
    assert reply.json()["choices"][0]["message"]["content"] == ""
    assert reply.json()["usage"]["completion_tokens_details"]["reasoning_tokens"] == 40
    assert (await ask(text)).json()["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
