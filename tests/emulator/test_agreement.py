"""What the emulator counts, a gateway that counts the same request has to believe."""

import orjson
import pytest
from tests.emulator.asking import CLAUDE, KEY, VERSION, call

from macroslow.adapters import packaged
from macroslow.emulator import create_emulator
from macroslow.inference.chat import ChatCompletions
from macroslow.inference.embeddings import Embeddings
from macroslow.inference.messages import Messages
from macroslow.inference.operation import Operation
from macroslow.inference.responses import Responses
from macroslow.metering.count import count_prompt

APP = create_emulator()
SCHEMA = {"type": "object", "properties": {"at": {"type": "string", "description": "Where to look."}}}
LONG = "The quick brown fox — 東京, Grüße 🌍 — jumps over 12345 lazy dogs.\n" * 20
CHAT = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": LONG}], "name": "ada"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at":"x"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "blue"},
        {"role": "user", "content": "And?"},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}],
}
RESPONSE = {
    "model": "gpt-4o",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": LONG}]},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"at":"x"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "blue"},
        {"role": "user", "content": "And?"},
    ],
    "tools": [{"type": "function", "name": "look", "parameters": SCHEMA}],
    "store": False,
}
CALLED = {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "x"}}
MESSAGE = {
    "model": CLAUDE,
    "max_tokens": 50,
    "system": "Be brief.",
    "messages": [
        {"role": "user", "content": LONG},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "x"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "blue"}]},
    ],
    "tools": [{"name": "look", "input_schema": SCHEMA}],
}


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (ChatCompletions(), CHAT),
        (Responses(), RESPONSE),
        (Messages(), MESSAGE),
        (Embeddings(), {"model": "text-embedding-3-large", "input": [LONG, "sky"]}),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
async def test_the_input_it_reports_is_within_what_was_held_for_it(
    operation: Operation, body: dict[str, object]
) -> None:
    raw = orjson.dumps(body)
    headers = {"x-api-key": KEY, "anthropic-version": VERSION} if operation.dialect == "anthropic" else None
    reply = await call(APP, raw, path=f"/v1{operation.path}", headers=headers)
    assert reply.status == 200, reply.body
    usage = reply.json()["usage"]
    reported = usage.get("input_tokens", usage.get("prompt_tokens"))
    model = packaged.catalogue().find(str(body["model"]))
    assert model is not None
    counted = count_prompt(operation.parse(raw).prompt, model, packaged.counters())
    assert reported <= counted.most_tokens
    assert abs(reported - counted.tokens) <= max(20, counted.tokens // 4)
