"""What OpenAI's own client sends is served as it is, and it understands what comes through."""

import importlib.util
from typing import Any

import orjson
import pytest
from tests.inference.streams import CHAT, RESPONSE, Stream

from macroslow.inference import CHAT_COMPLETIONS, EMBEDDINGS, RESPONSES

pytestmark = pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="openai is not installed")

OPERATIONS = {f"/v1{operation.path}": operation for operation in (CHAT_COMPLETIONS, RESPONSES, EMBEDDINGS)}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": False}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ANSWERS: dict[str, dict[str, Any]] = {
    "/v1/responses": {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "output": [
            {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA", "status": None},
            {"id": "fc_1", "type": "function_call", "arguments": "{}", "call_id": "call_1", "name": "f"},
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
            },
        ],
    },
    "/v1/chat/completions": {
        "id": "c",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": None,
                    "refusal": None,
                    "annotations": [],
                    "tool_calls": [CALL],
                },
            }
        ],
    },
    "/v1/embeddings": {"object": "list", "data": [], "model": "m", "usage": {}},
}


class Wire:
    """In place of the network: every request is read as the gateway reads it, then answered."""

    def __init__(self, stream: Stream | None = None) -> None:
        self.stream = stream
        self.sent: list[dict[str, Any]] = []

    def __call__(self, request: Any) -> Any:
        import httpx2

        given = orjson.loads(request.content)
        parsed = OPERATIONS[request.url.path].parse(request.content)
        forwarded = orjson.loads(
            parsed.forwarded(parsed.model, parsed.max_output_tokens or 9, reasoning=False)
        )
        self.sent.append(forwarded)
        kept = {
            name: forwarded[name] for name in given if name not in ("input", "messages", "stream_options")
        }
        assert kept == {name: given[name] for name in kept}
        if self.stream is None:
            return httpx2.Response(200, json=ANSWERS[request.url.path])
        reading = self.stream.reader()
        content = reading.feed(self.stream.raw) + reading.closing
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=content)

    def client(self) -> Any:
        import httpx2
        import openai

        transport = httpx2.MockTransport(self)
        return openai.OpenAI(
            api_key="msk_x", base_url="http://gateway/v1", http_client=httpx2.Client(transport=transport)
        )


def test_chats_with_pictures_and_tools_go_there_and_back():
    wire = Wire()
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/b.png", "detail": "low"}}
    asked = {"role": "user", "content": [{"type": "text", "text": "what is this?"}, picture]}
    with wire.client() as client:
        tools = [{"type": "function", "function": FUNCTION}]
        first = client.chat.completions.create(model="m", messages=[asked], tools=tools)
        said = first.choices[0].message
        result = {"role": "tool", "tool_call_id": "c1", "content": "1"}
        client.chat.completions.create(model="m", messages=[asked, said, result], tools=tools, max_tokens=5)
    assert wire.sent[1]["messages"] == [asked, {"role": "assistant", "tool_calls": [CALL]}, result]


def test_responses_with_reasoning_and_tools_go_there_and_back():
    wire = Wire()
    shown = {"type": "input_image", "image_url": "https://example.org/b.png", "detail": "auto"}
    asked = {"role": "user", "content": [{"type": "input_text", "text": "x"}, shown]}
    kept = {"store": False, "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low"}}
    with wire.client() as client:
        tools = [{"type": "function", **FUNCTION}]
        first = client.responses.create(model="m", input=[asked], tools=tools, instructions="i", **kept)
        result = {"type": "function_call_output", "call_id": "call_1", "output": "1"}
        client.responses.create(model="m", input=[asked, *first.output, result], tools=tools, **kept)
        client.responses.create(model="m", input="go on", previous_response_id="resp_1", max_output_tokens=16)
    items = wire.sent[1]["input"]
    assert [item.get("type", "message") for item in items] == [
        "message",
        "reasoning",
        "function_call",
        "message",
        "function_call_output",
    ]
    assert items[1] == {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"}


def test_embeddings_are_asked_for():
    wire = Wire()
    with wire.client() as client, pytest.raises(ValueError, match="No embedding"):
        client.embeddings.create(model="m", input=["a", "b"], dimensions=8)
    assert wire.sent[0] == {"model": "m", "input": ["a", "b"], "dimensions": 8, "encoding_format": "base64"}


def test_streams_are_understood_without_what_is_kept_back():
    with Wire(CHAT).client() as client:
        chunks = list(
            client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "x"}], stream=True
            )
        )
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "hello wörld"
    with Wire(RESPONSE).client() as client:
        events = list(client.responses.create(model="m", input="x", stream=True))
    assert events[-1].type == "response.completed"
    assert events[-1].response.usage.output_tokens == 5
