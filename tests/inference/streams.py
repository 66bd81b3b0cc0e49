"""Streams as providers send them, one for each API that has them, for tests that hold for all."""

from dataclasses import dataclass
from typing import Any

import orjson
from tests.metering.vocabulary import counter

from macroslow.inference import CHAT_COMPLETIONS, MESSAGES, RESPONSES
from macroslow.inference.operation import Operation, Possible, StreamReader
from macroslow.metering.prices import TokenCounts

POSSIBLE = Possible(1000, 100)
DONE = b"data: [DONE]\n\n"
_USER = [{"role": "user", "content": "hi"}]


def named(payload: dict[str, Any]) -> bytes:
    """An event with its name, as the newer APIs send them."""
    return b"event: " + payload["type"].encode() + b"\ndata: " + orjson.dumps(payload) + b"\n\n"


def chunk(**members: Any) -> bytes:
    """An event of a chat stream."""
    return b"data: " + orjson.dumps(members) + b"\n\n"


def said(text: str, **members: Any) -> bytes:
    """A piece of text in a chat stream."""
    return chunk(choices=[{"index": 0, "delta": {"content": text}}], **members)


@dataclass(frozen=True)
class Stream:
    """A whole stream: what the client sees before its end, what is kept from it, its end."""

    operation: Operation
    body: dict[str, Any]
    shown: tuple[bytes, ...]
    closing: bytes
    id: str = ""
    hidden: bytes = b""

    @property
    def raw(self) -> bytes:
        return b"".join(self.shown) + self.hidden + self.closing

    def reader(self, possible: Possible = POSSIBLE) -> StreamReader:
        request = self.operation.parse(orjson.dumps(self.body))
        return self.operation.reader(request, counter(), possible)


CHAT = Stream(
    CHAT_COMPLETIONS,
    {"model": "m", "messages": _USER, "stream": True},
    (b": ping\r\n\r\n", said("hello", usage=None), said(" wörld", usage=None)),
    DONE,
    hidden=chunk(choices=[], usage={"prompt_tokens": 10, "completion_tokens": 5}),
)
_RESPONSE = {"id": "resp_1", "object": "response", "output": [], "error": None, "usage": None}
_USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
RESPONSE = Stream(
    RESPONSES,
    {"model": "m", "input": "hi", "stream": True},
    (
        named({"type": "response.created", "response": {**_RESPONSE, "status": "in_progress"}}),
        named({"type": "response.reasoning_summary_text.delta", "delta": "hello"}),
        named({"type": "response.output_text.delta", "delta": " wörld"}),
        named({"type": "response.output_text.done", "text": " wörld"}),
    ),
    named({"type": "response.completed", "response": {**_RESPONSE, "status": "completed", "usage": _USAGE}}),
    id="resp_1",
)
MESSAGE = Stream(
    MESSAGES,
    {"model": "m", "messages": _USER, "max_tokens": 50, "stream": True},
    (
        named({"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}),
        named(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}
        ),
        named({"type": "ping"}),
        named({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hello"}}),
        named({"type": "content_block_delta", "delta": {"type": "text_delta", "text": " wörld"}}),
        named({"type": "content_block_stop", "index": 0}),
        named({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}),
    ),
    named({"type": "message_stop"}),
)
STREAMS = (CHAT, RESPONSE, MESSAGE)
IDS = tuple(stream.operation.name for stream in STREAMS)
USED = TokenCounts(10, 5)
WRITTEN = "hello wörld"
