"""Arguments and names of a request that must also stand in its headers.

Source: MCP 2026-07-28, "Transports: Streamable HTTP" (headers; `x-mcp-header`).
"""

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

MAX_LEVELS: Final = 8  # of a schema that is looked through

_PLAIN: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_CODED: Final = re.compile(r"=\?base64\?.*\?=")
_PARAMETER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def header_value(text: str) -> str:
    """A value as the protocol's headers carry it: as it is, or in base64 where it could not be."""
    if _PLAIN.fullmatch(text) and not _CODED.fullmatch(text):
        return text
    return f"=?base64?{base64.b64encode(text.encode('utf-8')).decode('ascii')}?="


def parameters(schema: object, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """Arguments that must also stand in a header, by their places in `schema` (`x-mcp-header`)."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    found: dict[tuple[str, ...], str] = {}
    if not isinstance(properties, dict) or len(path) > MAX_LEVELS:
        return found
    for name, below in properties.items():
        word = below.get("x-mcp-header") if isinstance(below, dict) else None
        if isinstance(word, str) and _PARAMETER.fullmatch(word):
            found[*path, name] = word
        found |= parameters(below, (*path, name))
    return found


def parameter_headers(wanted: Mapping[tuple[str, ...], str], arguments: Mapping[str, Any]) -> dict[str, str]:
    """The headers `Mcp-Param-…` of one call."""
    headers = {}
    for path, word in wanted.items():
        node: Any = arguments
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        if isinstance(node, bool):
            headers[f"mcp-param-{word}"] = "true" if node else "false"
        elif isinstance(node, str | int):
            headers[f"mcp-param-{word}"] = header_value(str(node))
    return headers
