"""Scopes of other MCP servers: names of one form, known wherever scopes are."""

import pytest

from macroslow.authz import scopes


@pytest.mark.parametrize("scope", ["mcp:github", "mcp:github-write", "mcp:a_b", "mcp:0"])
def test_a_server_has_a_scope_of_its_own_which_is_a_clients(scope: str) -> None:
    assert scopes.is_server_scope(scope)
    assert scopes.is_client(scope)
    assert scopes.is_known(scope)
    assert not scopes.administrates({scope})


@pytest.mark.parametrize(
    "scope",
    [
        "mcp:connect",
        "mcp:",
        "mcp:*",
        "mcp:A",
        "mcp:a b",
        "mcp:a\n",
        "mcp:a:b",
        "admin:mcp",
        "github",
        "mcp:" + "a" * 64,
    ],
)
def test_nothing_else_is_one(scope: str) -> None:
    assert not scopes.is_server_scope(scope)


def test_a_new_key_has_none() -> None:
    assert not any(map(scopes.is_server_scope, scopes.ALL))
