"""The messages of a chat request: checked, and reduced to what is counted and answered.

Text and images: audio and file parts are refused by name.
"""

from typing import Any, Final

from macroslow.emulator.ask import Message
from macroslow.emulator.openai import members, refusals
from macroslow.emulator.work import refuse
from macroslow.inference.pictures import at_url
from macroslow.inference.shapes import UnfitError
from macroslow.metering.images import Detail

ROLES: Final = ("system", "assistant", "user", "tool", "developer")
_MEDIA: Final = ("input_audio", "file")
_DETAILS: Final[dict[str, Detail]] = {"auto": "auto", "low": "low", "high": "high"}


def parse_messages(value: object) -> tuple[Message, ...]:
    """Check `messages`; each result has its role, content and what else is counted. Raises RefusedError."""
    items = members.sequence("messages", value)
    if not items:
        expected = "Expected an array with minimum length 1, but got an empty array instead."
        refuse(refusals.bad_value("messages", f"Invalid 'messages': empty array. {expected}", "empty_array"))
    return tuple(_message(f"messages[{at}]", item) for at, item in enumerate(items))


def _message(param: str, value: object) -> Message:
    given = {name: item for name, item in members.mapping(param, value).items() if item is not None}
    prefix = f"{param}."
    role = members.choice(f"{prefix}role", members.required(given, prefix, "role"), ROLES)
    message: dict[str, Any] = {"role": role}
    if role == "assistant":
        _assistant(prefix, given, message)
    else:
        message["content"] = _content(prefix, members.required(given, prefix, "content"))
    if "name" in given:
        message["name"] = members.text(f"{prefix}name", given["name"])
    if role == "tool":
        call_id = members.required(given, prefix, "tool_call_id")
        message["tool_call_id"] = members.text(f"{prefix}tool_call_id", call_id)
    return message


def _assistant(prefix: str, given: Message, message: dict[str, Any]) -> None:
    """An assistant's turn may have content, a refusal or tool calls, and has one of them at least."""
    for name in ("audio", "function_call"):
        if name in given:
            refuse(refusals.not_emulated(prefix + name, "audio or functions as they were before tools"))
    if "tool_calls" in given:
        calls = members.sequence(f"{prefix}tool_calls", given["tool_calls"])
        message["tool_calls"] = [_call(f"{prefix}tool_calls[{at}]", call) for at, call in enumerate(calls)]
    if "refusal" in given:
        message["refusal"] = members.text(f"{prefix}refusal", given["refusal"])
    if "content" in given or len(message) == 1:
        message["content"] = _content(prefix, members.required(given, prefix, "content"))


def _call(param: str, value: object) -> Message:
    prefix = f"{param}."
    call = members.mapping(param, value)
    function = members.mapping(f"{prefix}function", members.required(call, prefix, "function"))
    texts = {
        name: members.text(f"{prefix}function.{name}", members.required(function, f"{prefix}function.", name))
        for name in ("name", "arguments")
    }
    return {"id": members.text(f"{prefix}id", members.required(call, prefix, "id")), "function": texts}


def _content(prefix: str, value: object) -> str | list[Message]:
    """A text, or its parts."""
    param = f"{prefix}content"
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        refuse(refusals.wrong_type(param, "one of a string or array of objects", value))
    return [_part(f"{param}[{at}]", part) for at, part in enumerate(value)]


def _part(param: str, value: object) -> Message:
    part = members.mapping(param, value)
    kind = members.required(part, f"{param}.", "type")
    if kind in _MEDIA:
        refuse(refusals.not_emulated(f"{param}.type", "audio or files"))
    if kind == "image_url":
        image = members.mapping(f"{param}.image_url", members.required(part, f"{param}.", "image_url"))
        url = members.required(image, f"{param}.image_url.", "url")
        return image_part(f"{param}.image_url", url, image.get("detail"))
    members.choice(f"{param}.type", kind, ("text", "refusal"))
    return {"type": kind, kind: members.text(f"{param}.{kind}", members.required(part, f"{param}.", kind))}


def image_part(param: str, url: object, detail: object) -> Message:
    """An image at a URL, or in one."""
    chosen = members.choice(f"{param}.detail", "auto" if detail is None else detail, tuple(_DETAILS))
    try:
        return {"type": "image", "image": at_url(members.text(f"{param}.url", url), _DETAILS[chosen])}
    except UnfitError as error:
        message = f"Failed to use the image at '{param}.url': it {error}."
        refuse(refusals.bad_value(f"{param}.url", message, "invalid_image_url"))
