"""Schemas that must reach a client as they are, and forms that a user is asked to fill in.

Forms are flat, as elicitation wants them, and ask for nothing secret.
"""

from collections.abc import Mapping
from typing import Final

Schema = Mapping[str, object]

STRING: Final[Schema] = {"type": "string"}
STATES: Final = ["active", "inactive", "pending"]


def form(**properties: Schema) -> dict[str, object]:
    """An object with these members, all of them required."""
    return {"type": "object", "properties": properties, "required": [*properties]}


NOTHING: Final[Schema] = {"type": "object", "properties": {}}

JSON_SCHEMA_2020_12: Final[Schema] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": STRING, "city": STRING},
        }
    },
    "properties": {
        "name": STRING,
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": STRING,
        "email": STRING,
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
"""Every kind of keyword that a server is apt to lose."""

DEFAULTS: Final = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "User name", "default": "John Doe"},
        "age": {"type": "integer", "description": "User age", "default": 30},
        "score": {"type": "number", "description": "User score", "default": 95.5},
        "status": {"type": "string", "description": "User status", "enum": STATES, "default": "active"},
        "verified": {"type": "boolean", "description": "Verification status", "default": True},
    },
}
"""A default for each primitive type (SEP-1034)."""


def _choices(**titles: str) -> list[dict[str, str]]:
    return [{"const": const, "title": title} for const, title in titles.items()]


ENUMS: Final = form(
    untitledSingle={"type": "string", "enum": STATES},
    titledSingle={
        "type": "string",
        "oneOf": _choices(low="Low Priority", medium="Medium Priority", high="High Priority"),
    },
    untitledMulti={"type": "array", "items": {"type": "string", "enum": ["read", "write", "execute"]}},
    titledMulti={
        "type": "array",
        "items": {"anyOf": _choices(feature="New Feature", bug="Bug Fix", docs="Documentation")},
    },
    legacyEnum={
        "type": "string",
        "enum": ["small", "medium", "large"],
        "enumNames": ["Small Size", "Medium Size", "Large Size"],
    },
)
"""Each way to say an enumeration (SEP-1330)."""
