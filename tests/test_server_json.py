"""`server.json`, by which MCP registries know the package: in its form, of this version, and true.

The schema is ours, and narrower than the registry's of 2025-12-11: it knows what we use, and nothing else.
"""

import json
from typing import Any

import jsonschema_rs
from tests.conftest import ROOT

import macroslow
from macroslow.cli._configured import KEY_VARIABLE
from macroslow.cli.serve import serve

TEXT = {"type": "string", "minLength": 1}
EXACT = {"type": "string", "pattern": r"^\d+\.\d+\.\d+([.-]?[a-z0-9.]+)?$", "maxLength": 255}


def _object(required: list[str], **properties: object) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


ARGUMENT = {
    "oneOf": [
        _object(["type", "value"], type={"const": "positional"}, value=TEXT),
        _object(["type", "name"], type={"const": "named"}, name={"type": "string", "pattern": "^--[a-z-]+$"}),
    ]
}
VARIABLE = _object(
    ["name", "description", "isRequired", "isSecret"],
    name={"type": "string", "pattern": "^[A-Z_]+$"},
    description=TEXT,
    format={"enum": ["string", "number", "boolean", "filepath"]},
    isRequired={"type": "boolean"},
    isSecret={"type": "boolean"},
)
PACKAGE = _object(
    ["registryType", "identifier", "version", "transport"],
    registryType={"const": "pypi"},
    identifier=TEXT,
    version=EXACT,
    runtimeHint={"const": "uvx"},
    transport=_object(["type"], type={"const": "stdio"}),
    packageArguments={"type": "array", "items": ARGUMENT},
    environmentVariables={"type": "array", "items": VARIABLE},
)
SCHEMA = _object(
    ["$schema", "name", "description", "version", "packages"],
    **{"$schema": {"const": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"}},
    name={"type": "string", "pattern": r"^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$", "minLength": 3, "maxLength": 200},
    title={"type": "string", "minLength": 1, "maxLength": 100},
    description={"type": "string", "minLength": 1, "maxLength": 100},
    version=EXACT,
    packages={"type": "array", "minItems": 1, "items": PACKAGE},
)
SERVER = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))


def test_it_has_the_form_that_registries_take() -> None:
    jsonschema_rs.Draft202012Validator(SCHEMA).validate(SERVER)


def test_it_is_of_the_version_that_the_package_is() -> None:
    (package,) = SERVER["packages"]
    assert SERVER["version"] == package["version"] == macroslow.__version__


def test_what_it_starts_exists() -> None:
    (package,) = SERVER["packages"]
    command, option = package["packageArguments"]
    assert command["value"] == serve.name
    assert option["name"] in {name for each in serve.params for name in each.opts}


def test_the_key_is_a_secret_by_its_name_everywhere() -> None:
    (variable,) = SERVER["packages"][0]["environmentVariables"]
    assert (variable["name"], variable["isSecret"]) == (KEY_VARIABLE, True)
