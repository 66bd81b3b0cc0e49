"""Chat completions: the answer as one object, or as server-sent events.

Source: OpenAI API reference, "The chat completion object", "The chat completion chunk object".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from macroslow.emulator.answer import Answer, ContextExceededError, Ending, answer, pieces
from macroslow.emulator.ask import Ask
from macroslow.emulator.counting import Scales
from macroslow.emulator.openai import refusals
from macroslow.emulator.openai.chat_request import parse_chat
from macroslow.emulator.openai.dialect import OpenAI
from macroslow.emulator.work import Counts, Envelope, Event, Header, OfAsk, Served, refuse

FINGERPRINT: Final = "fp_emulator00"
_DONE: Final = Event(b"data: [DONE]\n\n")
_REASONS: Final = {
    Ending.DONE: "stop",
    Ending.STOP_SEQUENCE: "stop",
    Ending.TOOL: "tool_calls",
    Ending.MAXIMUM: "length",
}


@dataclass(frozen=True, slots=True)
class ChatApi:
    """`POST /v1/chat/completions`."""

    served: Served
    scales: Scales
    dialect: OpenAI

    def prepare(self, raw: bytes, header: Header) -> "ChatWork":
        ask, include_usage = parse_chat(raw, self.served)
        try:
            return ChatWork(ask, answer(ask, self.scales), include_usage)
        except ContextExceededError as error:
            refuse(refusals.context_exceeded(error))


@dataclass(frozen=True, slots=True)
class ChatWork(OfAsk):
    """One request with its answer."""

    ask: Ask
    answer: Answer
    include_usage: bool
    api: str = "completions"

    @property
    def counts(self) -> Counts:
        most = self.ask.max_tokens
        return Counts(
            self.answer.input_tokens,
            self.answer.output_tokens,
            None if most is None else most * self.ask.choices,
        )

    def whole(self, envelope: Envelope) -> bytes:
        choices = [
            {
                "index": at,
                "message": self._message(envelope, at),
                "logprobs": None,
                "finish_reason": _REASONS[self.answer.ending],
            }
            for at in range(self.answer.choices)
        ]
        body = self._object(envelope, "chat.completion", choices)
        return orjson.dumps(body | envelope.with_usage(_usage(self.answer)))

    def events(self, envelope: Envelope) -> Iterator[Event]:
        """A chunk that opens with the role, one a word, one that closes with the reason, for each choice.

        Then, if asked for, one with the usage and no choice; last `[DONE]`.
        """
        everyone = range(self.answer.choices)
        for at in everyone:
            opening = {"role": "assistant", "content": "", "refusal": None}
            yield Event(self._chunk(envelope, at, opening), unseen_tokens=self._unseen_tokens)
        for parts in zip(*(self._deltas(envelope, at) for at in everyone), strict=True):
            for at, (text, delta) in zip(everyone, parts, strict=True):
                yield Event(self._chunk(envelope, at, delta), text)
        for at in everyone:
            yield Event(self._chunk(envelope, at, {}, _REASONS[self.answer.ending]))
        if self.include_usage:
            usage = self._object(envelope, "chat.completion.chunk", [])
            yield Event(_event(usage | envelope.with_usage(_usage(self.answer))))
        yield _DONE

    @property
    def _unseen_tokens(self) -> int:
        return self.answer.reasoning_tokens // self.answer.choices

    def _message(self, envelope: Envelope, at: int) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": self.answer.content,
            "refusal": None,
            "annotations": [],
        }
        if call := self.answer.call:
            function = {"name": call.name, "arguments": call.arguments}
            message["content"] = None
            message["tool_calls"] = [{"id": _call_id(envelope, at), "type": "function", "function": function}]
        return message

    def _deltas(self, envelope: Envelope, at: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """What a choice brings after its role: each piece of text with its delta."""
        call = self.answer.call
        if call is None:
            for text in pieces(self.answer.content):
                yield text, {"content": text}
            return
        begun = {"id": _call_id(envelope, at), "type": "function"}
        yield call.name, _tool_delta({**begun, "function": {"name": call.name, "arguments": ""}})
        for text in pieces(call.arguments):
            yield text, _tool_delta({"function": {"arguments": text}})

    def _chunk(
        self, envelope: Envelope, at: int, delta: dict[str, Any], finish_reason: str | None = None
    ) -> bytes:
        choice = {"index": at, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        body = self._object(envelope, "chat.completion.chunk", [choice])
        return _event(body | ({"usage": None} if self.include_usage else {}))

    def _object(self, envelope: Envelope, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{envelope.digest[:29]}",
            "object": kind,
            "created": envelope.created_s,
            "model": self.ask.name,
            "choices": choices,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        }


def _call_id(envelope: Envelope, at: int) -> str:
    return f"call_{envelope.digest[:20]}{at:04}"


def _tool_delta(call: dict[str, Any]) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, **call}]}


def _event(body: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(body)


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": answer.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
