"""Embeddings: vectors of length 1 that come from a hash of the text, so equal texts have equal ones.

They mean nothing. A shorter vector is the beginning of the whole one, scaled to length 1 again.

Source: OpenAI API reference, "Create embeddings".
"""

import base64
import hashlib
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from macroslow.emulator.counting import Scales
from macroslow.emulator.openai import members, refusals
from macroslow.emulator.openai.checks import Check, at_least, check, members_of, model_of
from macroslow.emulator.openai.dialect import OpenAI
from macroslow.emulator.work import Counts, Envelope, Event, Header, Served, refuse
from macroslow.metering.models import Model

_MOST_INPUTS: Final = 2_048
_SMALL_DIMENSIONS: Final = 1_536
_LARGE_DIMENSIONS: Final = 3_072

Input = str | list[int]


@dataclass(frozen=True, slots=True)
class EmbeddingsApi:
    """`POST /v1/embeddings`."""

    served: Served
    scales: Scales
    dialect: OpenAI

    def prepare(self, raw: bytes, header: Header) -> "EmbeddingsWork":
        given = members_of(raw)
        model = model_of(given, self.served)
        if "embeddings" not in model.operations:
            message = "You are not allowed to generate embeddings from this model"
            refuse(refusals.Refusal(403, message))
        check(given, _CHECKS)
        inputs = _inputs(members.required(given, "", "input"))
        sizes = [len(one) if isinstance(one, list) else self.scales.text(model, one) for one in inputs]
        if max(sizes) > model.context_tokens or sum(sizes) > model.max_input_tokens:
            refuse(_too_long(model, max(sizes), sum(sizes)))
        return EmbeddingsWork(
            model=model,
            name=given["model"],
            inputs=inputs,
            counts=Counts(sum(sizes), 0),
            dimensions=_dimensions(model, given.get("dimensions")),
            as_base64=given.get("encoding_format", "float") == "base64",
        )


@dataclass(frozen=True, slots=True)
class EmbeddingsWork:
    """One request."""

    model: Model
    name: str
    inputs: list[Input]
    counts: Counts
    dimensions: int
    as_base64: bool
    api: str = "embeddings"
    stream: bool = False

    def whole(self, envelope: Envelope) -> bytes:
        data = [
            {"object": "embedding", "index": at, "embedding": self._embedding(one)}
            for at, one in enumerate(self.inputs)
        ]
        tokens = self.counts.input_tokens
        usage = envelope.with_usage({"prompt_tokens": tokens, "total_tokens": tokens})
        return orjson.dumps({"object": "list", "data": data, "model": self.name, **usage})

    def events(self, envelope: Envelope) -> Iterator[Event]:
        """None: embeddings are asked for and given whole."""
        return iter(())

    def _embedding(self, one: Input) -> list[float] | str:
        vector = embedding(one, self.dimensions)
        if not self.as_base64:
            return vector
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def embedding(one: Input, dimensions: int) -> list[float]:
    """The vector of a text, or of the tokens of one."""
    content = one.encode() if isinstance(one, str) else orjson.dumps(one)
    noise = hashlib.shake_256(content).digest(2 * dimensions)
    numbers = struct.unpack(f"<{dimensions}h", noise)
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [number / length for number in numbers]


def _dimensions(model: Model, asked: int | None) -> int:
    whole = _LARGE_DIMENSIONS if "large" in model.upstream else _SMALL_DIMENSIONS
    if asked is not None and "-3-" not in model.upstream:
        message = "This model does not support specifying dimensions."
        refuse(refusals.bad_value("dimensions", message, None))
    if asked is not None and asked > whole:
        message = f"Invalid value for 'dimensions' = {asked}. Must be less than or equal to {whole}."
        refuse(refusals.bad_value("dimensions", message, None))
    return asked or whole


def _inputs(value: Any) -> list[Input]:
    """`input`: a text, texts, the tokens of one, or the tokens of several."""
    if isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], int)):
        value = [value]
    elif not isinstance(value, list):
        refuse(refusals.wrong_type("input", "one of a string or array", value))
    if not 1 <= len(value) <= _MOST_INPUTS:
        message = f"Invalid 'input': expected an array with 1 to {_MOST_INPUTS} items, got {len(value)}."
        refuse(refusals.bad_value("input", message, None))
    return [_input(f"input[{at}]", one) for at, one in enumerate(value)]


def _input(param: str, value: object) -> Input:
    if isinstance(value, list):
        tokens = [members.integer(f"{param}[{at}]", token, least=0) for at, token in enumerate(value)]
        if tokens:
            return tokens
    elif members.text(param, value):
        return str(value)
    return refuse(refusals.bad_value(param, f"Invalid '{param}': input cannot be an empty string.", None))


def _too_long(model: Model, largest: int, together: int) -> refusals.Refusal:
    message = f"This model's maximum context length is {model.context_tokens} tokens, however you requested"
    if together > model.max_input_tokens:
        message = f"Requested {together} tokens, max {model.max_input_tokens} tokens per request"
        return refusals.bad_value("input", message, "max_tokens_per_request")
    return refusals.bad_value("input", f"{message} {largest} tokens. Please reduce your prompt.", None)


_CHECKS: Final[Mapping[str, Check]] = {
    "model": members.text,
    "input": lambda _param, _value: None,
    "dimensions": at_least(1),
    "encoding_format": lambda param, value: members.choice(param, value, ("float", "base64")),
    "user": members.text,
}
