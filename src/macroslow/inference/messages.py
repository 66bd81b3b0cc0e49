"""Anthropic's messages: the request, the answer and its stream, and requests to count tokens.

In a stream the first event reports the input, a later one the output (and perhaps the input again);
the usage is known when both are. Input comes in parts there, which are added up here.

Source: Anthropic API reference, "Create a Message", "Streaming messages", "Count tokens in a Message".
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
    list_in,
    parsed_object,
    texts_in,
)
from macroslow.inference.messages_members import MESSAGE_OPTIONAL, MESSAGE_REQUIRED
from macroslow.inference.operation import AnswerUnreadableError, ModelRequest, Possible, WholeAnswer
from macroslow.inference.prompting import Gathered, json_text
from macroslow.inference.request import ParsedRequest, members_of, require_few
from macroslow.inference.shapes import fields
from macroslow.inference.usage import anthropic_usage
from macroslow.metering.encodings import Counter
from macroslow.metering.prompts import Prompt

_SHAPE: Final = fields(MESSAGE_REQUIRED, MESSAGE_OPTIONAL)
_COUNTED: Final = ("model", "messages")
_COUNTED_SHAPE: Final = fields(
    {name: MESSAGE_REQUIRED[name] for name in _COUNTED}, {**MESSAGE_REQUIRED, **MESSAGE_OPTIONAL}
)
_LABELS: Final = frozenset({"type", "cache_control", "is_error", "citations"})
_OWN_TOOL_TOKENS: Final = 1000  # the most that Anthropic says of one of its tools, with room
_TOOLS_TOKENS: Final = 530  # what it puts before tools, by its page on tool use


@dataclass(frozen=True, slots=True)
class Messages:
    """POST /messages."""

    name: str = "messages"
    dialect: Dialect = Dialect.ANTHROPIC
    path: str = "/messages"

    def parse(self, body: bytes) -> ParsedRequest:
        """The request in `body`. Raises InvalidModelRequestError that names the first member at fault."""
        members = members_of(body, _SHAPE)
        prompt = require_few(_prompt(members), "messages")
        return ParsedRequest(members, prompt, prompt_member="messages", bound_members=("max_tokens",))

    def read(self, body: bytes, possible: Possible) -> WholeAnswer:
        """Read a plain answer. Raises AnswerUnreadableError."""
        parsed = parsed_object(body)
        _require_no_failure(parsed)
        usage = anthropic_usage(dict_in(parsed, "usage"), possible)
        blocks = map(as_dict, list_in(parsed, "content"))
        return WholeAnswer(usage, (text for block in blocks for text in _written(block)))

    def reader(self, request: ModelRequest, counter: Counter, possible: Possible) -> EventReader:
        """Read a streamed answer to `request`."""
        return MessagesReader(counter, possible)


@dataclass(frozen=True, slots=True)
class CountTokens:
    """POST /messages/count_tokens: answered from our own count, so nothing is forwarded."""

    def parse(self, body: bytes) -> ParsedRequest:
        """The request in `body`: its model and prompt. Raises InvalidModelRequestError."""
        members = members_of(body, _COUNTED_SHAPE)
        return ParsedRequest(members, require_few(_prompt(members), "messages"), prompt_member="messages")


class MessagesReader(EventReader):
    """Puts the usage together from the events that report parts of it."""

    def __init__(self, counter: Counter, possible: Possible) -> None:
        super().__init__(counter, possible)
        self._reported: dict[str, Any] = {}

    def _speaks(self, events: bytes) -> bool:
        return (
            events.find(b'"usage"') >= 0
            or events.find(b'"message_stop"') >= 0
            or events.find(b'"error"') >= 0
        )

    def _hear(self, said: Mapping[str, Any]) -> Passing:
        _require_no_failure(said)
        kind = said.get("type")
        if kind == "message_start":
            self._reported = dict_in(dict_in(said, "message"), "usage")
            started = anthropic_usage({**self._reported, "output_tokens": 0}, self._possible)
            self.reported_input = started or self.reported_input
        elif kind == "message_delta":
            known = {name: value for name, value in dict_in(said, "usage").items() if value is not None}
            self._reported = {**self._reported, **known}
            self._believe(anthropic_usage(self._reported, self._possible))
        return Passing.LAST if kind == "message_stop" else Passing.ON

    def _texts(self, said: Mapping[str, Any]) -> Iterator[str]:
        yield from _written(dict_in(said, "content_block"))
        yield from texts_in(dict_in(said, "delta"), "text", "thinking", "partial_json")


def _require_no_failure(said: Mapping[str, Any]) -> None:
    if said.get("type") == "error":
        raise AnswerUnreadableError("the provider reports a failure instead of an answer")


def _written(block: Mapping[str, Any]) -> Iterator[str]:
    """What the model wrote in one block of content."""
    yield from texts_in(block, "text", "thinking", "name")
    if block.get("input"):
        yield json_text(block["input"])


def _prompt(members: Mapping[str, Any]) -> Prompt:
    """What goes into the model, pictures beside the text."""
    gathered = Gathered()
    if "system" in members:
        gathered.message(list(_content_texts(members["system"], gathered)))
    for message in members["messages"]:
        gathered.message(list(_content_texts(message["content"], gathered)))
    for tool in members.get("tools", ()):
        gathered.tools.append({name: value for name, value in tool.items() if name != "cache_control"})
        gathered.other_tokens += 0 if "input_schema" in tool else _OWN_TOOL_TOKENS
    gathered.other_tokens += _TOOLS_TOKENS if gathered.tools else 0
    given = members.get("output_config", {}).get("format", members.get("output_format"))
    return gathered.prompt(given)


def _content_texts(content: Any, gathered: Gathered) -> Iterator[str]:
    """The texts of a text or of blocks; what is none goes to `gathered`."""
    if isinstance(content, str):
        yield content
        return
    for block in content:
        yield from _block_texts(block, gathered)


def _block_texts(block: Mapping[str, Any], gathered: Gathered) -> Iterator[str]:
    if block["type"] == "image":
        source = block["source"]
        gathered.images.append(
            pictures.in_base64(source["data"]) if "data" in source else pictures.at_url(source["url"])
        )
        return
    for name, value in block.items():
        if name in ("signature", "data"):
            gathered.sealed(value)
        elif name == "content":
            yield from _content_texts(value, gathered)
        elif name not in _LABELS:
            yield value if isinstance(value, str) else json_text(value)
