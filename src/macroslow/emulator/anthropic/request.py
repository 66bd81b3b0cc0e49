"""`POST /v1/messages` and `/v1/messages/count_tokens`: from bytes to a request that can be answered.

Source: Anthropic API reference, "Create a Message", "Count tokens in a Message".
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from macroslow.emulator.anthropic import members, refusals
from macroslow.emulator.anthropic.blocks import parse_messages, parse_system
from macroslow.emulator.ask import Ask, Calls, Tool
from macroslow.emulator.bodies import json_object
from macroslow.emulator.work import Served, refuse


def parse_message(raw: bytes, served: Served, *, counting: bool = False, sampling: bool = True) -> Ask:
    """Check a body from anyone. Raises RefusedError. `counting`: nothing is to be written.

    `sampling` is whether the members that steer it are known; the version 2026-10-21 refuses them.
    """
    given = _members(raw)
    for name in () if sampling else _SAMPLING & given.keys():
        refuse(refusals.bad(name, "Extra inputs are not permitted"))
    for name, item in given.items():
        if name not in _CHECKS:
            refuse(refusals.bad(name, "Extra inputs are not permitted"))
        _CHECKS[name](name, item)
    name = members.required(given, "", "model")
    model = served.find(name) or refuse(refusals.Refusal(404, f"model: {name}"))
    most = given.get("max_tokens") if counting else members.required(given, "", "max_tokens")
    if most is not None and most > model.max_output_tokens:
        supports = f"the maximum allowed number of output tokens for {name}"
        refuse(refusals.bad("max_tokens", f"{most} > {model.max_output_tokens}, which is {supports}"))
    tools = tuple(_tool(item) for item in given.get("tools", ()))
    calls, tool = _choice(given.get("tool_choice", {"type": "auto"}), tools)
    system = parse_system(given["system"]) if "system" in given else []
    ask = Ask(
        model=model,
        name=name,
        messages=(*system, *parse_messages(members.required(given, "", "messages"))),
        tools=tools,
        calls=calls,
        tool=tool,
        max_tokens=most,
        stops=tuple(given.get("stop_sequences", ())),
        stream=given.get("stream", False),
        added_tokens=_ADDED_TOKENS[calls] if tools else 0,
    )
    if ask.images and model.images is None:
        refuse(refusals.bad("messages", "this model takes no images"))
    return ask


def _members(raw: bytes) -> dict[str, Any]:
    given = json_object(raw)
    if given is None:
        refuse(refusals.Refusal(400, "The request body is not valid JSON"))
    return {name: item for name, item in given.items() if item is not None}


def _tool(item: Mapping[str, Any]) -> Tool:
    """A checked tool in the shape of chat completions."""
    named = {"input_schema": "parameters"}
    known = ("name", "description", "input_schema", "type")
    return {
        "type": "function",
        "function": {named.get(member, member): item[member] for member in known if item.get(member)},
    }


def _choice(value: Mapping[str, Any], tools: tuple[Tool, ...]) -> tuple[Calls, str | None]:
    """`tool_choice` is an object; the rest of it has not been checked."""
    words = {"auto": Calls.ALLOWED, "none": Calls.FORBIDDEN, "any": Calls.REQUIRED, "tool": Calls.REQUIRED}
    kind = members.choice("tool_choice.type", members.required(value, "tool_choice.", "type"), tuple(words))
    tool = members.required(value, "tool_choice.", "name") if kind == "tool" else None
    if words[kind] is Calls.REQUIRED and not tools:
        refuse(refusals.bad("tool_choice", "may only be specified while providing tools"))
    if tool is not None and tool not in [item["function"]["name"] for item in tools]:
        refuse(refusals.bad("tool_choice.name", f"Tool '{tool}' not found in provided tools"))
    return words[kind], tool


def _tools(param: str, value: object) -> None:
    for at, item in enumerate(members.sequence(param, value)):
        prefix = f"{param}.{at}."
        tool = members.mapping(f"{param}.{at}", item)
        kind = members.text(f"{prefix}type", tool.get("type", "custom"))
        members.text(f"{prefix}name", members.required(tool, prefix, "name"))
        if kind == "custom":
            members.text(f"{prefix}description", tool.get("description", ""))
            members.mapping(f"{prefix}input_schema", members.required(tool, prefix, "input_schema"))
        elif not kind.startswith(_CLIENT_TOOLS):
            refuse(refusals.not_emulated(f"{prefix}type", "tools that Anthropic runs"))


def _stops(param: str, value: object) -> None:
    for at, stop in enumerate(members.sequence(param, value)):
        if not members.text(f"{param}.{at}", stop).strip():
            refuse(refusals.bad(param, "each stop sequence must contain non-whitespace"))


def _output_config(param: str, value: object) -> None:
    if members.mapping(param, value).get("format") is not None:
        refuse(refusals.not_emulated(f"{param}.format", "answers under a JSON Schema"))


def _only(*done: object, what: str) -> Callable[[str, object], None]:
    def one(param: str, value: object) -> None:
        if value not in done:
            refuse(refusals.not_emulated(param, what))

    return one


# Tools of Anthropic's that a client runs itself.
_CLIENT_TOOLS: Final = ("bash_", "text_editor_", "memory_", "computer_")
# What it puts before the tools ("Tool use", Pricing: models of the fourth generation).
_ADDED_TOKENS: Final = {Calls.ALLOWED: 346, Calls.FORBIDDEN: 346, Calls.REQUIRED: 313}
_SAMPLING: Final = frozenset({"temperature", "top_p", "top_k"})
_CHECKS: Final[Mapping[str, Callable[[str, object], object]]] = {
    "model": members.text,
    "messages": members.sequence,
    "max_tokens": lambda param, value: members.integer(param, value, least=1),
    "system": lambda _param, _value: None,
    "stop_sequences": _stops,
    "stream": members.boolean,
    "tools": _tools,
    "tool_choice": members.mapping,
    # Without effect on an answer that is no model's; nothing is cached, and no thought is shown:
    "temperature": lambda param, value: members.decimal(param, value, most=1),
    "top_p": lambda param, value: members.decimal(param, value, most=1),
    "top_k": lambda param, value: members.integer(param, value, least=0),
    "metadata": members.mapping,
    "cache_control": members.mapping,
    "thinking": members.mapping,
    "output_config": _output_config,
    "context_management": members.mapping,
    # Known to the service, and not done here beyond the default:
    "service_tier": _only("auto", "standard_only", what="other service tiers"),
    "speed": _only("standard", what="other speeds"),
    "inference_geo": _only("global", what="other places"),
    "container": _only(what="containers"),
    "mcp_servers": _only(what="MCP servers"),
}
