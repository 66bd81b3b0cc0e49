"""`POST /v1/chat/completions`: from bytes to a request that can be answered, or a refusal.

The order of the checks is the service's: JSON, model, then member by member. A member that the
service knows and the emulator does not do is refused by name; a member that nobody knows, too.

Source: OpenAI API reference, "Create chat completion".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from macroslow.emulator import members, refusals
from macroslow.emulator.members import refuse
from macroslow.emulator.messages import Message, parse_messages
from macroslow.metering.catalogue import Catalogue, Model

_MAX_CHOICES: Final = 128
_MAX_STOPS: Final = 4


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request that passed every check that needs no counting. `max_tokens` None: not given."""

    model: Model
    name: str
    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...]
    response_format: Mapping[str, Any] | None
    max_tokens: int | None
    choices: int
    stops: tuple[str, ...]
    stream: bool
    include_usage: bool

    @property
    def wants_json(self) -> bool:
        """Whether the answer has to be a JSON object."""
        return self.response_format is not None and self.response_format["type"] == "json_object"


def parse_chat(raw: bytes, catalogue: Catalogue) -> ChatRequest:
    """Check a body from anyone. Raises RefusedError."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        refuse(refusals.not_json())
    if not isinstance(value, dict):
        refuse(refusals.not_json())
    given = {name: item for name, item in value.items() if item is not None}
    model = _model(given, catalogue)
    for name, item in given.items():
        if name not in _CHECKS:
            refuse(refusals.bad_value(name, f"Unknown parameter: '{name}'.", "unknown_parameter"))
        _CHECKS[name](name, item)
    return ChatRequest(
        model=model,
        name=given["model"],
        messages=parse_messages(members.required(given, "", "messages")),
        tools=tuple(given.get("tools", ())),
        response_format=given.get("response_format"),
        max_tokens=_max_tokens(given, model),
        choices=given.get("n", 1),
        stops=_stops(given),
        stream=given.get("stream", False),
        include_usage=_include_usage(given),
    )


def _model(given: Mapping[str, Any], catalogue: Catalogue) -> Model:
    if "model" not in given:
        refuse(refusals.Refusal(400, "you must provide a model parameter"))
    name = members.text("model", given["model"])
    return catalogue.find(name) or refuse(refusals.unknown_model(name))


def _max_tokens(given: Mapping[str, Any], model: Model) -> int | None:
    """The output that the request allows, under its old or its new name."""
    names = [name for name in ("max_tokens", "max_completion_tokens") if name in given]
    if len(names) == 2:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        refuse(refusals.bad_value("max_tokens", message, "invalid_parameter_combination"))
    if not names:
        return None
    name, asked = names[0], given[names[0]]
    if model.reasoning and name == "max_tokens":
        message = f"Unsupported parameter: '{name}' is not supported with this model."
        instead = "Use 'max_completion_tokens' instead."
        refuse(refusals.bad_value(name, f"{message} {instead}", "unsupported_parameter"))
    if asked > model.max_output_tokens:
        supports = f"This model supports at most {model.max_output_tokens} completion tokens"
        refuse(
            refusals.bad_value(
                name, f"{name} is too large: {asked}. {supports}, whereas you provided {asked}."
            )
        )
    return int(asked)


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
        refuse(
            refusals.bad_value(
                param,
                f"{message}but got an array with length {len(stops)} instead.",
                "array_above_max_length",
            )
        )
    for at, stop in enumerate(stops):
        members.text(f"{param}[{at}]", stop)


def _tools(param: str, value: object) -> None:
    for at, item in enumerate(members.sequence(param, value)):
        prefix = f"{param}[{at}]."
        tool = members.mapping(f"{param}[{at}]", item)
        members.choice(f"{prefix}type", members.required(tool, prefix, "type"), ("function",))
        function = members.mapping(f"{prefix}function", members.required(tool, prefix, "function"))
        members.text(f"{prefix}function.name", members.required(function, f"{prefix}function.", "name"))


def _response_format(param: str, value: object) -> None:
    kind = members.required(members.mapping(param, value), f"{param}.", "type")
    if kind == "json_schema":
        refuse(refusals.not_emulated(param, "answers under a JSON Schema"))
    members.choice(f"{param}.type", kind, ("json_object", "text"))


def _only(*done: object, what: str) -> Callable[[str, object], None]:
    """A member of which the emulator does just the values `done`."""

    def check(param: str, value: object) -> None:
        if not any(value == allowed and type(value) is type(allowed) for allowed in done):
            refuse(refusals.not_emulated(param, what))

    return check


def _between(least: float, most: float) -> Callable[[str, object], object]:
    return lambda param, value: members.decimal(param, value, least=least, most=most)


def _at_least(least: int, most: int | None = None) -> Callable[[str, object], object]:
    return lambda param, value: members.integer(param, value, least=least, most=most)


_CHECKS: Final[Mapping[str, Callable[[str, object], object]]] = {
    "model": members.text,
    "messages": members.sequence,
    "max_tokens": _at_least(1),
    "max_completion_tokens": _at_least(1),
    "n": _at_least(1, _MAX_CHOICES),
    "stream": members.boolean,
    "stream_options": members.mapping,
    "stop": _stop,
    "response_format": _response_format,
    "tools": _tools,
    "tool_choice": _only("auto", "none", what="tool calls"),
    "parallel_tool_calls": members.boolean,
    # Without effect on an answer that is no model's:
    "temperature": _between(0, 2),
    "top_p": _between(0, 1),
    "frequency_penalty": _between(-2, 2),
    "presence_penalty": _between(-2, 2),
    "seed": _at_least(-(2**63), 2**63 - 1),
    "logit_bias": members.mapping,
    "user": members.text,
    "metadata": members.mapping,
    "store": members.boolean,
    "prompt_cache_key": members.text,
    "safety_identifier": members.text,
    "reasoning_effort": members.text,
    "verbosity": members.text,
    # Known to the service, and not done here beyond the default:
    "logprobs": _only(False, what="log probabilities"),
    "top_logprobs": _only(what="log probabilities"),
    "modalities": _only(["text"], what="audio"),
    "audio": _only(what="audio"),
    "service_tier": _only("auto", "default", what="other service tiers"),
    "functions": _only(what="functions as they were before tools"),
    "function_call": _only(what="functions as they were before tools"),
    "prediction": _only(what="predicted outputs"),
    "web_search_options": _only(what="web search"),
}
