"""What of a request goes into a model: its texts, and the tokens of what is wrapped around them.

The rules are those of OpenAI's cookbook, "How to count tokens with tiktoken", sections 6 and 7: 3 tokens
a message, 1 more with a name, 3 to prime the reply. A tool is its compact JSON, which is more than the
rendering that the cookbook describes and covers the nested schemas that it does not. So a count of tools
errs on the high side; the provider's own figure settles the call.
"""

from collections.abc import Mapping, Sequence
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
) -> Prompt:
    """The countable form of a chat request in OpenAI's shape that has been checked before."""
    texts: list[str] = []
    framing_tokens = _REPLY_TOKENS
    for message in messages:
        framing_tokens += _message(message, texts)
    if tools:
        framing_tokens += _TOOLS_END_TOKENS + _TOOL_TOKENS * len(tools)
        texts += [orjson.dumps(tool["function"]).decode() for tool in tools]
    if response_format is not None and "json_schema" in response_format:
        framing_tokens += _TOOL_TOKENS
        texts.append(orjson.dumps(response_format["json_schema"]).decode())
    return Prompt(tuple(texts), framing_tokens)


def _message(message: Mapping[str, Any], texts: list[str]) -> int:
    """Add the texts of one message to `texts`; return the tokens of its framing."""
    framing_tokens = _MESSAGE_TOKENS + _ROLE_TOKENS
    for member, given in message.items():
        if member == "content" and isinstance(given, list):
            texts += [part[part["type"]] for part in given]
        elif member == "tool_calls":
            for call in given:
                framing_tokens += _TOOL_CALL_TOKENS
                texts += (call["function"]["name"], call["function"]["arguments"], call["id"])
        elif member == "name":
            framing_tokens += _NAME_TOKENS
            texts.append(given)
        elif member != "role":
            texts.append(given)
    return framing_tokens
