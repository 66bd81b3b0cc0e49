"""Responses: the request, the answer and its stream.

A stream ends with the event that carries the whole response and its usage: completed, incomplete or
failed. A failed response that reports its usage is an answer like any other, and billed; without
usage nobody knows what it cost, and the answer counts as unreadable, as after an `error` event.

Source: OpenAI API reference, "Create a response", "The response object" and "Streaming events".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from macroslow.inference import pictures
from macroslow.inference.dialect import Dialect
from macroslow.inference.events import (
    EventReader,
    Passing,
    as_dict,
    dict_in,
    id_in,
    list_in,
    parsed_object,
    texts_in,
)
from macroslow.inference.operation import AnswerUnreadableError, ModelRequest, Possible, WholeAnswer
from macroslow.inference.prompting import Gathered, json_text
from macroslow.inference.request import ParsedRequest, members_of, require_few
from macroslow.inference.responses_members import RESPONSE_OPTIONAL, RESPONSE_REQUIRED
from macroslow.inference.shapes import fields
from macroslow.inference.usage import Names, openai_usage
from macroslow.metering.encodings import Counter
from macroslow.metering.prices import TokenCounts
from macroslow.metering.prompts import Prompt

_SHAPE: Final = fields(RESPONSE_REQUIRED, RESPONSE_OPTIONAL)
_USAGE: Final = Names("input_tokens", "output_tokens", "input_tokens_details")
_LAST: Final = ("response.completed", "response.incomplete", "response.failed")
_LABELS: Final = frozenset({"type", "id", "status", "role", "phase", "execution", "max_output_length"})


@dataclass(frozen=True, slots=True)
class Responses:
    """POST /responses."""

    name: str = "responses"
    dialect: Dialect = Dialect.OPENAI
    path: str = "/responses"

    def parse(self, body: bytes) -> ParsedRequest:
        """The request in `body`. Raises InvalidModelRequestError that names the first member at fault."""
        members = members_of(body, _SHAPE)
        return ParsedRequest(
            members=members,
            prompt=require_few(_prompt(members), "input"),
            prompt_member="input",
            bound_members=("max_output_tokens",),
            continues=members.get("previous_response_id", ""),
            stores=members.get("store", True),
        )

    def read(self, body: bytes, possible: Possible) -> WholeAnswer:
        """Read a plain answer. Raises AnswerUnreadableError."""
        parsed = parsed_object(body)
        usage = _usage(parsed, possible)
        _require_bill(usage, failed=parsed.get("status") == "failed")
        return WholeAnswer(usage, _written(parsed), id_in(parsed))

    def reader(self, request: ModelRequest, counter: Counter, possible: Possible) -> EventReader:
        """Read a streamed answer to `request`."""
        return ResponsesReader(counter, possible)


class ResponsesReader(EventReader):
    """The events that hold a whole response tell its id, and the last of them its usage."""

    def _speaks(self, events: bytes) -> bool:
        return events.find(b'"response"') >= 0 or events.find(b'"error"') >= 0

    def _hear(self, said: Mapping[str, Any]) -> Passing:
        kind = said.get("type")
        if kind == "error":
            raise AnswerUnreadableError("the provider reports a failure within the stream")
        response = dict_in(said, "response")
        self.id = id_in(response) or self.id
        if kind not in _LAST:
            return Passing.ON
        self._believe(_usage(response, self._possible))
        _require_bill(self.usage, failed=kind == "response.failed")
        return Passing.LAST

    def _texts(self, said: Mapping[str, Any]) -> Iterator[str]:
        """Pieces of text, refusals, reasoning, arguments and code: each comes in deltas of its own."""
        if str(said.get("type")).endswith(".delta"):
            yield from texts_in(said, "delta")


def _require_bill(usage: TokenCounts | None, *, failed: bool) -> None:
    if failed and usage is None:
        raise AnswerUnreadableError("the provider reports a failure and not what it cost")


def _usage(response: Mapping[str, Any], possible: Possible) -> TokenCounts | None:
    return openai_usage(response.get("usage"), possible, _USAGE)


def _written(response: Mapping[str, Any]) -> Iterator[str]:
    """Every text that the model wrote, of whatever shape the response is."""
    for item in map(as_dict, list_in(response, "output")):
        yield from texts_in(item, "name", "arguments", "input")
        for name in ("content", "summary"):
            for part in map(as_dict, list_in(item, name)):
                yield from texts_in(part, "text", "refusal")


def _prompt(members: Mapping[str, Any]) -> Prompt:
    """What goes into the model, pictures beside the text."""
    gathered = Gathered(tools=[*members.get("tools", ())])
    given = members["input"]
    for text in (members.get("instructions"), given):
        if isinstance(text, str):
            gathered.message([text])
    for item in given if isinstance(given, list) else ():
        gathered.message(list(_item_texts(item, gathered)))
    text_format = members.get("text", {}).get("format", {})
    return gathered.prompt(text_format if "schema" in text_format else None)


def _item_texts(item: Mapping[str, Any], gathered: Gathered) -> Iterator[str]:
    """The texts of one input item; what is none goes to `gathered`."""
    for name, value in item.items():
        if name == "encrypted_content":
            gathered.sealed(value)
        elif name == "tools":
            gathered.tools += value
        elif isinstance(value, list):
            for part in value:
                yield from _part_texts(part, gathered)
        elif name not in _LABELS:
            yield value if isinstance(value, str) else json_text(value)


def _part_texts(part: Mapping[str, Any], gathered: Gathered) -> Iterator[str]:
    if part.get("type") == "input_image":
        gathered.images.append(pictures.at_url(part["image_url"], part.get("detail", "auto")))
    elif {"text", "refusal"} & part.keys():
        yield from texts_in(part, "text", "refusal")
    else:
        yield json_text(part)
