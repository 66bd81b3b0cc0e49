"""What of a request goes into a model: its texts, and the tokens of what is wrapped around them.

The rules are those of OpenAI's cookbook, "How to count tokens with tiktoken", sections 6 and 7: 3 tokens
a message, 1 more with a name, 3 to prime the reply. A tool is its compact JSON, which is more than the
rendering that the cookbook describes and covers the nested schemas that it does not. So a count of tools
errs on the high side; the provider's own figure settles the call.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from macroslow.metering.images import Image
from macroslow.values import value

_REPLY_TOKENS: Final = 3
_MESSAGE_TOKENS: Final = 3
_NAME_TOKENS: Final = 1
_ROLE_TOKENS: Final = 1  # each role's name is one token of both vocabularies; a test holds it
_TOOL_CALL_TOKENS: Final = 8
_TOOL_TOKENS: Final = 7
_TOOLS_END_TOKENS: Final = 12


def _no_picture(_: Mapping[str, Any]) -> Image:
    raise ValueError("a picture where none can be")


@value
class Prompt:
    """What goes into a model: texts to count, the tokens of the framing around them, and images."""

    texts: tuple[str, ...]
    framing_tokens: int
    images: tuple[Image, ...] = ()


def prompt_of(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
    response_format: Mapping[str, Any] | None = None,
    picture: Callable[[Mapping[str, Any]], Image] = _no_picture,
) -> Prompt:
    """The countable form of a chat request in OpenAI's shape that has been checked before.

    `picture` tells the image of an `image_url`; without it one is a ValueError, since it would go uncounted.
    """
    texts: list[str] = []
    pictures: list[Mapping[str, Any]] = []
    framing_tokens = _REPLY_TOKENS
    for message in messages:
        framing_tokens += _MESSAGE_TOKENS + _ROLE_TOKENS
        content = message.get("content")
        if type(content) is str and len(message) == 2 and "role" in message:
            texts.append(content)
        else:
            framing_tokens += _gather(message, texts, pictures)
    if tools:
        framing_tokens += _TOOLS_END_TOKENS + _TOOL_TOKENS * len(tools)
        texts += [orjson.dumps(tool["function"]).decode() for tool in tools]
    if response_format is not None and "json_schema" in response_format:
        framing_tokens += _TOOL_TOKENS
        texts.append(orjson.dumps(response_format["json_schema"]).decode())
    return Prompt(tuple(texts), framing_tokens, tuple(map(picture, pictures)))


def _gather(message: Mapping[str, Any], texts: list[str], pictures: list[Mapping[str, Any]]) -> int:
    """Add what is in one message to `texts` and `pictures`; return the tokens of what frames its members."""
    framing_tokens = 0
    for member, given in message.items():
        if member == "content" and isinstance(given, list):
            for part in given:
                kind = part["type"]
                (pictures if kind == "image_url" else texts).append(part[kind])
        elif member == "tool_calls":
            for call in given:
                framing_tokens += _TOOL_CALL_TOKENS
                sort, text = ("function", "arguments") if "function" in call else ("custom", "input")
                texts += (call[sort]["name"], call[sort][text], call["id"])
        elif member == "name":
            framing_tokens += _NAME_TOKENS
            texts.append(given)
        elif member != "role":
            texts.append(given)
    return framing_tokens
