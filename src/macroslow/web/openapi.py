"""The description of the HTTP interface (OpenAPI 3.1.1), made from the route table itself.

Paths, methods, scopes, media types and caps are the table's, statuses and codes of errors those of
`problems`; what only a reader needs (a sentence, an example) stands in `route_pages`. Bodies of
/v1 are described as far as the gateway reads them: for the rest, the provider's own reference holds.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from macroslow import errors
from macroslow.tlog import tiles
from macroslow.web.media_types import BYTES, FORM, JSON, MARKDOWN, PROBLEM
from macroslow.web.problems import SHAPES, TYPE_PREFIX, Style, style_of
from macroslow.web.route_pages import HEADERS, PAGES, Page

JSONObject = dict[str, Any]
OPENAPI: Final = "3.1.1"
_PATH_NAMES: Final = {"id": "[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,127}", "path": f"(?:{tiles.NAME})"}


class Described(Protocol):
    """What the description takes of a route."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def scope(self) -> str | None: ...
    @property
    def or_scopes(self) -> frozenset[str]: ...
    @property
    def cap_bytes(self) -> int: ...
    @property
    def content_types(self) -> frozenset[str]: ...


_STRING: Final[JSONObject] = {"type": "string"}
_OBJECT: Final[JSONObject] = {"type": "object"}
_NULLABLE: Final[JSONObject] = {"type": ["string", "null"]}
_REQUIRED: Final = {"/v1/messages": ("messages", "max_tokens"), "/v1/embeddings": ("input",)}

SCHEMAS: Final[Mapping[str, JSONObject]] = {
    "Problem": {
        "description": "RFC 9457; facts of a code stand beside it",
        "type": "object",
        "required": ["type", "title", "status", "detail", "request_id"],
        "properties": {
            "type": {"type": "string", "pattern": f"^{TYPE_PREFIX}"},
            "title": _STRING,
            "status": {"type": "integer"},
            "step": _STRING,
            "detail": _STRING,
            "fix": _STRING,
            "docs": _STRING,
            "request_id": _STRING,
            "problems": {"type": "array", "items": _OBJECT},
        },
    },
    "OpenAIError": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "code"],
                "properties": {"message": _STRING, "type": _STRING, "param": _NULLABLE, "code": _STRING},
            }
        },
    },
    "AnthropicError": {
        "type": "object",
        "required": ["type", "error", "request_id"],
        "properties": {
            "type": {"const": "error"},
            "request_id": _STRING,
            "error": {"type": "object", "required": ["message", "type"]},
        },
    },
    "JSONRPCError": {
        "type": "object",
        "required": ["jsonrpc", "error"],
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "error": {"type": "object", "required": ["code", "message"]},
        },
    },
    "Document": {
        "type": "object",
        "required": ["document"],
        "properties": {"document": _STRING, "inputs": _OBJECT},
        "additionalProperties": False,
    },
}
_ERRORS: Final[Mapping[Style, tuple[str, str]]] = {
    Style.PROBLEM: (PROBLEM, "Problem"),
    Style.OPENAI: (JSON, "OpenAIError"),
    Style.ANTHROPIC: (JSON, "AnthropicError"),
    Style.JSON_RPC: (JSON, "JSONRPCError"),
}
SECURITY: Final[JSONObject] = {
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "a client key (`msk_…`)"},
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "a client key, or an issuer's access token",
    },
}


def describe(routes: Iterable[Described], version: str) -> JSONObject:
    """The whole description, as JSON; `version` is the gateway's."""
    paths: dict[str, JSONObject] = {}
    for route in routes:
        paths.setdefault(path_of(route.path), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "Macroslow",
            "version": version,
            "summary": "The gateway between AI agents and the services they spend money and trust on",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": dict(SCHEMAS), "securitySchemes": SECURITY},
    }


def path_of(template: str) -> str:
    """A route's path as OpenAPI writes it: it knows no parameter of several segments."""
    return template.replace("...}", "}")


