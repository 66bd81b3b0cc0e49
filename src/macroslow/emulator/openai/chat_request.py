"""`POST /v1/chat/completions`: from bytes to a request that can be answered, or a refusal.

Source: OpenAI API reference, "Create chat completion".
"""

from collections.abc import Mapping
from typing import Any, Final

from macroslow.emulator.ask import Ask, Calls
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
from macroslow.emulator.openai.messages import parse_messages
from macroslow.emulator.work import Served, refuse
from macroslow.metering.models import Model

_MAX_CHOICES: Final = 128
_MAX_STOPS: Final = 4


def parse_chat(raw: bytes, served: Served) -> tuple[Ask, bool]:
    """Check a body from anyone: what it asks, and whether a stream is to tell its usage."""
    given = members_of(raw)
    model = writing_model_of(given, served)
    check(given, _CHECKS)
    tools = tuple(given.get("tools", ()))
    calls, tool = _choice(given.get("tool_choice", "auto"), tools)
    ask = Ask(
        model=model,
        name=given["model"],
        messages=parse_messages(members.required(given, "", "messages")),
        tools=tools,
        calls=calls,
        tool=tool,
        response_format=given.get("response_format"),
        max_tokens=_max_tokens(given, model),
        choices=given.get("n", 1),
        stops=_stops(given),
        stream=given.get("stream", False),
    )
    takes_images(ask)
    if ask.wants_json:
        needs_the_word_json("messages", ask.messages)
    return ask, _include_usage(given)


def _choice(value: Any, tools: tuple[Mapping[str, Any], ...]) -> tuple[Calls, str | None]:
    """`tool_choice` has been checked, but not against the tools."""
    words = {"auto": Calls.ALLOWED, "none": Calls.FORBIDDEN, "required": Calls.REQUIRED}
    tool = None if isinstance(value, str) else function_name("tool_choice", value)
    calls = words[value] if tool is None else Calls.REQUIRED
    if calls is Calls.REQUIRED and not tools:
        message = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
        refuse(refusals.bad_value("tool_choice", message, None))
    if tool is not None and tool not in [item["function"]["name"] for item in tools]:
        message = f"Tool choice '{tool}' not found in 'tools' parameter."
        refuse(refusals.bad_value("tool_choice", message, None))
    return calls, tool


def function_name(param: str, value: Mapping[str, Any]) -> str:
    """The name in `{"type": "function", "function": {"name": …}}`."""
    prefix = f"{param}."
    function = members.mapping(f"{prefix}function", members.required(value, prefix, "function"))
    name = members.required(function, f"{prefix}function.", "name")
    return members.text(f"{prefix}function.name", name)


def _max_tokens(given: Mapping[str, Any], model: Model) -> int | None:
    """The output that the request allows, under its old or its new name."""
    names = [name for name in ("max_tokens", "max_completion_tokens") if name in given]
    if len(names) == 2:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        refuse(refusals.bad_value("max_tokens", message, "invalid_parameter_combination"))
    if not names:
        return None
    name = names[0]
    if model.reasoning and name == "max_tokens":
        message = f"Unsupported parameter: '{name}' is not supported with this model."
        instead = "Use 'max_completion_tokens' instead."
        refuse(refusals.bad_value(name, f"{message} {instead}", "unsupported_parameter"))
    return output_limit(name, given[name], model)


def _stops(given: Mapping[str, Any]) -> tuple[str, ...]:
    stop = given.get("stop", [])
    return (stop,) if isinstance(stop, str) else tuple(stop)


def _include_usage(given: Mapping[str, Any]) -> bool:
    options = given.get("stream_options")
    if options is None:
        return False
    if not given.get("stream", False):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        refuse(refusals.bad_value("stream_options", message, None))
    include = options.get("include_usage")
    return False if include is None else members.boolean("stream_options.include_usage", include)


def _stop(param: str, value: object) -> None:
    if isinstance(value, str):
        return
    stops = members.sequence(param, value, of="strings")
    if len(stops) > _MAX_STOPS:
        message = f"Invalid '{param}': array too long. Expected an array with maximum length {_MAX_STOPS}, "
        too_long = f"{message}but got an array with length {len(stops)} instead."
        refuse(refusals.bad_value(param, too_long, "array_above_max_length"))
    for at, stop in enumerate(stops):
        members.text(f"{param}[{at}]", stop)


def _tools(param: str, value: object) -> None:
    for at, item in enumerate(members.sequence(param, value)):
        prefix = f"{param}[{at}]."
        tool = members.mapping(f"{param}[{at}]", item)
        members.choice(f"{prefix}type", members.required(tool, prefix, "type"), ("function",))
        function_name(f"{param}[{at}]", tool)


def _response_format(param: str, value: object) -> None:
    kind = members.required(members.mapping(param, value), f"{param}.", "type")
    if kind == "json_schema":
        refuse(refusals.not_emulated(param, "answers under a JSON Schema"))
    members.choice(f"{param}.type", kind, ("json_object", "text"))


_CHECKS: Final[Mapping[str, Check]] = {
    "model": members.text,
    "messages": members.sequence,
    "max_tokens": at_least(1),
    "max_completion_tokens": at_least(1),
    "n": at_least(1, _MAX_CHOICES),
    "stream": members.boolean,
    "stream_options": members.mapping,
    "stop": _stop,
    "response_format": _response_format,
    "tools": _tools,
    "tool_choice": tool_choice,
    "parallel_tool_calls": members.boolean,
    # Without effect on an answer that is no model's:
    "temperature": between(0, 2),
    "top_p": between(0, 1),
    "frequency_penalty": between(-2, 2),
    "presence_penalty": between(-2, 2),
    "seed": at_least(-(2**63), 2**63 - 1),
    "logit_bias": members.mapping,
    "user": members.text,
    "metadata": members.mapping,
    "store": members.boolean,
    "prompt_cache_key": members.text,
    "safety_identifier": members.text,
    "reasoning_effort": members.text,
    "verbosity": members.text,
    # Known to the service, and not done here beyond the default:
    "logprobs": only(False, what="log probabilities"),
    "top_logprobs": only(what="log probabilities"),
    "modalities": only(["text"], what="audio"),
    "audio": only(what="audio"),
    "service_tier": only("auto", "default", what="other service tiers"),
    "functions": only(what="functions as they were before tools"),
    "function_call": only(what="functions as they were before tools"),
    "prediction": only(what="predicted outputs"),
    "web_search_options": only(what="web search"),
}
