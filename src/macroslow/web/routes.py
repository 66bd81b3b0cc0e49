"""The one route table: what exists over HTTP, who may use it, how much they may send and what is logged.

Deny by default: a path that is not here does not exist, and a route without a scope is refused
unless it is one of PUBLIC_PATHS, or of the LOG_PATHS where the operator made the log public. Nothing else in
the project adds a route.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from macroslow.authz import scopes
from macroslow.inference import CHAT_COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES
from macroslow.inference.operation import Operation
from macroslow.web import media_types
from macroslow.web.application import Application, Handler
from macroslow.web.handlers import (
    description,
    documents,
    inference,
    log,
    operations,
    protected_resource,
    receipts,
    runs,
    usage,
)
from macroslow.web.messages import ASGIApp
from macroslow.web.once import once
from macroslow.web.openapi_page import POLICY
from macroslow.web.protected_resource import METADATA_PATHS

KIB: Final = 1024
MIB: Final = 1024 * KIB
NO_BODY: Final = 0
CALL_BYTES: Final = 64 * KIB  # a body that says little, such as that of a cancellation
DOCUMENT_BYTES: Final = 8 * MIB  # a document of 1 MiB, its inputs, and JSON escapes
CHAT_BYTES: Final = 8 * MIB
MCP_BYTES: Final = 4 * MIB

DOCUMENT_TYPES: Final = frozenset({media_types.MARKDOWN, media_types.FORM, media_types.JSON})


class LimitedBy(enum.StrEnum):
    """Whose requests are counted together."""

    CREDENTIAL = "credential"  # the key's own requests per minute
    ADDRESS = "address"


class Audit(enum.StrEnum):
    """What the log gets of a request."""

    OUTCOME = "outcome"  # the use case writes what happened; refusals are logged too
    REFUSALS = "refusals"
    NOTHING = "nothing"  # public and without effect


@dataclass(frozen=True, slots=True)
class Mount:
    """A whole ASGI application: it gets `scope["state"]["principal"]` and the body, already read."""

    app: Callable[[Application], ASGIApp]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table. `path` has variable segments as `{name}`, a last one of several as `{name...}`.

    `cap_bytes` 0: takes no body.

    `policy` is the content-security-policy of its answers, where it is not the one that allows nothing.
    `work`: it begins something that the log must have room for. Any of `or_scopes` opens it like `scope`.
    """

    method: str
    path: str
    scope: str | None
    handler: Handler | Mount
    cap_bytes: int = NO_BODY
    content_types: frozenset[str] = frozenset()
    limit: LimitedBy = LimitedBy.CREDENTIAL
    audit: Audit = Audit.REFUSALS
    policy: bytes = b""
    work: bool = False
    or_scopes: frozenset[str] = frozenset()


def _public(path: str, handler: Handler) -> Route:
    return Route("GET", path, None, handler, limit=LimitedBy.ADDRESS, audit=Audit.NOTHING)


def _read(path: str, scope: str, handler: Handler) -> Route:
    return Route("GET", path, scope, handler)


def _act(
    path: str, scope: str, handler: Handler | Mount, cap_bytes: int, types: frozenset[str], audit: Audit
) -> Route:
    return Route("POST", path, scope, handler, cap_bytes, types, audit=audit)


def _work(path: str, scope: str, handler: Handler | Mount, cap_bytes: int, types: frozenset[str]) -> Route:
    return Route("POST", path, scope, handler, cap_bytes, types, audit=Audit.OUTCOME, work=True)


_JSON: Final = frozenset({media_types.JSON})


_RECEIPTED: Final = frozenset({scopes.DOCUMENTS_EXECUTE, scopes.MCP_CONNECT})


def _ask(path: str, operation: Operation) -> Route:
    return _work(path, scopes.INFERENCE_CHAT, once(inference.ask(operation)), CHAT_BYTES, _JSON)


_SERVED: Final[tuple[Route, ...]] = (
    _work("/execute", scopes.DOCUMENTS_EXECUTE, once(documents.execute), DOCUMENT_BYTES, DOCUMENT_TYPES),
    _act(
        "/validate",
        scopes.DOCUMENTS_VALIDATE,
        documents.validate,
        DOCUMENT_BYTES,
        DOCUMENT_TYPES,
        Audit.REFUSALS,
    ),
    _read("/runs", scopes.RUNS_READ, runs.listing),
    _read("/runs/{id}", scopes.RUNS_READ, runs.show),
    _read("/runs/{id}/events", scopes.RUNS_READ, runs.events),
    _read("/runs/{id}/document", scopes.RUNS_READ, runs.document),
    _read("/runs/{id}/history", scopes.RUNS_READ, runs.history),
    _read("/runs/{id}/receipt", scopes.RUNS_READ, runs.receipt),
    _act("/runs/{id}/cancel", scopes.DOCUMENTS_EXECUTE, runs.cancel, CALL_BYTES, _JSON, Audit.OUTCOME),
    Route("GET", "/receipts/{id}", scopes.INFERENCE_CHAT, receipts.show, or_scopes=_RECEIPTED),
    _ask("/v1/chat/completions", CHAT_COMPLETIONS),
    _ask("/v1/responses", RESPONSES),
    _ask("/v1/embeddings", EMBEDDINGS),
    _ask("/v1/messages", MESSAGES),
    _act(
        "/v1/messages/count_tokens",
        scopes.INFERENCE_CHAT,
        inference.count_tokens,
        CHAT_BYTES,
        _JSON,
        Audit.REFUSALS,
    ),
    _read("/v1/models", scopes.INFERENCE_CHAT, inference.models),
    _read("/v1/models/{id}", scopes.INFERENCE_CHAT, inference.model),
    _read("/v1/usage", scopes.USAGE_READ, usage.own_usage),
    _work("/mcp", scopes.MCP_CONNECT, Mount(lambda application: application.mcp), MCP_BYTES, _JSON),
    _read("/log/checkpoint", scopes.AUDIT_READ, log.checkpoint),
    _read("/log/tile/{path...}", scopes.AUDIT_READ, log.tile),
    _read("/health", scopes.OPERATIONS_READ, operations.health),
    _read("/health/startup", scopes.OPERATIONS_READ, operations.startup),
    _read("/info", scopes.OPERATIONS_READ, operations.info),
    _read("/metrics", scopes.OPERATIONS_READ, operations.metrics),
    _public("/health/live", operations.live),
    _public("/health/ready", operations.ready),
    *(_public(path, protected_resource.show) for path in METADATA_PATHS),
)

PUBLIC_PATHS: Final = frozenset({"/health/live", "/health/ready", *METADATA_PATHS})
LOG_PATHS: Final = frozenset({"/log/checkpoint", "/log/tile/{path...}"})


def _described(served: tuple[Route, ...]) -> tuple[Route, ...]:
    """A table with the two routes that describe it, themselves included."""
    whole: tuple[Route, ...] = (
        *served,
        _read("/openapi.json", scopes.OPERATIONS_READ, description.as_json(lambda: whole)),
        Route("GET", "/docs", scopes.OPERATIONS_READ, description.as_page(lambda: whole), policy=POLICY),
    )
    return whole


def _opened(route: Route) -> Route:
    """A route of the log as it is where everybody may read it: like those of PUBLIC_PATHS."""
    if route.path not in LOG_PATHS:
        return route
    return replace(route, scope=None, limit=LimitedBy.ADDRESS, audit=Audit.NOTHING)


ROUTES: Final = _described(_SERVED)
PUBLIC_LOG_ROUTES: Final = _described(tuple(map(_opened, _SERVED)))
