"""Which members a chat request may have: an allow-list, because each must be priceable.

A member that changes what a call costs in ways the catalogue cannot price (hosted tools, service
tiers, audio, predictions) or that is not known here is refused by name. What a model makes of a value
within these shapes is the provider's business. Storing costs nothing, and no request can name what is stored
of a chat.

Source: OpenAI API reference, "Create chat completion".
"""

from collections.abc import Mapping
from typing import Any, Final

from macroslow.inference import pictures
from macroslow.inference.shapes import (
    BOOLEAN,
    COUNT,
    MAX_TOOLS,
    NAME,
    OBJECT,
    TAGS,
    TEXT,
    Check,
    between,
    choice,
    either,
    fields,
    kinds,
    leaf,
    list_of,
    text_or,
    whole,
)

MAX_CHOICES: Final = 16
MAX_MESSAGES: Final = 2048
MAX_PARTS: Final = 8192  # of one message
_MAX_BIASES: Final = 1024
_MAX_STOPS: Final = 16


def _picture_url(value: Any) -> Any:
    pictures.at_url(TEXT.take(value))
    return value


PICTURE_URL: Final = Check(_picture_url)
"""A picture whose tokens can be counted."""
DETAIL: Final = choice("low", "high", "auto")
CACHE_OPTIONS: Final = fields({}, {"mode": choice("implicit", "explicit"), "ttl": choice("30m", "12h")})
CACHE_POINT: Final[Mapping[str, Check]] = {
    "prompt_cache_breakpoint": fields({"mode": choice("explicit")}, {"ttl": choice("30m", "12h")})
}
RETENTION: Final = choice("in_memory", "24h")
STANDARD_TIER: Final = choice("default", "auto")  # auto is what holds without it; others have other prices

_SCHEMA: Final = fields(
    {"name": NAME}, {"description": TEXT, "schema": OBJECT, "strict": BOOLEAN}, keeps_null=True
)
_FORMAT: Final = kinds(
    "type",
    {
        "text": fields({"type": TEXT}),
        "json_object": fields({"type": TEXT}),
        "json_schema": fields({"type": TEXT, "json_schema": _SCHEMA}),
    },
)
_GRAMMAR: Final = fields({"definition": TEXT, "syntax": choice("lark", "regex")})
_CUSTOM_FORMAT: Final = kinds(
    "type", {"text": fields({"type": TEXT}), "grammar": fields({"type": TEXT, "grammar": _GRAMMAR})}
)
_FUNCTION: Final = fields(
    {"name": NAME}, {"description": TEXT, "parameters": OBJECT, "strict": BOOLEAN}, keeps_null=True
)
_TOOL: Final = kinds(
    "type",
    {
        "function": fields({"type": TEXT, "function": _FUNCTION}),
        "custom": fields(
            {"type": TEXT, "custom": fields({"name": NAME}, {"description": TEXT, "format": _CUSTOM_FORMAT})}
        ),
    },
)
_ALLOWED_TOOLS: Final = fields({"mode": choice("auto", "required"), "tools": list_of(OBJECT, MAX_TOOLS)})
_NAMED: Final = fields({"name": NAME})
_TOOL_CHOICE: Final = either(
    {
        str: choice("none", "auto", "required"),
        dict: kinds(
            "type",
            {
                "function": fields({"type": TEXT, "function": _NAMED}),
                "custom": fields({"type": TEXT, "custom": _NAMED}),
                "allowed_tools": fields({"type": TEXT, "allowed_tools": _ALLOWED_TOOLS}),
            },
        ),
    },
    "none, auto, required or a tool by name",
)

_TEXT_PART: Final = fields({"type": TEXT, "text": TEXT}, CACHE_POINT)
_IMAGE_PART: Final = fields(
    {"type": TEXT, "image_url": fields({"url": PICTURE_URL}, {"detail": DETAIL})}, CACHE_POINT
)
_TEXTS: Final = text_or(list_of(kinds("type", {"text": _TEXT_PART}), MAX_PARTS), "a list of text parts")
_SEEN: Final = text_or(
    list_of(kinds("type", {"text": _TEXT_PART, "image_url": _IMAGE_PART}), MAX_PARTS),
    "a list of text and image parts",
)
_SPOKEN: Final = text_or(
    list_of(
        kinds("type", {"text": _TEXT_PART, "refusal": fields({"type": TEXT, "refusal": TEXT})}), MAX_PARTS
    ),
    "a list of text and refusal parts",
)
_CALL: Final = kinds(
    "type",
    {
        "function": fields({"id": NAME, "type": TEXT, "function": fields({"name": NAME, "arguments": TEXT})}),
        "custom": fields({"id": NAME, "type": TEXT, "custom": fields({"name": NAME, "input": TEXT})}),
    },
)
_INSTRUCTION: Final = fields({"role": TEXT, "content": _TEXTS}, {"name": NAME})

ROLES: Final[Mapping[str, Check]] = {
    "system": _INSTRUCTION,
    "developer": _INSTRUCTION,
    "user": fields({"role": TEXT, "content": _SEEN}, {"name": NAME}),
    "assistant": fields(
        {"role": TEXT},
        {
            "content": _SPOKEN,
            "name": NAME,
            "refusal": TEXT,
            "reasoning_content": TEXT,
            "tool_calls": list_of(_CALL, MAX_TOOLS),
        },
        ignored=frozenset({"annotations"}),
    ),
    "tool": fields({"role": TEXT, "content": _TEXTS, "tool_call_id": NAME}),
}
"""The shape of a message by its role. Audio and files have no price here."""


def _is_bias(value: object) -> bool:
    return (
        type(value) is dict
        and len(value) <= _MAX_BIASES
        and all(type(bias) in (int, float) and -100 <= bias <= 100 for bias in value.values())
    )


REQUIRED: Final[Mapping[str, Check]] = {
    "model": NAME,
    "messages": list_of(kinds("role", ROLES), MAX_MESSAGES),
}
OPTIONAL: Final[Mapping[str, Check]] = {
    "tools": list_of(_TOOL, MAX_TOOLS, least=0),
    "tool_choice": _TOOL_CHOICE,
    "parallel_tool_calls": BOOLEAN,
    "response_format": _FORMAT,
    "stream": BOOLEAN,
    "stream_options": fields({}, {"include_usage": BOOLEAN, "include_obfuscation": BOOLEAN}),
    "n": whole(1, MAX_CHOICES),
    "max_tokens": COUNT,
    "max_completion_tokens": COUNT,
    "temperature": between(0, 2),
    "top_p": between(0, 1),
    "presence_penalty": between(-2, 2),
    "frequency_penalty": between(-2, 2),
    "logit_bias": leaf(_is_bias, f"an object of at most {_MAX_BIASES} numbers from -100 to 100"),
    "logprobs": BOOLEAN,
    "top_logprobs": whole(0, 20),
    "stop": text_or(list_of(TEXT, _MAX_STOPS), f"a list of at most {_MAX_STOPS} texts"),
    "seed": whole(-(2**63), 2**63 - 1),
    "reasoning_effort": NAME,
    "verbosity": NAME,
    "user": TEXT,
    "safety_identifier": TEXT,
    "prompt_cache_key": TEXT,
    "prompt_cache_options": CACHE_OPTIONS,
    "prompt_cache_retention": RETENTION,
    "service_tier": STANDARD_TIER,
    "store": BOOLEAN,
    "metadata": TAGS,
}
MEMBERS: Final[Mapping[str, Check]] = {**REQUIRED, **OPTIONAL}
"""Every member of a chat request that is served, and what it must be."""
