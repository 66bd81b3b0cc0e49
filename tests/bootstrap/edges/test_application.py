"""What the edges are told of the configuration."""

from pathlib import Path

from macroslow.bootstrap.edges.application import protected_resource
from macroslow.settings import load
from macroslow.web.protected_resource import NO_ISSUER

ISSUER = """
[auth.issuers.id]
issuer = "https://id.example"
jwks_url = "https://id.example/keys"
audiences = ["https://gw.example/mcp"]
pass_scopes = ["usage:read", "mcp:connect"]
"""


def test_clients_of_mcp_are_sent_to_the_issuers_that_are_configured(tmp_path: Path) -> None:
    file = tmp_path / "macroslow.toml"
    file.write_text('[gateway]\nname = "ours"\n[mcp]\nresource = "https://gw.example/mcp"\n' + ISSUER)
    told = protected_resource(load(file, {}))
    assert told.document(b"any.example", encrypted=False) == {
        "resource": "https://gw.example/mcp",
        "authorization_servers": ("https://id.example",),
        "scopes_supported": ("mcp:connect", "usage:read"),
        "bearer_methods_supported": ("header",),
        "resource_name": "ours",
    }
    url = "https://gw.example/.well-known/oauth-protected-resource/mcp"
    assert told.metadata_url(b"any.example", encrypted=False) == url


def test_an_issuer_for_trials_is_no_place_to_log_in(tmp_path: Path) -> None:
    file = tmp_path / "macroslow.toml"
    file.write_text('[auth.issuers.dev]\npreset = "development"\n')
    told = protected_resource(load(file, {}))
    assert told.issuers == NO_ISSUER.issuers
    assert told.metadata_url(b"localhost", encrypted=True) == ""
