"""The input of a response: a text, or items, as the messages that they stand for.

Text and images: files are refused by name, and so are items of tools that run at the service. Items of
tools that a client runs are read as the text of their JSON.

Source: OpenAI API reference, "Create a model response", `input`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from macroslow.emulator.ask import Message
from macroslow.emulator.openai import members, refusals
from macroslow.emulator.openai.messages import ROLES, image_part
from macroslow.emulator.work import refuse

_MEDIA: Final = ("input_file", "input_audio")
_CLIENT_TOOLS: Final = ("custom_tool", "local_shell", "shell", "apply_patch", "tool_search")
_TEXTS: Final = {"input_text": "text", "output_text": "text", "refusal": "refusal"}


def parse_input(value: object) -> list[Message]:
    """Check `input`; the messages that its items are. Raises RefusedError."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list):
        refuse(refusals.wrong_type("input", "one of a string or array of objects", value))
    messages = (_item(f"input[{at}]", item) for at, item in enumerate(value))
    return [message for message in messages if message]


def _item(param: str, value: object) -> Message:
    """One item as a message; what the model thought, or sealed, is none, since nobody can read it."""
    given = {name: item for name, item in members.mapping(param, value).items() if item is not None}
    kind = members.text(f"{param}.type", given.get("type", "message"))
    if kind not in _ITEMS:
        refuse(refusals.not_emulated(f"{param}.type", f"items of type '{kind}'"))
    return _ITEMS[kind](f"{param}.", given)


def _message(prefix: str, given: Mapping[str, Any]) -> Message:
    role = members.choice(f"{prefix}role", members.required(given, prefix, "role"), ROLES)
    content = members.required(given, prefix, "content")
    if not isinstance(content, str):
        parts = members.sequence(f"{prefix}content", content)
        content = [_part(f"{prefix}content[{at}]", part) for at, part in enumerate(parts)]
    return {"role": role, "content": content}


def _part(param: str, value: object) -> Message:
    part = members.mapping(param, value)
    kind = members.required(part, f"{param}.", "type")
    if kind in _MEDIA:
        refuse(refusals.not_emulated(f"{param}.type", "audio or files"))
    if kind == "input_image":
        if "file_id" in part:
            refuse(refusals.not_emulated(f"{param}.file_id", "files"))
        return image_part(param, members.required(part, f"{param}.", "image_url"), part.get("detail"))
    member = _TEXTS[members.choice(f"{param}.type", kind, tuple(_TEXTS))]
    text = members.text(f"{param}.{member}", members.required(part, f"{param}.", member))
    return {"type": member, member: text}


def _call(prefix: str, given: Mapping[str, Any]) -> Message:
    call_id, name, arguments = (
        members.text(prefix + member, members.required(given, prefix, member))
        for member in ("call_id", "name", "arguments")
    )
    return {
        "role": "assistant",
        "tool_calls": [{"id": call_id, "function": {"name": name, "arguments": arguments}}],
    }


def _result(prefix: str, given: Mapping[str, Any]) -> Message:
    call_id = members.text(f"{prefix}call_id", members.required(given, prefix, "call_id"))
    output = members.required(given, prefix, "output")
    if not isinstance(output, str):
        parts = members.sequence(f"{prefix}output", output)
        output = [_part(f"{prefix}output[{at}]", part) for at, part in enumerate(parts)]
    return {"role": "tool", "tool_call_id": call_id, "content": output}


def _written_by(role: str) -> Callable[[str, Mapping[str, Any]], Message]:
    return lambda _prefix, given: {"role": role, "content": orjson.dumps(given).decode()}


def _sealed(_prefix: str, _given: Mapping[str, Any]) -> Message:
    return {}


def _reasoning(prefix: str, given: Mapping[str, Any]) -> Message:
    members.sequence(f"{prefix}summary", members.required(given, prefix, "summary"))
    return {}


_ITEMS: Final[Mapping[str, Callable[[str, Mapping[str, Any]], Message]]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _result,
    "reasoning": _reasoning,
    "compaction": _sealed,
    "additional_tools": _written_by("developer"),
    **{f"{tool}_call": _written_by("assistant") for tool in _CLIENT_TOOLS},
    **{f"{tool}_call_output": _written_by("tool") for tool in _CLIENT_TOOLS},
    "tool_search_output": _written_by("tool"),
}
