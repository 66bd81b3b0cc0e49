"""The bodies of good answers: a completion, its chunks as server-sent events, and models.

Source: OpenAI API reference, "The chat completion object", "The chat completion chunk object",
"The model object".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from macroslow.emulator.answer import Answer

FINGERPRINT: Final = "fp_emulator00"
DONE: Final = b"data: [DONE]\n\n"
# The catalogue knows no dates; the service's own for gpt-4o serves for every model.
_MODEL_CREATED_S: Final = 1_715_367_049


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every body of one answer repeats."""

    id: str
    created_s: int
    model: str


def completion(envelope: Envelope, answer: Answer) -> bytes:
    """The whole answer as one object."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.content,
        "refusal": None,
        "annotations": [],
    }
    choices = [
        {"index": at, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
        for at in range(answer.choices)
    ]
    return orjson.dumps(_object(envelope, "chat.completion", choices) | {"usage": _usage(answer)})


def events(envelope: Envelope, answer: Answer, *, include_usage: bool) -> Iterator[tuple[str, bytes]]:
    """The events of a stream before `[DONE]`, each with the content that it carries.

    A chunk that opens with the role, one a word, one that closes with the reason, for each choice;
    then, if asked for, one with the usage and no choice.
    """

    def event(at: int, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": at, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event(envelope, [choice], {"usage": None} if include_usage else {})

    everyone = range(answer.choices)
    for at in everyone:
        yield "", event(at, {"role": "assistant", "content": "", "refusal": None})
    for content in answer.chunks():
        for at in everyone:
            yield content, event(at, {"content": content})
    for at in everyone:
        yield "", event(at, {}, answer.finish_reason)
    if include_usage:
        yield "", _event(envelope, [], {"usage": _usage(answer)})


def model(name: str) -> dict[str, Any]:
    """One entry of the list of models."""
    return {"id": name, "object": "model", "created": _MODEL_CREATED_S, "owned_by": "system"}


def _event(envelope: Envelope, choices: list[dict[str, Any]], more: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(_object(envelope, "chat.completion.chunk", choices) | more)


def _object(envelope: Envelope, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": envelope.id,
        "object": kind,
        "created": envelope.created_s,
        "model": envelope.model,
        "choices": choices,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
