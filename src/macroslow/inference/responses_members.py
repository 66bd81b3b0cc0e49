"""Which members a request for a response may have: an allow-list, because each must be priceable.

Tools that the client executes cost the tokens they are described with and are served. Hosted ones
(web and file search, code interpreter, images, computers, MCP), work in the background, conversations,
prompt templates, files and compaction by the provider have no price here and are refused by name.

Source: OpenAI API reference, "Create a response".
"""

from collections.abc import Mapping
from typing import Final

from macroslow.inference.members import (
    CACHE_OPTIONS,
    CACHE_POINT,
    DETAIL,
    PICTURE_URL,
    RETENTION,
    STANDARD_TIER,
)
from macroslow.inference.shapes import (
    BOOLEAN,
    COUNT,
    MAX_ITEMS,
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
    list_of,
    only,
    text_or,
    whole,
)

_BARE: Final = fields({"type": TEXT})
_DIRECT: Final = list_of(choice("direct"), 1)
_FORMAT: Final = kinds(
    "type",
    {
        "text": _BARE,
        "json_object": _BARE,
        "json_schema": fields(
            {"type": TEXT, "name": NAME, "schema": OBJECT},
            {"description": TEXT, "strict": BOOLEAN},
            keeps_null=True,
        ),
    },
)
_GRAMMAR: Final = fields({"type": TEXT, "definition": TEXT, "syntax": choice("lark", "regex")})
_CALLABLE: Final[Mapping[str, Check]] = {
    "function": fields(
        {"type": TEXT, "name": NAME},
        {
            "description": TEXT,
            "parameters": OBJECT,
            "strict": BOOLEAN,
            "output_schema": OBJECT,
            "defer_loading": BOOLEAN,
            "allowed_callers": _DIRECT,
        },
        keeps_null=True,
    ),
    "custom": fields(
        {"type": TEXT, "name": NAME},
        {
            "description": TEXT,
            "format": kinds("type", {"text": _BARE, "grammar": _GRAMMAR}),
            "defer_loading": BOOLEAN,
            "allowed_callers": _DIRECT,
        },
    ),
}
_LOCAL: Final = fields({"type": choice("local")}, {"skills": list_of(OBJECT, MAX_TOOLS, least=0)})
TOOLS: Final[Mapping[str, Check]] = {
    **_CALLABLE,
    "namespace": fields(
        {
            "type": TEXT,
            "name": NAME,
            "description": TEXT,
            "tools": list_of(kinds("type", _CALLABLE), MAX_TOOLS),
        }
    ),
    "tool_search": fields(
        {"type": TEXT, "execution": choice("client")}, {"description": TEXT, "parameters": OBJECT}
    ),
    "local_shell": _BARE,
    "shell": fields({"type": TEXT, "environment": _LOCAL}, {"allowed_callers": _DIRECT}),
    "apply_patch": fields({"type": TEXT}, {"allowed_callers": _DIRECT}),
}
"""The shape of a tool by its type; all of them are executed by the client."""
_TOOLS: Final = list_of(kinds("type", TOOLS), MAX_TOOLS, least=0)

_NAMED: Final = fields({"type": TEXT, "name": NAME})
_TOOL_CHOICE: Final = either(
    {
        str: choice("none", "auto", "required"),
        dict: kinds(
            "type",
            {
                "function": _NAMED,
                "custom": _NAMED,
                "allowed_tools": fields(
                    {"type": TEXT, "mode": choice("auto", "required"), "tools": list_of(OBJECT, MAX_TOOLS)}
                ),
                "shell": _BARE,
                "apply_patch": _BARE,
            },
        ),
    },
    "none, auto, required or a tool",
)

_IMAGE: Final = fields({"type": TEXT, "image_url": PICTURE_URL}, {"detail": DETAIL, **CACHE_POINT})
_GIVEN: Final[Mapping[str, Check]] = {
    "input_text": fields({"type": TEXT, "text": TEXT}, CACHE_POINT),
    "input_image": _IMAGE,
}
_SAID: Final[Mapping[str, Check]] = {
    "output_text": fields({"type": TEXT, "text": TEXT}, ignored=frozenset({"annotations", "logprobs"})),
    "refusal": fields({"type": TEXT, "refusal": TEXT}),
}
_PARTS: Final = list_of(kinds("type", {**_GIVEN, **_SAID}), MAX_ITEMS, least=0)
_RESULT: Final = text_or(list_of(kinds("type", _GIVEN), MAX_ITEMS, least=0), "a list of text and image parts")
_LABELS: Final[Mapping[str, Check]] = {"id": NAME, "status": NAME}
_UNSAID: Final = frozenset({"caller", "created_by", "internal_chat_message_metadata_passthrough"})


