"""Messages: the answer as one object, or as server-sent events.

A stream brings `message_start`, then for the block of the answer `content_block_start`, deltas and
`content_block_stop`, with a `ping` after the first of them; last `message_delta` with the reason and
the usage, and `message_stop`.

Source: Anthropic API reference, "Create a Message", "Streaming Messages".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from macroslow.emulator.answer import (
    Answer,
    ContextExceededError,
    Ending,
    answer,
    pieces,
)
from macroslow.emulator.anthropic import refusals
from macroslow.emulator.anthropic.dialect import WITHOUT_SAMPLING, Anthropic
from macroslow.emulator.anthropic.request import parse_message
from macroslow.emulator.ask import Ask
from macroslow.emulator.counting import Scales
from macroslow.emulator.work import Counts, Envelope, Event, Header, OfAsk, Served, refuse

_REASONS: Final = {
    Ending.DONE: "end_turn",
    Ending.STOP_SEQUENCE: "stop_sequence",
    Ending.TOOL: "tool_use",
    Ending.MAXIMUM: "max_tokens",
}


@dataclass(frozen=True, slots=True)
class MessagesApi:
    """`POST /v1/messages`."""

    served: Served
    scales: Scales
    dialect: Anthropic

    def prepare(self, raw: bytes, header: Header) -> "MessageWork":
        sampling = header(b"anthropic-version") != WITHOUT_SAMPLING
        ask = parse_message(raw, self.served, sampling=sampling)
        try:
            return MessageWork(ask, answer(ask, self.scales))
        except ContextExceededError as error:
            refuse(refusals.context_exceeded(error))

    def count(self, raw: bytes) -> bytes:
        """The answer of `/v1/messages/count_tokens`."""
        ask = parse_message(raw, self.served, counting=True)
        return orjson.dumps({"input_tokens": self.scales.input(ask)})


@dataclass(frozen=True, slots=True)
class MessageWork(OfAsk):
    """One request with its answer."""

    ask: Ask
    answer: Answer
    api: str = "messages"

    @property
    def counts(self) -> Counts:
        return Counts(self.answer.input_tokens, self.answer.output_tokens, self.ask.max_tokens)

    def whole(self, envelope: Envelope) -> bytes:
        blocks = [block | filled for block, filled in [self._block(envelope)] if block]
        body = self._message(envelope, blocks) | self._reason()
        return orjson.dumps(body | envelope.with_usage(self._usage(self.answer.output_tokens)))

    def events(self, envelope: Envelope) -> Iterator[Event]:
        opened = {"stop_reason": None, "stop_sequence": None, **envelope.with_usage(self._usage(1))}
        message = self._message(envelope, []) | opened
        yield _event("message_start", unseen_tokens=self.answer.reasoning_tokens, message=message)
        block, _ = self._block(envelope)
        if block:
            yield _event("content_block_start", index=0, content_block=block)
        yield _event("ping")
        if block:
            for text, delta in self._deltas():
                yield _event("content_block_delta", text, index=0, delta=delta)
            yield _event("content_block_stop", index=0)
        usage = envelope.with_usage(self._usage(self.answer.output_tokens))
        yield _event("message_delta", delta=self._reason(), **usage)
        yield _event("message_stop")

    def _message(self, envelope: Envelope, blocks: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"msg_01{envelope.digest[:22]}",
            "type": "message",
            "role": "assistant",
            "model": self.name,
            "content": blocks,
        }

    def _reason(self) -> dict[str, Any]:
        return {"stop_reason": _REASONS[self.answer.ending], "stop_sequence": self.answer.stop}

    def _block(self, envelope: Envelope) -> tuple[dict[str, Any], dict[str, Any]]:
        """The one block of the answer as it begins, and what fills it; an empty text makes none."""
        if call := self.answer.call:
            named = {"type": "tool_use", "id": f"toolu_01{envelope.digest[:22]}", "name": call.name}
            return {**named, "input": {}}, {"input": orjson.loads(call.arguments)}
        if not self.answer.content:
            return {}, {}
        return {"type": "text", "text": ""}, {"text": self.answer.content}

    def _deltas(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each piece with its delta; the first of a call brings its name."""
        call = self.answer.call
        if call is None:
            for text in pieces(self.answer.content):
                yield text, {"type": "text_delta", "text": text}
            return
        yield call.name, {"type": "input_json_delta", "partial_json": ""}
        for text in pieces(call.arguments):
            yield text, {"type": "input_json_delta", "partial_json": text}

    def _usage(self, output_tokens: int) -> dict[str, Any]:
        return {
            "input_tokens": self.answer.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": output_tokens,
            "service_tier": "standard",
        }


def _event(name: str, text: str = "", unseen_tokens: int = 0, **members: Any) -> Event:
    body = orjson.dumps({"type": name, **members})
    return Event(b"event: %b\ndata: %b\n\n" % (name.encode(), body), text, unseen_tokens)
