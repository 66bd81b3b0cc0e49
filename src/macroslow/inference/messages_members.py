"""Which members a request for a message may have: an allow-list, because each must be priceable.

Tools that the client executes cost the tokens they are described with and are served, Anthropic's own
ones (bash, text editor, memory, computer) among them. Tools that Anthropic executes, containers, MCP
servers, files, PDF, compaction by the provider, other places and speeds have no price here and are
refused by name. Writing into the prompt cache has prices of its own; the answer says what it was.

Source: Anthropic API reference, "Create a Message" and "Count tokens in a Message".
"""

from collections.abc import Mapping
from typing import Any, Final

from macroslow.inference import pictures
from macroslow.inference.members import PICTURE_URL
from macroslow.inference.shapes import (
    BOOLEAN,
    COUNT,
    MAX_ITEMS,
    MAX_TOOLS,
    NAME,
    OBJECT,
    TEXT,
    Check,
    between,
    choice,
    either,
    fields,
    kinds,
    list_of,
    text_or,
    whole,
)

_MAX_STOPS: Final = 256
_MAX_TOP_K: Final = 2**31 - 1


def _picture_base64(value: Any) -> Any:
    pictures.in_base64(TEXT.take(value))
    return value


_PICTURE_BASE64: Final = Check(_picture_base64)
_CACHE: Final = fields({"type": choice("ephemeral")}, {"ttl": choice("5m", "1h"), "scope": NAME})
_CACHED: Final[Mapping[str, Check]] = {"cache_control": _CACHE}
_CITED: Final = frozenset({"citations"})  # of documents; not forwarded, since none are served that have them
_TEXT: Final = fields({"type": TEXT, "text": TEXT}, _CACHED, ignored=_CITED)
_TEXTS: Final = list_of(kinds("type", {"text": _TEXT}), MAX_ITEMS, least=0)
_MEDIA: Final = choice("image/png", "image/jpeg", "image/gif", "image/webp")
_IMAGE: Final = fields(
    {
        "type": TEXT,
        "source": kinds(
            "type",
            {
                "base64": fields({"type": TEXT, "media_type": _MEDIA, "data": _PICTURE_BASE64}),
                "url": fields({"type": TEXT, "url": PICTURE_URL}),
            },
        ),
    },
    _CACHED,
)
_DOCUMENT: Final = fields(
    {
        "type": TEXT,
        "source": kinds(
            "type", {"text": fields({"type": TEXT, "media_type": choice("text/plain"), "data": TEXT})}
        ),
    },
    {"title": TEXT, "context": TEXT, "citations": fields({}, {"enabled": BOOLEAN}), **_CACHED},
)
_RESULT_BLOCKS: Final[Mapping[str, Check]] = {
    "text": _TEXT,
    "image": _IMAGE,
    "document": _DOCUMENT,
    "search_result": fields(
        {"type": TEXT, "source": TEXT, "title": TEXT, "content": _TEXTS},
        {"citations": fields({}, {"enabled": BOOLEAN}), **_CACHED},
    ),
    "tool_reference": fields({"type": TEXT, "tool_name": NAME}, _CACHED),
}
BLOCKS: Final[Mapping[str, Check]] = {
    **_RESULT_BLOCKS,
    "tool_use": fields(
        {"type": TEXT, "id": NAME, "name": NAME, "input": OBJECT}, _CACHED, ignored=frozenset({"caller"})
    ),
    "tool_result": fields(
        {"type": TEXT, "tool_use_id": NAME},
        {
            "content": text_or(
                list_of(kinds("type", _RESULT_BLOCKS), MAX_ITEMS, least=0), "a list of blocks"
            ),
            "is_error": BOOLEAN,
            **_CACHED,
        },
    ),
    "thinking": fields({"type": TEXT, "thinking": TEXT, "signature": TEXT}),
    "redacted_thinking": fields({"type": TEXT, "data": TEXT}),
    "mid_conv_system": fields({"type": TEXT, "content": _TEXTS}, _CACHED),
}
"""The shape of a block of a message's content by its type."""
_CONTENT: Final = text_or(list_of(kinds("type", BLOCKS), MAX_ITEMS, least=0), "a list of blocks")