def _item(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    return fields({"type": TEXT, **required}, {**_LABELS, **(optional or {})}, ignored=_UNSAID)


_SUMMARY: Final = list_of(fields({"type": choice("summary_text"), "text": TEXT}), MAX_ITEMS, least=0)
_THOUGHT: Final = list_of(
    fields({"type": choice("reasoning_text", "text"), "text": TEXT}), MAX_ITEMS, least=0
)
_CLIENT: Final = {"execution": choice("client")}
ITEMS: Final[Mapping[str, Check]] = {
    "message": fields(
        {
            "role": choice("user", "assistant", "system", "developer"),
            "content": text_or(_PARTS, "a list of text and image parts"),
        },
        {"type": TEXT, "phase": NAME, **_LABELS},
        ignored=_UNSAID,
    ),
    "reasoning": _item({"summary": _SUMMARY}, {"content": _THOUGHT, "encrypted_content": TEXT}),
    "function_call": _item({"call_id": NAME, "name": NAME, "arguments": TEXT}, {"namespace": NAME}),
    "function_call_output": _item({"call_id": NAME, "output": _RESULT}, {"name": NAME, "namespace": NAME}),
    "custom_tool_call": _item({"call_id": NAME, "name": NAME, "input": TEXT}, {"namespace": NAME}),
    "custom_tool_call_output": _item({"call_id": NAME, "output": _RESULT}),
    "local_shell_call": _item({"call_id": NAME, "action": OBJECT}),
    "local_shell_call_output": _item({"output": TEXT}, {"call_id": NAME}),
    "shell_call": _item({"call_id": NAME, "action": OBJECT}, {"environment": _LOCAL}),
    "shell_call_output": _item(
        {"call_id": NAME, "output": list_of(OBJECT, MAX_ITEMS, least=0)}, {"max_output_length": COUNT}
    ),
    "apply_patch_call": _item({"call_id": NAME, "operation": OBJECT}),
    "apply_patch_call_output": _item({"call_id": NAME}, {"output": TEXT}),
    "tool_search_call": _item(
        {"arguments": either({dict: OBJECT, str: TEXT}, "an object or a text")}, {"call_id": NAME, **_CLIENT}
    ),
    "tool_search_output": _item({"tools": _TOOLS}, {"call_id": NAME, **_CLIENT}),
    "additional_tools": _item({"tools": _TOOLS}, {"role": choice("developer")}),
    "compaction": _item({"encrypted_content": TEXT}),
}
"""The shape of an input item by its type. References to what the provider stores are not among them."""

_INCLUDED: Final = choice(
    "reasoning.encrypted_content", "message.output_text.logprobs", "message.input_image.image_url"
)
RESPONSE_REQUIRED: Final[Mapping[str, Check]] = {
    "model": NAME,
    "input": text_or(list_of(kinds("type", ITEMS, absent="message"), MAX_ITEMS, least=0), "a list of items"),
}
RESPONSE_OPTIONAL: Final[Mapping[str, Check]] = {
    "instructions": TEXT,
    "tools": _TOOLS,
    "tool_choice": _TOOL_CHOICE,
    "parallel_tool_calls": BOOLEAN,
    "text": fields({}, {"format": _FORMAT, "verbosity": NAME}),
    "reasoning": fields(
        {},
        {
            "effort": NAME,
            "summary": NAME,
            "generate_summary": NAME,
            "context": NAME,
            "mode": choice("standard"),
        },
        keeps_null=True,
    ),
    "include": list_of(_INCLUDED, 16, least=0),
    "max_output_tokens": COUNT,
    "temperature": between(0, 2),
    "top_p": between(0, 1),
    "top_logprobs": whole(0, 20),
    "truncation": choice("auto", "disabled"),
    "stream": BOOLEAN,
    "stream_options": fields({}, {"include_obfuscation": BOOLEAN, "reasoning_summary_delivery": NAME}),
    "store": BOOLEAN,
    "background": only(False, "work in the background is not governed here"),
    "previous_response_id": NAME,
    "metadata": TAGS,
    "client_metadata": TAGS,
    "prompt_cache_key": TEXT,
    "prompt_cache_options": CACHE_OPTIONS,
    "prompt_cache_retention": RETENTION,
    "safety_identifier": TEXT,
    "user": TEXT,
    "service_tier": STANDARD_TIER,
}
"""Every member of a request for a response that is served, and what it must be."""