def _operation(route: Described) -> JSONObject:
    page = PAGES[route.method, route.path]
    name = re.sub(r"\W+", "_", route.path.strip("/")).strip("_")
    scopes = [route.scope, *sorted(route.or_scopes)] if route.scope else []
    operation: JSONObject = {
        "operationId": f"{route.method.lower()}_{name}",
        "summary": page.summary,
        "security": [{"key": [scope]} for scope in scopes] + [{"bearer": [scope]} for scope in scopes],
        "parameters": _parameters(route, page),
        "responses": _responses(route, page),
    }
    if route.cap_bytes:
        operation["requestBody"] = _request_body(route, page)
        operation["x-max-body-bytes"] = route.cap_bytes
    return operation


def _parameters(route: Described, page: Page) -> list[JSONObject]:
    found: list[JSONObject] = []
    for name in re.findall(r"{(\w+)", route.path):
        schema = {"type": "string", "pattern": f"^{_PATH_NAMES[name]}$"}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    for name, text in page.query.items():
        found.append(
            {"name": name, "in": "query", "description": text, "schema": {**_STRING, "format": "date"}}
        )
    headers = ({"name": name, "in": "header", "description": HEADERS[name]} for name in page.headers)
    return [*found, *({**header, "schema": _STRING} for header in headers)]


def _request_body(route: Described, page: Page) -> JSONObject:
    content = {media_type: _content(route, page, media_type) for media_type in sorted(route.content_types)}
    return {"required": route.path != "/runs/{id}/cancel", "content": content}


def _content(route: Described, page: Page, media_type: str) -> JSONObject:
    if media_type == MARKDOWN:
        return {"schema": _STRING, "example": page.example["document"]}
    if media_type == FORM or "document" in page.example:
        return {"schema": _reference("Document"), "example": page.example}
    if not page.example:
        return {"schema": _OBJECT}
    schema: JSONObject = {"type": "object"}
    if "model" in page.example:
        schema = {
            "description": "as the provider's own reference has it",
            "type": "object",
            "required": ["model", *_REQUIRED.get(route.path, ())],
            "properties": {"model": _STRING, "stream": {"type": "boolean"}},
        }
    return {"schema": schema, "example": page.example}


def _responses(route: Described, page: Page) -> JSONObject:
    content = {media_type: _answer(page, media_type) for media_type in page.media_types}
    found: JSONObject = {str(page.status): {"description": page.summary, "content": content}}
    media_type, schema = _ERRORS[style_of(route.path.encode("ascii"), ())]
    problem = {media_type: {"schema": _reference(schema)}}
    for status in _statuses(route, page):
        found[str(status)] = {"description": ", ".join(_CODES[status]), "content": problem}
    if "If-None-Match" in page.headers:
        found["304"] = {"description": "there is nothing newer"}
    if route.path in UNREADY:  # what is asked is the answer, whichever it is
        found["503"] = {"description": "it is not", "content": content}
    return found


UNREADY: Final = frozenset({"/health", "/health/startup", "/health/ready"})


def _answer(page: Page, media_type: str) -> JSONObject:
    if media_type == BYTES:
        return {}
    if media_type.endswith("json"):
        return {"schema": _OBJECT, **({"example": page.answer} if page.answer else {})}
    return {"schema": _STRING}


def _statuses(route: Described, page: Page) -> Sequence[int]:
    every = {400, 403, 408, 413, 429, 500, 503, *page.errors}
    if route.scope is not None:
        every.add(401)
    if route.cap_bytes:
        every.add(415)
    if "{" in route.path or page.errors:
        every.add(404)
    return sorted(every)


def _codes() -> Mapping[int, Sequence[str]]:
    found: dict[int, list[str]] = {500: ["internal"]}
    for error, shape in SHAPES.items():
        if error.code != errors.MacroslowError.code:
            found.setdefault(shape.status, []).append(error.code)
    return found


_CODES: Final = _codes()


def _reference(name: str) -> JSONObject:
    return {"$ref": f"#/components/schemas/{name}"}
