"""`POST /v1/responses`: from bytes to a request that can be answered, or a refusal.

Source: OpenAI API reference, "Create a model response".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from macroslow.emulator.ask import Ask, Calls, Message, Tool
from macroslow.emulator.openai import members, refusals
from macroslow.emulator.openai.checks import (
    Check,
    at_least,
    between,
    check,
    members_of,
    needs_the_word_json,
    only,
    output_limit,
    takes_images,
    tool_choice,
    writing_model_of,
)
from macroslow.emulator.openai.response_items import parse_input
from macroslow.emulator.openai.response_store import ResponseStore
from macroslow.emulator.work import Served, refuse

_LEAST_OUTPUT_TOKENS: Final = 16
# What a client runs itself: counted, and never called.
_CLIENT_TOOLS: Final = ("custom", "namespace", "tool_search", "local_shell", "shell", "apply_patch")


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """What is asked; `given` are the members as they came, `turns` what a next response goes on from.

    `turns` are the messages before the answer without the instructions, which do not carry over.
    """

    ask: Ask
    given: Mapping[str, Any]
    turns: tuple[Message, ...]

    @property
    def stores(self) -> bool:
        """Whether the answer is kept; it is unless told otherwise."""
        return bool(self.given.get("store", True))


def parse_response(raw: bytes, served: Served, store: ResponseStore) -> ResponseRequest:
    """Check a body from anyone. Raises RefusedError."""
    given = members_of(raw)
    model = writing_model_of(given, served)
    check(given, _CHECKS)
    turns = (*_earlier(given, store), *parse_input(members.required(given, "", "input")))
    instructions = given.get("instructions")
    system = () if instructions is None else ({"role": "developer", "content": instructions},)
    tools = tuple(_tool(item) for item in given.get("tools", ()))
    calls, tool = _choice(given.get("tool_choice", "auto"), tools)
    most = given.get("max_output_tokens")
    ask = Ask(
        model=model,
        name=given["model"],
        messages=(*system, *turns),
        tools=tools,
        calls=calls,
        tool=tool,
        response_format=given.get("text", {}).get("format"),
        max_tokens=None if most is None else output_limit("max_output_tokens", most, model),
        stream=given.get("stream", False),
    )
    takes_images(ask)
    if ask.wants_json:
        needs_the_word_json("input", ask.messages)
    return ResponseRequest(ask, given, turns)


def _earlier(given: Mapping[str, Any], store: ResponseStore) -> tuple[Message, ...]:
    """The turns of the response that this one goes on from."""
    previous = given.get("previous_response_id")
    if previous is None:
        return ()
    kept = store.find(previous)
    if kept is None:
        message = f"Previous response with id '{previous}' not found."
        refuse(refusals.bad_value("previous_response_id", message, "previous_response_not_found"))
    return kept.turns


def _tool(item: Mapping[str, Any]) -> Tool:
    """A checked tool in the shape of chat completions; one that is no function is whole in there."""
    kind = item["type"]
    members = {name: item[name] for name in item if name != "type"} if kind == "function" else item
    return {"type": kind, "function": members}


def _choice(value: Any, tools: tuple[Tool, ...]) -> tuple[Calls, str | None]:
    words = {"auto": Calls.ALLOWED, "none": Calls.FORBIDDEN, "required": Calls.REQUIRED}
    if isinstance(value, str) and (value != "required" or tools):
        return words[value], None
    if not isinstance(value, str) and value["type"] != "function":
        return Calls.ALLOWED, None
    name = None if isinstance(value, str) else members.required(value, "tool_choice.", "name")
    if name not in [tool["function"]["name"] for tool in tools if tool["type"] == "function"]:
        message = f"Tool choice '{name or value}' not found in 'tools' parameter."
        refuse(refusals.bad_value("tool_choice", message, None))
    return Calls.REQUIRED, name


def _tool_choice(param: str, value: object) -> None:
    """As for chat completions, or tools of a client's own, none of which is ever called here."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in ("allowed_tools", *_CLIENT_TOOLS):
        tool_choice(param, value)


def _tools(param: str, value: object) -> None:
    for at, item in enumerate(members.sequence(param, value)):
        prefix = f"{param}[{at}]."
        tool = members.mapping(f"{param}[{at}]", item)
        kind = members.required(tool, prefix, "type")
        if kind == "function":
            members.text(f"{prefix}name", members.required(tool, prefix, "name"))
        elif kind not in _CLIENT_TOOLS:
            refuse(refusals.not_emulated(f"{prefix}type", "tools that run at the service"))


def _text(param: str, value: object) -> None:
    format_ = members.mapping(param, value).get("format")
    if format_ is None:
        return
    kind = members.required(members.mapping(f"{param}.format", format_), f"{param}.format.", "type")
    if kind == "json_schema":
        refuse(refusals.not_emulated(f"{param}.format", "answers under a JSON Schema"))
    members.choice(f"{param}.format.type", kind, ("json_object", "text"))


_CHECKS: Final[Mapping[str, Check]] = {
    "model": members.text,
    "input": lambda _param, _value: None,
    "instructions": members.text,
    "previous_response_id": members.text,
    "max_output_tokens": at_least(_LEAST_OUTPUT_TOKENS),
    "store": members.boolean,
    "stream": members.boolean,
    "stream_options": members.mapping,
    "text": _text,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": members.boolean,
    # Without effect on an answer that is no model's:
    "temperature": between(0, 2),
    "top_p": between(0, 1),
    "user": members.text,
    "metadata": members.mapping,
    "include": members.sequence,
    "reasoning": members.mapping,
    "truncation": lambda param, value: members.choice(param, value, ("auto", "disabled")),
    "max_tool_calls": at_least(1),
    "prompt_cache_key": members.text,
    "prompt_cache_retention": members.text,
    "safety_identifier": members.text,
    "client_metadata": members.mapping,
    # Known to the service, and not done here beyond the default:
    "background": only(False, what="work in the background"),
    "conversation": only(what="conversations"),
    "prompt": only(what="stored prompts"),
    "service_tier": only("auto", "default", what="other service tiers"),
    "top_logprobs": only(0, what="log probabilities"),
    "moderation": only(what="moderation"),
    "context_management": only(what="compaction"),
}
