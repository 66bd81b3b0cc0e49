"""Responses: the answer as one object, or as server-sent events that are numbered and named.

A stream brings `response.created` and `response.in_progress`; for each item of the output
`response.output_item.added`, its parts and deltas, `response.output_item.done`; last
`response.completed`, or `response.incomplete` where the maximum was reached.

Source: OpenAI API reference, "The response object", "Streaming events".
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from macroslow.emulator.answer import Answer, ContextExceededError, Ending, answer, pieces
from macroslow.emulator.ask import Message
from macroslow.emulator.counting import Scales
from macroslow.emulator.openai import refusals
from macroslow.emulator.openai.dialect import OpenAI
from macroslow.emulator.openai.response_request import ResponseRequest, parse_response
from macroslow.emulator.openai.response_store import Kept, ResponseStore
from macroslow.emulator.work import Counts, Envelope, Event, Header, Served, refuse
from macroslow.metering.models import Model

# What the object repeats of the request, with the service's defaults.
_REPEATED: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


@dataclass(frozen=True, slots=True)
class ResponsesApi:
    """`POST /v1/responses`."""

    served: Served
    scales: Scales
    dialect: OpenAI
    store: ResponseStore = field(default_factory=ResponseStore)

    def prepare(self, raw: bytes, header: Header) -> "ResponseWork":
        request = parse_response(raw, self.served, self.store)
        try:
            return ResponseWork(request, answer(request.ask, self.scales), self.store)
        except ContextExceededError:
            message = (
                "Your input exceeds the context window of this model. Please adjust your input and try again."
            )
            refuse(refusals.bad_value("input", message, "context_length_exceeded"))


@dataclass(frozen=True, slots=True)
class ResponseWork:
    """One request with its answer, which is kept when it is sent to its end."""

    request: ResponseRequest
    answer: Answer
    store: ResponseStore
    api: str = "completions"

    @property
    def model(self) -> Model:
        return self.request.ask.model

    @property
    def name(self) -> str:
        return self.request.ask.name

    @property
    def stream(self) -> bool:
        return self.request.ask.stream

    @property
    def counts(self) -> Counts:
        answered = self.answer
        return Counts(answered.input_tokens, answered.output_tokens, self.request.ask.max_tokens)

    def whole(self, envelope: Envelope) -> bytes:
        return orjson.dumps(self._finished(envelope))

    def events(self, envelope: Envelope) -> Iterator[Event]:
        for number, (name, members, text, unseen_tokens) in enumerate(self._steps(envelope)):
            body = {"type": name, "sequence_number": number, **members}
            raw = b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(body))
            yield Event(raw, text, unseen_tokens)

    def _steps(self, envelope: Envelope) -> Iterator[tuple[str, dict[str, Any], str, int]]:
        """The events: type, members, and the text and unseen tokens that they bring."""
        begun = self._object(envelope, "in_progress", [])
        yield "response.created", {"response": begun}, "", 0
        yield "response.in_progress", {"response": begun}, "", 0
        for index, item in enumerate(self._output(envelope)):
            at = {"output_index": index}
            unseen_tokens = self.answer.reasoning_tokens if item["type"] == "reasoning" else 0
            yield "response.output_item.added", {**at, "item": _opened(item)}, "", unseen_tokens
            for name, members, text in _parts(item, {**at, "item_id": item["id"]}):
                yield name, members, text, 0
            yield "response.output_item.done", {**at, "item": item}, "", 0
        finished = self._finished(envelope)
        yield f"response.{finished['status']}", {"response": finished}, "", 0

    def _finished(self, envelope: Envelope) -> dict[str, Any]:
        """The object of the whole answer; from now on it is kept, if it is to be."""
        status = "incomplete" if self.answer.ending is Ending.MAXIMUM else "completed"
        body = self._object(envelope, status, self._output(envelope))
        body |= {"completed_at": envelope.created_s, **envelope.with_usage(_usage(self.answer))}
        if self.request.stores:
            self.store.keep(body["id"], Kept(body, (*self.request.turns, self._turn(envelope))))
        return body

    def _object(self, envelope: Envelope, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        given = self.request.given
        incomplete = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": f"resp_{envelope.digest[:48]}",
            "object": "response",
            "created_at": envelope.created_s,
            "status": status,
            "completed_at": None,
            "error": None,
            "incomplete_details": incomplete,
            "model": self.name,
            "output": output,
            **{name: given.get(name, default) for name, default in _REPEATED.items()},
            "service_tier": "default",
            "usage": None,
        }

    def _output(self, envelope: Envelope) -> list[dict[str, Any]]:
        """The items: reasoning, if there was any, then a message or a call."""
        answered = self.answer
        items: list[dict[str, Any]] = []
        if answered.reasoning_tokens:
            items.append({"id": f"rs_{envelope.digest[:48]}", "type": "reasoning", "summary": []})
        status = "incomplete" if answered.ending is Ending.MAXIMUM else "completed"
        if call := answered.call:
            function = {"name": call.name, "arguments": call.arguments}
            ids = {"id": f"fc_{envelope.digest[:48]}", "call_id": _call_id(envelope)}
            items.append({**ids, "type": "function_call", "status": status, **function})
        else:
            part = {"type": "output_text", "annotations": [], "logprobs": [], "text": answered.content}
            message = {"id": f"msg_{envelope.digest[:48]}", "type": "message", "status": status}
            items.append({**message, "role": "assistant", "content": [part]})
        return items

    def _turn(self, envelope: Envelope) -> Message:
        """The answer as a turn of the conversation."""
        call = self.answer.call
        if call is None:
            return {"role": "assistant", "content": self.answer.content}
        function = {"name": call.name, "arguments": call.arguments}
        return {"role": "assistant", "tool_calls": [{"id": _call_id(envelope), "function": function}]}


def _opened(item: dict[str, Any]) -> dict[str, Any]:
    """An item when it begins: nothing in it yet."""
    match item["type"]:
        case "message":
            return {**item, "status": "in_progress", "content": []}
        case "function_call":
            return {**item, "status": "in_progress", "arguments": ""}
        case _:
            return item


def _parts(item: dict[str, Any], at: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """What comes between an item's beginning and its end."""
    if item["type"] == "message":
        (part,) = item["content"]
        at = {**at, "content_index": 0}
        yield "response.content_part.added", {**at, "part": {**part, "text": ""}}, ""
        for text in pieces(part["text"]):
            yield "response.output_text.delta", {**at, "delta": text, "logprobs": []}, text
        yield "response.output_text.done", {**at, "text": part["text"], "logprobs": []}, ""
        yield "response.content_part.done", {**at, "part": part}, ""
    elif item["type"] == "function_call":
        for text in pieces(item["arguments"]):
            yield "response.function_call_arguments.delta", {**at, "delta": text}, text
        named = {"name": item["name"], "arguments": item["arguments"]}
        yield "response.function_call_arguments.done", {**at, **named}, item["name"]


def _call_id(envelope: Envelope) -> str:
    return f"call_{envelope.digest[:24]}"


def _usage(answered: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answered.input_tokens,
        "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
        "output_tokens": answered.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answered.reasoning_tokens},
        "total_tokens": answered.input_tokens + answered.output_tokens,
    }
