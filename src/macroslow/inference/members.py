"""Which members a chat request may have: an allow-list, because each must be priceable.

A member that changes what a call costs in ways the catalogue cannot price (hosted tools, service
tiers, audio, predictions, storage) or that is not known here is refused by name. The rules are one
table; what a model makes of a value within them is the provider's business.

Source: OpenAI API reference, "Create chat completion".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from macroslow.errors import InvalidModelRequestError

MAX_CHOICES: Final = 16
MAX_MESSAGES: Final = 2048
MAX_PARTS: Final = 8192  # text parts and tool calls of one request together
MAX_TOOLS: Final = 128
MAX_NAME_CHARACTERS: Final = 256
_MAX_BIASES: Final = 1024
_MAX_STOPS: Final = 16
_MAX_COUNT: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be: a test, and the words for it."""

    fits: Callable[[Any], bool]
    expected: str

    def fault(self, param: str) -> InvalidModelRequestError:
        """The error for a `param` that does not fit."""
        return InvalidModelRequestError(f"{param} must be {self.expected}", param=param)


def is_count(value: object) -> bool:
    """Whether `value` is a whole number above 0 (and not a boolean)."""
    return type(value) is int and 0 < value <= _MAX_COUNT


def is_name(value: object) -> bool:
    """Whether `value` is a short text with something in it."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARACTERS


def is_object_of(value: object, required: Mapping[str, Rule], optional: Mapping[str, Rule]) -> bool:
    """Whether `value` is an object with all `required` members and beyond them only `optional` ones."""
    if not isinstance(value, dict) or not required.keys() <= value.keys():
        return False
    rules = {**required, **optional}
    return all(key in rules and rules[key].fits(member) for key, member in value.items())


def is_list_of(value: object, rule: Rule, most: int) -> bool:
    """Whether `value` is a list of 1 to `most` values that fit `rule`."""
    return isinstance(value, list) and 0 < len(value) <= most and all(map(rule.fits, value))


def _between(low: float, high: float) -> Rule:
    def fits(value: object) -> bool:
        return type(value) in (int, float) and low <= value <= high  # type: ignore[operator]

    return Rule(fits, f"a number from {low} to {high}")


def _choice(*words: str) -> Rule:
    return Rule(lambda value: isinstance(value, str) and value in words, f"one of {', '.join(words)}")


def _object(required: Mapping[str, Rule], optional: Mapping[str, Rule], expected: str) -> Rule:
    return Rule(lambda value: is_object_of(value, required, optional), expected)


def _either(first: Rule, second: Rule) -> Rule:
    return Rule(
        lambda value: first.fits(value) or second.fits(value), f"{first.expected}, or {second.expected}"
    )


TEXT: Final = Rule(lambda value: isinstance(value, str), "a text")
NAME: Final = Rule(is_name, f"a text of 1 to {MAX_NAME_CHARACTERS} characters")
BOOLEAN: Final = Rule(lambda value: isinstance(value, bool), "true or false")
COUNT: Final = Rule(is_count, "a whole number above 0")
OBJECT: Final = Rule(lambda value: isinstance(value, dict), "an object")

TOOL: Final = _object(
    {
        "type": _choice("function"),
        "function": _object(
            {"name": NAME},
            {
                "description": TEXT,
                "parameters": OBJECT,
                "strict": Rule(lambda value: value is None or isinstance(value, bool), ""),
            },
            "a function",
        ),
    },
    {},
    'a tool of the form {"type": "function", "function": {"name", "description", "parameters", "strict"}}'
    " (hosted tools have no price here)",
)
_NAMED_TOOL: Final = _object(
    {"type": _choice("function"), "function": _object({"name": NAME}, {}, "a function's name")},
    {},
    "a function by name",
)
_SCHEMA: Final = _object(
    {"name": NAME},
    {
        "description": TEXT,
        "schema": OBJECT,
        "strict": Rule(lambda value: value is None or isinstance(value, bool), ""),
    },
    "a named schema",
)
_FORMAT: Final = _either(
    _object({"type": _choice("text", "json_object")}, {}, '{"type": "text" or "json_object"}'),
    _object(
        {"type": _choice("json_schema"), "json_schema": _SCHEMA},
        {},
        '{"type": "json_schema", "json_schema": {"name", "description", "schema", "strict"}}',
    ),
)


def _is_bias(value: object) -> bool:
    one = _between(-100, 100)
    return isinstance(value, dict) and len(value) <= _MAX_BIASES and all(map(one.fits, value.values()))


MEMBERS: Final[Mapping[str, Rule]] = {
    "model": NAME,
    "messages": Rule(
        lambda value: isinstance(value, list) and 0 < len(value) <= MAX_MESSAGES,
        f"a list of 1 to {MAX_MESSAGES} messages",
    ),
    "tools": Rule(
        lambda value: isinstance(value, list) and len(value) <= MAX_TOOLS,
        f"a list of at most {MAX_TOOLS} tools",
    ),
    "tool_choice": _either(_choice("none", "auto", "required"), _NAMED_TOOL),
    "parallel_tool_calls": BOOLEAN,
    "response_format": _FORMAT,
    "stream": BOOLEAN,
    "stream_options": _object(
        {},
        {"include_usage": BOOLEAN, "include_obfuscation": BOOLEAN},
        'an object with "include_usage" and "include_obfuscation" alone',
    ),
    "n": Rule(
        lambda value: is_count(value) and value <= MAX_CHOICES, f"a whole number from 1 to {MAX_CHOICES}"
    ),
    "max_tokens": COUNT,
    "max_completion_tokens": COUNT,
    "temperature": _between(0, 2),
    "top_p": _between(0, 1),
    "presence_penalty": _between(-2, 2),
    "frequency_penalty": _between(-2, 2),
    "logit_bias": Rule(_is_bias, f"an object of at most {_MAX_BIASES} numbers from -100 to 100"),
    "logprobs": BOOLEAN,
    "top_logprobs": Rule(
        lambda value: type(value) is int and 0 <= value <= 20, "a whole number from 0 to 20"
    ),
    "stop": _either(TEXT, Rule(lambda value: is_list_of(value, TEXT, _MAX_STOPS), "a list of a few texts")),
    "seed": Rule(lambda value: type(value) is int and -(2**63) <= value < 2**63, "a 64-bit whole number"),
    "reasoning_effort": NAME,
    "verbosity": NAME,
    "user": TEXT,
    "safety_identifier": TEXT,
    "prompt_cache_key": TEXT,
    "store": Rule(lambda value: value is False, "false: what providers store is not governed here"),
}
"""Every member of a chat request that is served, and what it must be."""


_TEXT_PART: Final = _object({"type": _choice("text"), "text": TEXT}, {}, "a text part")
_REFUSAL_PART: Final = _object({"type": _choice("refusal"), "refusal": TEXT}, {}, "a refusal part")
_CONTENT: Final = _either(TEXT, Rule(lambda value: is_list_of(value, _TEXT_PART, MAX_PARTS), "text parts"))
_SPOKEN: Final = _either(
    TEXT,
    Rule(
        lambda value: is_list_of(value, _either(_TEXT_PART, _REFUSAL_PART), MAX_PARTS),
        "text and refusal parts",
    ),
)
_CALLED: Final = _object({"name": NAME, "arguments": TEXT}, {}, "a function call")
_CALL: Final = _object({"id": NAME, "type": _choice("function"), "function": _CALLED}, {}, "a tool call")
_INSTRUCTION: Final = {"role": TEXT, "content": _CONTENT, "name": NAME}

ROLES: Final[Mapping[str, Mapping[str, Rule]]] = {
    "system": _INSTRUCTION,
    "developer": _INSTRUCTION,
    "user": _INSTRUCTION,
    "assistant": {
        "role": TEXT,
        "content": _SPOKEN,
        "name": NAME,
        "refusal": TEXT,
        "tool_calls": Rule(lambda value: is_list_of(value, _CALL, MAX_TOOLS), "a list of function calls"),
    },
    "tool": {"role": TEXT, "content": _CONTENT, "tool_call_id": NAME},
}
"""The members of a message by its role. Images, audio and files are no text and have no price here."""

NEEDS_CONTENT: Final = ROLES.keys() - {"assistant"}
