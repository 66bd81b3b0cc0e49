"""Chat requests: bytes from a client become a checked value, and that value what is forwarded.

The body is parsed once. What is sent on is made from the parsed value again, so a key given twice
cannot mean one thing to us and another to the provider. Members whose value is null are left out:
null means "not given". Sizes of the body are the edge's business; shapes are checked here.

Source: OpenAI API reference, "Create chat completion". Input comes from an adversary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from macroslow.errors import InvalidModelRequestError
from macroslow.inference.members import MAX_PARTS, MEMBERS, NEEDS_CONTENT, ROLES, TOOL
from macroslow.metering.count import Prompt, prompt_of

_OUTPUT_MEMBERS: Final = ("max_completion_tokens", "max_tokens")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request that can be priced. `members` is exactly what may be forwarded.

    `max_output_tokens` is per choice, None if the client left it open; `wants_usage` says whether
    the client asked for a stream's usage itself.
    """

    model: str
    prompt: Prompt
    stream: bool
    wants_usage: bool
    choices: int
    max_output_tokens: int | None
    members: Mapping[str, Any]

    @property
    def bound_member(self) -> str | None:
        """The member that bounds the output, if the client gave one."""
        return next((member for member in _OUTPUT_MEMBERS if member in self.members), None)

    def forwarded(self, upstream_model: str, max_output_tokens: int, *, reasoning: bool = False) -> bytes:
        """The body to send: the provider's name for the model, a bound on the output, usage in streams.

        A client that set a bound keeps the member it used.
        """
        open_member = "max_completion_tokens" if reasoning else "max_tokens"
        changed = {"model": upstream_model, self.bound_member or open_member: max_output_tokens}
        if self.stream:
            options = self.members.get("stream_options", {})
            changed["stream_options"] = {**options, "include_usage": True}
        return orjson.dumps({**self.members, **changed})


def parse_chat(body: bytes) -> ChatRequest:
    """The request in `body`. Raises InvalidModelRequestError that names the first member at fault."""
    members = _known(_object(body))
    options = members.get("stream_options", {})
    stream = members.get("stream", False)
    if options and not stream:
        raise InvalidModelRequestError("stream_options needs stream", param="stream_options")
    bounds = [members[name] for name in _OUTPUT_MEMBERS if name in members]
    if len(bounds) > 1:
        raise InvalidModelRequestError(
            "max_tokens and max_completion_tokens exclude each other", param="max_tokens"
        )
    members["messages"] = _messages(members["messages"])
    tools = members.get("tools", ())
    for at, tool in enumerate(tools):
        if not TOOL.fits(tool):
            raise TOOL.fault(f"tools[{at}]")
    response_format = members.get("response_format")
    if tools or response_format:
        _require_flat(members)
    prompt = prompt_of(members["messages"], tools, response_format)
    return ChatRequest(
        model=members["model"],
        prompt=prompt,
        stream=stream,
        wants_usage=options.get("include_usage", False),
        choices=members.get("n", 1),
        max_output_tokens=bounds[0] if bounds else None,
        members=members,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidModelRequestError(f"the body is not JSON: {error.msg}") from error
    if not isinstance(parsed, dict):
        raise InvalidModelRequestError("the body must be a JSON object")
    return parsed


def _known(parsed: dict[str, Any]) -> dict[str, Any]:
    """The members that were given, all of them known and of the right shape."""
    members = {name: value for name, value in parsed.items() if value is not None}
    for name, value in members.items():
        rule = MEMBERS.get(name)
        if rule is None:
            raise InvalidModelRequestError(
                f"{_shown(name)} is not served: this gateway has no price for it",
                param=_shown(name),
                fix=f"leave {_shown(name)} out",
            )
        if not rule.fits(value):
            raise rule.fault(name)
    for name in ("model", "messages"):
        if name not in members:
            raise InvalidModelRequestError(f"{name} is missing", param=name)
    return members


def _require_flat(members: Mapping[str, Any]) -> None:
    """Schemas alone may be nested; deeper than the serialiser goes (254) they cannot be forwarded."""
    try:
        orjson.dumps(members)
    except TypeError as error:
        raise InvalidModelRequestError("a schema is nested too deeply", param="tools") from error


def _messages(messages: list[Any]) -> list[dict[str, Any]]:
    checked = [_message(message, at) for at, message in enumerate(messages)]
    lists = [value for message in checked for value in message.values() if type(value) is list]
    if sum(map(len, lists)) > MAX_PARTS:
        raise InvalidModelRequestError(f"messages have more than {MAX_PARTS} parts", param="messages")
    return checked


def _message(message: object, at: int) -> dict[str, Any]:
    """One message without its empty members, checked by its role's table; `at` is its place."""
    if not isinstance(message, dict):
        raise InvalidModelRequestError(f"messages[{at}] must be an object", param=f"messages[{at}]")
    role = message.get("role")
    rules = ROLES.get(role) if isinstance(role, str) else None
    if rules is None:
        param = f"messages[{at}].role"
        raise InvalidModelRequestError(f"{param} must be one of {', '.join(ROLES)}", param=param)
    given = {name: value for name, value in message.items() if value is not None}
    # Answers come with a list of citations; clients send them back as they are. They are no prompt.
    given.pop("annotations", None)
    for name, value in given.items():
        rule = rules.get(name)
        if rule is None:
            param = f"messages[{at}].{_shown(name)}"
            raise InvalidModelRequestError(f"{param} is not served in a message of role {role}", param=param)
        if not rule.fits(value):
            raise rule.fault(f"messages[{at}].{name}")
    if "content" not in given and role in NEEDS_CONTENT:
        param = f"messages[{at}].content"
        raise InvalidModelRequestError(f"{param} is missing", param=param)
    return given


def _shown(name: str) -> str:
    """A member's name as it may be repeated to whoever chose it."""
    return name if len(name) <= 64 and name.isprintable() else repr(name[:64])
