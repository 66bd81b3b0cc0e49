"""Messages as Anthropic has them, checked, as those of chat completions that they stand for.

A user's tool results come before the rest of his message, as messages of their own; what a model
thought earlier is not read. Text and images: documents that are no text are refused by name.

Source: Anthropic API reference, "Create a Message", `messages`.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from macroslow.emulator.anthropic import members, refusals
from macroslow.emulator.ask import Message
from macroslow.emulator.work import refuse
from macroslow.inference.pictures import at_url, in_base64
from macroslow.inference.shapes import UnfitError
from macroslow.metering.images import Image

_SAID: Final = ("text", "image")
_MEDIA: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_ROLES: Final = ("user", "assistant", "system")
# Read as the text of their JSON.
_TEXTUAL: Final = ("document", "search_result", "tool_reference", "mid_conv_system")
_THOUGHTS: Final = ("thinking", "redacted_thinking")


def parse_messages(value: object) -> list[Message]:
    """Check `messages`. Raises RefusedError."""
    items = members.sequence("messages", value)
    if not items:
        refuse(refusals.bad("messages", "at least one message is required"))
    return [message for at, item in enumerate(items) for message in _message(f"messages.{at}", item)]


def parse_system(value: object) -> list[Message]:
    """Check `system`: a text, or blocks of text."""
    content = value if isinstance(value, str) else _parts("system", value, ("text",))
    return [{"role": "system", "content": content}]


def _message(param: str, value: object) -> list[Message]:
    given = members.mapping(param, value)
    prefix = f"{param}."
    role = members.choice(f"{prefix}role", members.required(given, prefix, "role"), _ROLES)
    content = members.required(given, prefix, "content")
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    blocks = members.sequence(f"{prefix}content", content)
    if role == "system":
        return [{"role": role, "content": _parts(f"{prefix}content", blocks, ("text",))}]
    read = _assistant if role == "assistant" else _user
    return read([_block(f"{prefix}content.{at}", block) for at, block in enumerate(blocks)])


def _user(blocks: list[Message]) -> list[Message]:
    results = [block for block in blocks if "role" in block]
    parts = [block for block in blocks if block.get("type") in _SAID]
    return [*results, {"role": "user", "content": parts}] if parts or not results else results


def _assistant(blocks: list[Message]) -> list[Message]:
    calls = [block for block in blocks if "function" in block]
    texts = [block for block in blocks if block.get("type") == "text"]
    message: dict[str, Any] = {"role": "assistant"}
    if texts:
        message["content"] = texts
    if calls:
        message["tool_calls"] = calls
    return [message]


def _block(param: str, value: object) -> Message:
    """A part of a text, a call, the result of one as a message, or nothing."""
    block = members.mapping(param, value)
    prefix = f"{param}."
    match members.required(block, prefix, "type"):
        case "text":
            return {"type": "text", "text": _required_text(block, prefix, "text")}
        case "image":
            source = members.mapping(f"{prefix}source", members.required(block, prefix, "source"))
            return {"type": "image", "image": _image(f"{prefix}source", source)}
        case "tool_use":
            arguments = members.mapping(f"{prefix}input", members.required(block, prefix, "input"))
            name = _required_text(block, prefix, "name")
            function = {"name": name, "arguments": orjson.dumps(arguments).decode()}
            return {"id": _required_text(block, prefix, "id"), "function": function}
        case "tool_result":
            content = block.get("content", "")
            content = content if isinstance(content, str) else _parts(f"{prefix}content", content, _SAID)
            call_id = _required_text(block, prefix, "tool_use_id")
            return {"role": "tool", "tool_call_id": call_id, "content": content}
        case kind if kind in _TEXTUAL:
            return {"type": "text", "text": _json_text(prefix, block)}
        case kind if kind in _THOUGHTS:
            return {}
        case kind:
            return refuse(refusals.not_emulated(f"{prefix}type", f"blocks of type {kind!r}"))


def _json_text(prefix: str, block: Mapping[str, Any]) -> str:
    source = block.get("source")
    if isinstance(source, dict) and source.get("type") != "text":
        refuse(refusals.not_emulated(f"{prefix}source.type", "documents that are no text"))
    return orjson.dumps(block).decode()


def _parts(param: str, value: object, kinds: tuple[str, ...]) -> list[Message]:
    """Blocks of these kinds alone."""
    blocks = [_block(f"{param}.{at}", block) for at, block in enumerate(members.sequence(param, value))]
    if any(block.get("type") not in kinds for block in blocks):
        refuse(refusals.not_emulated(param, f"anything but {' and '.join(kinds)} here"))
    return blocks


def _image(param: str, source: Mapping[str, Any]) -> Image:
    prefix = f"{param}."
    try:
        match members.required(source, prefix, "type"):
            case "base64":
                members.choice(f"{prefix}media_type", members.required(source, prefix, "media_type"), _MEDIA)
                return in_base64(_required_text(source, prefix, "data"))
            case "url":
                return at_url(_required_text(source, prefix, "url"))
            case kind:
                return refuse(refusals.not_emulated(f"{prefix}type", f"images of type {kind!r}"))
    except UnfitError as error:
        refuse(refusals.bad(param, f"image {error}"))


def _required_text(block: Mapping[str, Any], prefix: str, name: str) -> str:
    return members.text(f"{prefix}{name}", members.required(block, prefix, name))