_TOOL_OPTIONS: Final[Mapping[str, Check]] = {
    "strict": BOOLEAN,
    "defer_loading": BOOLEAN,
    "input_examples": list_of(OBJECT, MAX_TOOLS, least=0),
    "allowed_callers": list_of(choice("direct"), 1),
    **_CACHED,
}
_OWN: Final = fields({"type": TEXT, "name": NAME}, _TOOL_OPTIONS)
_EDITOR: Final = fields({"type": TEXT, "name": NAME}, {"max_characters": COUNT, **_TOOL_OPTIONS})
_COMPUTER: Final = fields(
    {"type": TEXT, "name": NAME, "display_width_px": COUNT, "display_height_px": COUNT},
    {"display_number": whole(0, 255), "enable_zoom": BOOLEAN, **_TOOL_OPTIONS},
)
TOOLS: Final[Mapping[str, Check]] = {
    "custom": fields(
        {"name": NAME, "input_schema": OBJECT},
        {"type": TEXT, "description": TEXT, "eager_input_streaming": BOOLEAN, **_TOOL_OPTIONS},
    ),
    **dict.fromkeys(("bash_20241022", "bash_20250124", "memory_20250818"), _OWN),
    **dict.fromkeys(
        (
            "text_editor_20241022",
            "text_editor_20250124",
            "text_editor_20250429",
            "text_editor_20250728",
        ),
        _EDITOR,
    ),
    **dict.fromkeys(("computer_20241022", "computer_20250124", "computer_20251124"), _COMPUTER),
}
"""The shape of a tool by its type; all of them are executed by the client."""

_BARE: Final = fields({"type": TEXT})
_ONE_CALL: Final = {"disable_parallel_tool_use": BOOLEAN}
_TOOL_CHOICE: Final = kinds(
    "type",
    {
        "auto": fields({"type": TEXT}, _ONE_CALL),
        "any": fields({"type": TEXT}, _ONE_CALL),
        "tool": fields({"type": TEXT, "name": NAME}, _ONE_CALL),
        "none": _BARE,
    },
)
_DISPLAY: Final = {"display": choice("summarized", "omitted")}
_THINKING: Final = kinds(
    "type",
    {
        "enabled": fields({"type": TEXT, "budget_tokens": COUNT}, _DISPLAY),
        "adaptive": fields({"type": TEXT}, _DISPLAY),
        "disabled": _BARE,
    },
)
_FORMAT: Final = fields({"type": choice("json_schema"), "schema": OBJECT})
_TASK_BUDGET: Final = fields({"type": choice("tokens"), "total": COUNT}, {"remaining": whole(0, 2**53 - 1)})
_AMOUNT: Final = fields({"type": NAME, "value": COUNT})
_KEPT: Final = either({str: choice("all"), dict: fields({"type": NAME}, {"value": COUNT})}, "all, or so many")
_CLEARED: Final = either({bool: BOOLEAN, list: list_of(NAME, MAX_TOOLS, least=0)}, "true, false or names")
_EDITS: Final = kinds(
    "type",
    {
        "clear_thinking_20251015": fields({"type": TEXT}, {"keep": _KEPT}),
        "clear_tool_uses_20250919": fields(
            {"type": TEXT},
            {
                "trigger": _AMOUNT,
                "keep": _AMOUNT,
                "clear_at_least": _AMOUNT,
                "clear_tool_inputs": _CLEARED,
                "exclude_tools": list_of(NAME, MAX_TOOLS, least=0),
            },
        ),
    },
)
"""What takes text out of a prompt makes a call cheaper, never dearer."""

_MESSAGE: Final = fields({"role": choice("user", "assistant", "system"), "content": _CONTENT})
MESSAGE_REQUIRED: Final[Mapping[str, Check]] = {
    "model": NAME,
    "messages": list_of(_MESSAGE, MAX_ITEMS),
    "max_tokens": COUNT,
}
MESSAGE_OPTIONAL: Final[Mapping[str, Check]] = {
    "system": text_or(_TEXTS, "a list of text blocks"),
    "tools": list_of(kinds("type", TOOLS, absent="custom"), MAX_TOOLS, least=0),
    "tool_choice": _TOOL_CHOICE,
    "thinking": _THINKING,
    "output_config": fields({}, {"effort": NAME, "format": _FORMAT, "task_budget": _TASK_BUDGET}),
    "output_format": _FORMAT,
    "context_management": fields({}, {"edits": list_of(_EDITS, 16, least=0)}),
    "cache_control": _CACHE,
    "metadata": fields({}, {"user_id": TEXT}),
    "stop_sequences": list_of(TEXT, _MAX_STOPS, least=0),
    "stream": BOOLEAN,
    "temperature": between(0, 1),
    "top_k": whole(0, _MAX_TOP_K),
    "top_p": between(0, 1),
    "service_tier": choice("standard_only", "auto"),  # auto is what holds without it
    "speed": choice("standard"),
}
"""Every member of a request for a message that is served, and what it must be."""
