"""The members of an item that are pinned, each of the kind that it must be.

Numbers beyond 2**53 are those that a JSON reader with doubles sees (RFC 8785, section 3.2.2.3).
"""

from typing import Any, Final

from macroslow.mcp.clean_text import MAX_DEPTH
from macroslow.mcp.pins.place import Kind
from macroslow.mcp.upstream import JSON

SCHEMAS: Final = ("inputSchema", "outputSchema")
PINNED: Final = (
    "name", "title", "description", *SCHEMAS, "annotations", "arguments", "uri", "uriTemplate", "mimeType",
)  # fmt: skip

_EXACT: Final = 2**53
_HINTS: Final = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


class UnfitError(Exception):
    """An item that cannot be offered, and why."""


def pinned_members(kind: Kind, raw: JSON) -> dict[str, Any]:
    """Return them; raise UnfitError for one that is missing, or of another kind."""
    kept: dict[str, Any] = _doubles(_projected(kind, raw))
    return kept


def _projected(kind: Kind, raw: JSON) -> dict[str, Any]:
    kept = _texts_of(raw, "name", "title", "description")
    if "name" not in kept:
        raise UnfitError("it has no name")
    match kind:
        case Kind.TOOL:
            kept |= _objects_of(raw, "inputSchema", "outputSchema")
            if "inputSchema" not in kept:
                raise UnfitError("it has no input schema")
            hints = raw.get("annotations")
            if isinstance(hints, dict):
                kept["annotations"] = _texts_of(hints, "title") | _hints_of(hints)
        case Kind.PROMPT:
            kept["arguments"] = [_argument(one) for one in _list_of(raw, "arguments")]
        case Kind.RESOURCE:
            kept |= _needed(raw, "uri") | _texts_of(raw, "mimeType")
        case _:
            kept |= _needed(raw, "uriTemplate") | _texts_of(raw, "mimeType")
    return kept


def _argument(raw: object) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise UnfitError("an argument is no object")
    required = raw.get("required") is True
    return _needed(raw, "name") | _texts_of(raw, "title", "description") | {"required": required}


def _texts_of(raw: JSON, *members: str) -> dict[str, Any]:
    kept = {member: raw[member] for member in members if raw.get(member) is not None}
    for member, told in kept.items():
        if not isinstance(told, str):
            raise UnfitError(f"its {member} is no text")
    return kept


def _needed(raw: JSON, member: str) -> dict[str, Any]:
    kept = _texts_of(raw, member)
    if not kept.get(member):
        raise UnfitError(f"it has no {member}")
    return kept


def _objects_of(raw: JSON, *members: str) -> dict[str, Any]:
    kept = {member: raw[member] for member in members if raw.get(member) is not None}
    for member, told in kept.items():
        if not isinstance(told, dict):
            raise UnfitError(f"its {member} is no object")
    return kept


def _hints_of(hints: JSON) -> dict[str, Any]:
    return {hint: hints[hint] for hint in _HINTS if isinstance(hints.get(hint), bool)}


def _list_of(raw: JSON, member: str) -> list[Any]:
    told = raw.get(member)
    if told is None:
        return []
    if not isinstance(told, list):
        raise UnfitError(f"its {member} are no list")
    return told


def _doubles(node: Any, depth: int = MAX_DEPTH) -> Any:
    """The numbers that RFC 8785 can write. Nothing is followed below `depth`."""
    if depth == 0:
        raise UnfitError(f"it is nested more than {MAX_DEPTH} levels deep")
    if isinstance(node, dict):
        return {key: _doubles(member, depth - 1) for key, member in node.items()}
    if isinstance(node, list):
        return [_doubles(item, depth - 1) for item in node]
    if isinstance(node, int) and not isinstance(node, bool) and abs(node) > _EXACT:
        return float(node)
    return node
