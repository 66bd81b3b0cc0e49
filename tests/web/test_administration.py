"""The administrators' table: every verb has its scope; nothing there starts or fetches anything."""

import pytest
from tests.web.test_routes import PUBLIC

from macroslow.authz import scopes
from macroslow.errors import BadRequestError
from macroslow.services.administration import VERBS
from macroslow.web.administration import ADMIN_PATH, _arguments, admin_routes
from macroslow.web.router import Router
from macroslow.web.routes import ROUTES, Audit, LimitedBy, Mount

NEVER_OVER_TCP = {"run", "keys.adopt", "keys.revoke_all", "audit.verify", "authz.can", "authz.can_key"}


async def perform(verb, arguments, by):
    return {"verb": verb, "arguments": dict(arguments), "by": by.name}


TABLE = admin_routes(perform)


def test_the_table_is_the_expected_one_and_no_route_more() -> None:
    assert {(route.method, route.path): route.scope for route in TABLE if route.scope} == {
        ("POST", "/admin/keys.create"): scopes.ADMIN_KEYS,
        ("POST", "/admin/keys.list"): scopes.ADMIN_KEYS,
        ("POST", "/admin/keys.revoke"): scopes.ADMIN_KEYS,
        ("POST", "/admin/keys.rotate"): scopes.ADMIN_KEYS,
        ("POST", "/admin/keys.set"): scopes.ADMIN_KEYS,
        ("POST", "/admin/keys.show"): scopes.ADMIN_KEYS,
        ("POST", "/admin/signers.list"): scopes.ADMIN_SIGNERS,
        ("POST", "/admin/signers.revoke"): scopes.ADMIN_SIGNERS,
        ("POST", "/admin/signers.trust"): scopes.ADMIN_SIGNERS,
        ("POST", "/admin/usage"): scopes.ADMIN_USAGE,
        ("POST", "/admin/usage.budgets"): scopes.ADMIN_USAGE,
        ("POST", "/admin/usage.days"): scopes.ADMIN_USAGE,
        ("POST", "/admin/audit.checkpoint"): scopes.ADMIN_AUDIT,
        ("POST", "/admin/audit.key"): scopes.ADMIN_AUDIT,
        ("POST", "/admin/audit.policy"): scopes.ADMIN_AUDIT,
        ("POST", "/admin/audit.prove"): scopes.ADMIN_AUDIT,
        ("POST", "/admin/audit.search"): scopes.ADMIN_AUDIT,
        ("POST", "/admin/audit.show"): scopes.ADMIN_AUDIT,
        ("POST", "/admin/audit.succession"): scopes.ADMIN_AUDIT,
        ("POST", "/admin/audit.tail"): scopes.ADMIN_AUDIT,
        ("POST", "/admin/audit.witnesses"): scopes.ADMIN_AUDIT,
    }
    assert {(route.method, route.path) for route in TABLE if route.scope is None} == PUBLIC
    assert all(VERBS[verb].scope is None for verb in NEVER_OVER_TCP)
    Router(TABLE)


@pytest.mark.parametrize("route", [route for route in TABLE if route.scope], ids=lambda route: route.path)
def test_each_verb_is_capped_limited_logged_and_only_an_administrators(route) -> None:
    assert 0 < route.cap_bytes <= 64 * 1024
    assert route.content_types == {"application/json"}
    assert route.scope in scopes.ADMIN
    assert (route.limit, route.audit) == (LimitedBy.CREDENTIAL, Audit.OUTCOME)
    assert not isinstance(route.handler, Mount)


def test_no_client_has_an_administrators_scope_unless_it_is_given_and_no_path_is_shared() -> None:
    assert not scopes.ADMIN & scopes.CLIENT
    assert not scopes.CLIENT_DEFAULT - scopes.CLIENT
    assert not [route.path for route in ROUTES if route.path.startswith(ADMIN_PATH)]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"{",
        b'{"a":1,"a":2}',
        b'{"a":1.5}',
        b'{"a":NaN}',
        b'{"a":' + b"[" * 50 + b"]" * 50 + b"}",
        b'{"a":"\xff"}',
        b"{} {}",
        b'{"a":"\\ud800"}',
    ],
)
def test_arguments_that_could_mean_two_things_are_refused(body: bytes) -> None:
    with pytest.raises(BadRequestError):
        _arguments(body)


def test_no_body_means_no_arguments() -> None:
    assert _arguments(b"") == {}
    assert _arguments(b'{"count": 5}') == {"count": 5}
