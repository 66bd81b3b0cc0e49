"""What any of the APIs asks of a model, in one form, so that all are counted and answered alike.

Messages and tools have the shape of chat completions: `{"role": …, "content": …}`,
`{"type": "function", "function": {"name": …, …}}`. An image is a part `{"type": "image", "image": Image}`.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from macroslow.metering.images import Image
from macroslow.metering.models import Model

Message = Mapping[str, Any]
Tool = Mapping[str, Any]


class Calls(enum.Enum):
    """Whether the model may, must or must not call a tool."""

    ALLOWED = enum.auto()
    REQUIRED = enum.auto()
    FORBIDDEN = enum.auto()


@dataclass(frozen=True, slots=True)
class Ask:
    """One request that passed every check that needs no counting. `name` is the model's as given.

    `max_tokens` None: no maximum was given. `tool` is the one that has to be called, if just one may.
    `added_tokens` are those that the provider writes into the prompt by itself.
    """

    model: Model
    name: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    calls: Calls = Calls.ALLOWED
    tool: str | None = None
    response_format: Mapping[str, Any] | None = None
    max_tokens: int | None = None
    choices: int = 1
    stops: tuple[str, ...] = ()
    stream: bool = False
    added_tokens: int = 0

    @property
    def wants_json(self) -> bool:
        """Whether the answer has to be a JSON object."""
        return self.response_format is not None and self.response_format["type"] == "json_object"

    @property
    def images(self) -> tuple[Image, ...]:
        """All images, in their order."""
        contents = [message["content"] for message in self.messages if "content" in message]
        parts = [part for content in contents if isinstance(content, list) for part in content]
        return tuple(part["image"] for part in parts if part["type"] == "image")

    @property
    def tool_names(self) -> list[str]:
        """The tools that may be called: functions. Others are just counted."""
        return [tool["function"]["name"] for tool in self.tools if tool["type"] == "function"]


def text_of(message: Message) -> str:
    """The text of a message, its parts joined by lines; images say nothing."""
    content = message.get("content", "")
    if isinstance(content, str):
        return content
    return "\n".join(part[part["type"]] for part in content if part["type"] in ("text", "refusal"))
