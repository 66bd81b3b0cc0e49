"""What a tool is, as data: JSON Schema 2020-12 with everything inline, so that nothing is ever fetched."""

from collections.abc import Mapping
from typing import Final

from macroslow.values import value

Schema = Mapping[str, object]


@value
class Effect:
    """What a call may do, in the protocol's words (MCP 2026-07-28, ToolAnnotations).

    `open_world`: it reaches somebody beyond this gateway.
    """

    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool


READS: Final = Effect(read_only=True, destructive=False, idempotent=True, open_world=False)
READS_OUTSIDE: Final = Effect(read_only=True, destructive=False, idempotent=True, open_world=True)
ACTS: Final = Effect(read_only=False, destructive=False, idempotent=False, open_world=True)
ACTS_ONCE: Final = Effect(read_only=False, destructive=False, idempotent=True, open_world=True)
STOPS: Final = Effect(read_only=False, destructive=True, idempotent=True, open_world=False)


@value
class Tool:
    """One tool. A principal without `scope` does not see it."""

    name: str
    title: str
    description: str
    scope: str
    effect: Effect
    input_schema: Schema
    output_schema: Schema


def closed(properties: Mapping[str, Schema], *optional: str) -> dict[str, object]:
    """An object with these members and no other; those not among `optional` are needed."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def text(description: str, *, most: int | None = None, least: int | None = None) -> dict[str, object]:
    """A string of so many characters."""
    bounds = {"minLength": least, "maxLength": most}
    return {
        "type": "string",
        "description": description,
        **{name: bound for name, bound in bounds.items() if bound is not None},
    }


def list_of(items: Schema, description: str = "") -> dict[str, object]:
    """An array."""
    said = {"description": description} if description else {}
    return {"type": "array", "items": items, **said}


def whole(description: str, *, least: int = 0, most: int | None = None) -> dict[str, object]:
    """An integer."""
    bound = {} if most is None else {"maximum": most}
    return {"type": "integer", "description": description, "minimum": least, **bound}


def maybe(schema: Mapping[str, object]) -> dict[str, object]:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


FLAG: Final[Schema] = {"type": "boolean"}
TEXT: Final[Schema] = {"type": "string"}
OBJECT: Final[Schema] = {"type": "object"}
TOKENS: Final[Schema] = {"type": "integer", "minimum": 0}
USD_MICROS: Final = whole("Millionths of a US dollar.")
SHA256: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
TIME: Final = text("RFC 3339, UTC.")
RUN_ID: Final[Schema] = {
    "type": "string",
    "pattern": "^[0-9a-f]{32}$",
    "description": "The run_id of an answer of run_document, or of list_runs.",
}
