"""Chat completions: the request, the answer and its stream.

Source: OpenAI API reference, "Create chat completion", "The chat completion object" and "The chat
completion chunk object".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from macroslow.errors import InvalidModelRequestError
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
from macroslow.inference.members import OPTIONAL, REQUIRED
from macroslow.inference.operation import AnswerUnreadableError, ModelRequest, Possible, WholeAnswer
from macroslow.inference.request import ParsedRequest, members_of, require_few
from macroslow.inference.shapes import fields
from macroslow.inference.sse import data_of
from macroslow.inference.usage import Names, openai_usage
from macroslow.metering.encodings import Counter
from macroslow.metering.images import Image
from macroslow.metering.prices import TokenCounts
from macroslow.metering.prompts import Prompt, prompt_of

_SHAPE: Final = fields(REQUIRED, OPTIONAL)
_SHORT, _LONG = _BOUNDS = ("max_tokens", "max_completion_tokens")
_USAGE: Final = Names("prompt_tokens", "completion_tokens", "prompt_tokens_details")
_DONE: Final = b"[DONE]"


@dataclass(frozen=True, slots=True)
class ChatCompletions:
    """POST /chat/completions."""

    name: str = "chat.completions"
    dialect: Dialect = Dialect.OPENAI
    path: str = "/chat/completions"

    def parse(self, body: bytes) -> ParsedRequest:
        """The request in `body`. Raises InvalidModelRequestError that names the first member at fault."""
        members = members_of(body, _SHAPE)
        stream, options = members.get("stream", False), members.get("stream_options", {})
        if options and not stream:
            raise InvalidModelRequestError("stream_options needs stream", param="stream_options")
        if _SHORT in members and _LONG in members:
            raise InvalidModelRequestError(f"{_SHORT} and {_LONG} exclude each other", param=_SHORT)
        if not members.get("store"):
            members.pop("metadata", None)  # it labels what is stored, and OpenAI refuses it where nothing is
        added = {"stream_options": {**options, "include_usage": True}} if stream else None
        prompt, choices = require_few(_prompt(members), "messages"), members.get("n", 1)
        wants_usage = options.get("include_usage", False)
        # By place: eight keywords cost as much again as the request itself.
        return ParsedRequest(members, prompt, "messages", _BOUNDS, added, choices, wants_usage)

    def read(self, body: bytes, possible: Possible) -> WholeAnswer:
        """Read a plain answer. Raises AnswerUnreadableError unless it is a JSON object."""
        parsed = parsed_object(body)
        usage = _usage(parsed, possible)
        return WholeAnswer(usage, _texts(parsed) if usage is None else ())

    def reader(self, request: ModelRequest, counter: Counter, possible: Possible) -> EventReader:
        """Read a streamed answer to `request`."""
        return ChatReader(counter, possible, wants_usage=request.wants_usage)


class ChatReader(EventReader):
    """The chunk with the usage is kept from a client that did not ask for it."""

    def __init__(self, counter: Counter, possible: Possible, *, wants_usage: bool) -> None:
        super().__init__(counter, possible)
        self._wants_usage = wants_usage

    def _speaks(self, events: bytes) -> bool:
        # Where usage was asked for, every chunk but the last one says that it has none.
        return (
            events.count(b'"usage"') != events.count(b'"usage":null')
            or events.find(_DONE) >= 0
            or events.find(b'"error"') >= 0
        )

    def _take(self, event: bytes) -> Passing:
        return Passing.LAST if data_of(event) == _DONE else EventReader._take(self, event)

    def _hear(self, said: Mapping[str, Any]) -> Passing:
        if said.get("error") is not None:
            raise AnswerUnreadableError("the provider reports a failure within the stream")
        self._believe(_usage(said, self._possible))
        shown = self._wants_usage or said.get("choices") != [] or not isinstance(said.get("usage"), dict)
        return Passing.ON if shown else Passing.HIDDEN

    def _texts(self, said: Mapping[str, Any]) -> Iterator[str]:
        return _texts(said)


def _usage(parsed: Mapping[str, Any], possible: Possible) -> TokenCounts | None:
    return openai_usage(parsed.get("usage"), possible, _USAGE)


def _texts(parsed: Mapping[str, Any]) -> Iterator[str]:
    """Every text that the model wrote, in an answer or a chunk of one, of whatever shape it is."""
    for choice in map(as_dict, list_in(parsed, "choices")):
        message = dict_in(choice, "message") or dict_in(choice, "delta")
        yield from texts_in(message, "content", "refusal", "reasoning_content", "reasoning")
        for call in map(as_dict, list_in(message, "tool_calls")):
            yield from texts_in(dict_in(call, "function"), "name", "arguments")
            yield from texts_in(dict_in(call, "custom"), "name", "input")


def _prompt(members: Mapping[str, Any]) -> Prompt:
    """What goes into the model, pictures beside the text."""
    given = members.get("tools")
    tools = [{"function": tool[tool["type"]]} for tool in given] if given else ()
    return prompt_of(members["messages"], tools, members.get("response_format"), _picture)


def _picture(image_url: Mapping[str, Any]) -> Image:
    return pictures.at_url(image_url["url"], image_url.get("detail", "auto"))
