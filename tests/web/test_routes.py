"""The table itself: nothing is open, unbounded or unlogged but what is named here."""

import pytest

from macroslow.authz import scopes
from macroslow.web.router import Router
from macroslow.web.routes import (
    LOG_PATHS,
    MIB,
    PUBLIC_LOG_ROUTES,
    PUBLIC_PATHS,
    ROUTES,
    Audit,
    LimitedBy,
    Mount,
    Route,
)

METADATA = "/.well-known/oauth-protected-resource"
PUBLIC = {
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", METADATA),
    ("GET", METADATA + "/mcp"),
}
PUBLIC_WITH_THE_LOG = {("GET", "/log/checkpoint"), ("GET", "/log/tile/{path...}")}
WITHOUT_EFFECT = {"/validate", "/v1/messages/count_tokens"}
EXPECTED_SCOPES = {
    ("POST", "/execute"): scopes.DOCUMENTS_EXECUTE,
    ("POST", "/validate"): scopes.DOCUMENTS_VALIDATE,
    ("GET", "/runs"): scopes.RUNS_READ,
    ("GET", "/runs/{id}"): scopes.RUNS_READ,
    ("GET", "/runs/{id}/events"): scopes.RUNS_READ,
    ("GET", "/runs/{id}/document"): scopes.RUNS_READ,
    ("GET", "/runs/{id}/history"): scopes.RUNS_READ,
    ("GET", "/runs/{id}/receipt"): scopes.RUNS_READ,
    ("POST", "/runs/{id}/cancel"): scopes.DOCUMENTS_EXECUTE,
    ("GET", "/receipts/{id}"): scopes.INFERENCE_CHAT,
    ("POST", "/v1/chat/completions"): scopes.INFERENCE_CHAT,
    ("POST", "/v1/responses"): scopes.INFERENCE_CHAT,
    ("POST", "/v1/embeddings"): scopes.INFERENCE_CHAT,
    ("POST", "/v1/messages"): scopes.INFERENCE_CHAT,
    ("POST", "/v1/messages/count_tokens"): scopes.INFERENCE_CHAT,
    ("GET", "/v1/models"): scopes.INFERENCE_CHAT,
    ("GET", "/v1/models/{id}"): scopes.INFERENCE_CHAT,
    ("GET", "/v1/usage"): scopes.USAGE_READ,
    ("POST", "/mcp"): scopes.MCP_CONNECT,
    ("GET", "/log/checkpoint"): scopes.AUDIT_READ,
    ("GET", "/log/tile/{path...}"): scopes.AUDIT_READ,
    ("GET", "/health"): scopes.OPERATIONS_READ,
    ("GET", "/health/startup"): scopes.OPERATIONS_READ,
    ("GET", "/info"): scopes.OPERATIONS_READ,
    ("GET", "/metrics"): scopes.OPERATIONS_READ,
    ("GET", "/openapi.json"): scopes.OPERATIONS_READ,
    ("GET", "/docs"): scopes.OPERATIONS_READ,
}


def test_the_table_is_the_expected_one_and_no_route_more() -> None:
    assert {(r.method, r.path): r.scope for r in ROUTES if r.scope is not None} == EXPECTED_SCOPES
    assert {(r.method, r.path) for r in ROUTES if r.scope is None} == PUBLIC
    assert len(ROUTES) == len(EXPECTED_SCOPES) + len(PUBLIC)
    assert {path for _, path in PUBLIC} == PUBLIC_PATHS


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_each_route_has_scope_cap_limit_and_audit(route: Route) -> None:
    assert 0 <= route.cap_bytes <= 8 * MIB
    assert bool(route.cap_bytes) == bool(route.content_types) == (route.method == "POST")
    if (route.method, route.path) in PUBLIC:
        assert (route.limit, route.audit) == (LimitedBy.ADDRESS, Audit.NOTHING)
    else:
        assert route.scope in scopes.CLIENT
        assert route.limit is LimitedBy.CREDENTIAL
        assert route.audit in {Audit.OUTCOME, Audit.REFUSALS}
    if route.method == "POST" and route.path not in WITHOUT_EFFECT:
        assert route.audit is Audit.OUTCOME
    # No body that a web page can send without asking first (a "simple" request), where no document is.
    if "text/markdown" not in route.content_types:
        assert route.content_types <= {"application/json"}


def test_a_public_log_opens_its_own_routes_and_no_other() -> None:
    assert {(r.method, r.path) for r in PUBLIC_LOG_ROUTES if r.scope is None} == PUBLIC | PUBLIC_WITH_THE_LOG
    assert {path for _, path in PUBLIC_WITH_THE_LOG} == LOG_PATHS
    log = [route for route in PUBLIC_LOG_ROUTES if route.path in LOG_PATHS]
    assert {(r.limit, r.audit, r.cap_bytes) for r in log} == {(LimitedBy.ADDRESS, Audit.NOTHING, 0)}
    described = {"/openapi.json", "/docs"}  # each table has handlers of its own for these
    rest = [r for r in PUBLIC_LOG_ROUTES if r.path not in LOG_PATHS | described]
    assert rest == [r for r in ROUTES if r.path not in LOG_PATHS | described]
    assert {(r.path, r.scope) for r in PUBLIC_LOG_ROUTES if r.path in described} == {
        (path, scopes.OPERATIONS_READ) for path in described
    }


def test_only_mcp_is_a_mounted_application() -> None:
    assert [route.path for route in ROUTES if isinstance(route.handler, Mount)] == ["/mcp"]


def test_a_route_that_is_open_by_mistake_does_not_start() -> None:
    live = next(route for route in ROUTES if route.path == "/health/live")
    with pytest.raises(ValueError, match="scope"):
        Router([Route("GET", "/open", None, live.handler)])
    with pytest.raises(ValueError, match="scope"):
        Router([Route("GET", "/health/live", scopes.RUNS_READ, live.handler)])
    with pytest.raises(ValueError, match="twice"):
        Router([live, live])
