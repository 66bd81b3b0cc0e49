"""Issuers of which a start complains not, and whose tokens could do nothing, or too many of which count."""

from pathlib import Path

import pytest

from macroslow.errors import ConfigurationError
from macroslow.settings import load
from macroslow.settings.issuers.in_vain import issuers_in_vain

ANY = 'issuer = "https://x.example"\njwks_url = "https://x.example/k"\naudiences = ["a"]\n'
POOL = 'preset = "cognito"\nregion = "eu-west-1"\nuser_pool_id = "eu-west-1_AbC"\n'
ANYBODY = 'preset = "google"\naudiences = ["1.apps.googleusercontent.com"]\n'
GOOGLE = ANYBODY + 'required = { hd = ["acme.example"] }\n'
ALL = 'always_scopes = ["inference:chat"]'
REALM = 'preset = "keycloak"\nissuer = "https://id.example/realms/main"\n' + ALL + "\n"
SERVING = {
    "development": 'preset = "development"',
    "scopes for words": ANY + 'scopes = { agents = ["inference:chat"] }',
    "scopes of ours": ANY + 'pass_scopes = ["inference:chat"]',
    "scopes for all": ANY + 'always_scopes = ["inference:chat"]',
    "a claim of its own": GOOGLE + 'values = ["hd"]\nscopes = { "acme.example" = ["usage:read"] }',
    "some of Google's accounts": GOOGLE + ALL,
    "an audience of a realm": REALM + 'audiences = ["macroslow"]',
    "a domain of Auth0's": ALL + '\npreset = "auth0"\ndomain = "acme.eu.auth0.com"\naudiences = ["a"]',
    "a client of a pool": POOL + 'client_ids = ["c"]\nscopes = { agents = ["inference:chat"] }',
}
IN_VAIN = {
    "no scope for any word": (
        ANY,
        "auth.issuers.main: none of its tokens has a scope",
        'scopes = { "WORD" = [',
    ),
    "words for grants alone": (
        ANY + 'grants = { agents = ["api://openai"] }',
        "auth.issuers.main: none of its tokens has a scope",
        'scopes = { "WORD" = [',
    ),
    "no scope and no claim": (
        GOOGLE,
        "auth.issuers.main: none of its tokens has a scope",
        'always_scopes = ["inference:chat", "usage:read"]',
    ),
    "words of no claim": (
        GOOGLE + 'always_scopes = ["usage:read"]\nscopes = { admins = ["audit:read"] }',
        "auth.issuers.main.scopes: no claim of a token is looked up",
        'values = ["groups"]',
    ),
    "scopes of no claim": (
        GOOGLE + 'pass_scopes = ["usage:read"]',
        "auth.issuers.main.pass_scopes: no claim of a token is looked up",
        'values = ["groups"]',
    ),
    "an audience of a pool": (
        POOL + 'audiences = ["c"]\nalways_scopes = ["usage:read"]',
        "auth.issuers.main.audiences: Cognito's access tokens have no audience",
        "client_ids = [",
    ),
    "every Google account": (
        ANYBODY + ALL,
        "auth.issuers.main.always_scopes: every Google account's token",
        'required = { email = ["…"] }',
    ),
    "every client of a realm": (
        REALM + 'audiences = ["macroslow", "account"]',
        'auth.issuers.main.audiences: Keycloak writes "account"',
        "name an audience that only this gateway has",
    ),
    "a domain of a realm": (
        REALM + 'domain = "id.example"\naudiences = ["macroslow"]',
        'auth.issuers.main.domain: is not used with preset = "keycloak"',
        "take domain out",
    ),
    "a domain of no preset": (
        ANY + ALL + '\ndomain = "id.example"',
        "auth.issuers.main.domain: is not used without a preset",
        "take domain out",
    ),
}


def told(folder: Path, text: str) -> list[str]:
    file = folder / "macroslow.toml"
    file.write_text(f"[auth.issuers.main]\n{text}\n", encoding="utf-8")
    return [*issuers_in_vain(load(file, {}))]


@pytest.mark.parametrize("case", SERVING)
def test_an_issuer_whose_tokens_may_do_something_is_not_told_of(tmp_path: Path, case: str) -> None:
    assert told(tmp_path, SERVING[case]) == []


@pytest.mark.parametrize("case", IN_VAIN)
def test_an_issuer_that_serves_nobody_is_told_of_with_its_line_and_repair(tmp_path: Path, case: str) -> None:
    text, what, fix = IN_VAIN[case]
    (line,) = told(tmp_path, text)
    place, _, said = line.partition(": ")
    setting = what.partition(":")[0].removeprefix("auth.issuers.main").removeprefix(".")
    written = (tmp_path / "macroslow.toml").read_text().splitlines()
    number = next(n for n, one in enumerate(written, 1) if one.startswith(setting or "[auth.issuers.main]"))
    assert place == f"{tmp_path / 'macroslow.toml'}:{number}"
    assert said.startswith(what)
    assert f"\n    fix: {fix}" in said


@pytest.mark.parametrize("case", ["no scope and no claim", "words of no claim"])
def test_what_it_says_to_write_serves(tmp_path: Path, case: str) -> None:
    (line,) = told(tmp_path, IN_VAIN[case][0])
    assert told(tmp_path, f"{IN_VAIN[case][0]}\n{line.partition('fix: ')[2]}") == []


def test_a_token_for_mcp_counts_or_the_operator_is_told(tmp_path: Path) -> None:
    file = tmp_path / "macroslow.toml"
    issuer = "[auth.issuers.main]\n" + ANY + 'pass_scopes = ["mcp:connect"]\n'
    for resource, told in (("a", 1), ("https://gw.example/mcp", 1), ("", 0)):
        written = f'[mcp]\nresource = "https://gw.example/mcp/"\n{issuer}' if resource else issuer
        file.write_text(written)
        warnings = list(issuers_in_vain(load(file, {})))
        assert len(warnings) == told
        assert all(
            "which is what clients of MCP ask for" in one and "https://gw.example/mcp" in one
            for one in warnings
        )
    file.write_text(written.replace('["a"]', '["a", "https://gw.example/mcp"]'))
    assert list(issuers_in_vain(load(file, {}))) == []


@pytest.mark.parametrize(
    "resource",
    [
        "gateway.example/mcp",
        "https://gw.example/mcp#a",
        "https://gw.example/mcp?a=1",
        "http://gw.example/mcp",
        "https://me@gw.example/mcp",
        "ftp://gw.example/mcp",
        "",
    ],
)
def test_a_resource_is_a_url_that_tokens_may_travel_to(resource: str, tmp_path: Path) -> None:
    file = tmp_path / "macroslow.toml"
    file.write_text(f'[mcp]\nresource = "{resource}"\n')
    with pytest.raises(ConfigurationError):
        load(file, {})


def test_a_resource_is_named_in_one_way(tmp_path: Path) -> None:
    file = tmp_path / "macroslow.toml"
    file.write_text('[mcp]\nresource = "https://GW.Example:8443/mcp/"\n')
    assert load(file, {}).mcp.resource == "https://gw.example:8443/mcp"
