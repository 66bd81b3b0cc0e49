"""[auth.issuers.NAME]: presets fill in what is not set, and what would let strangers in is refused."""

from pathlib import Path

import pytest

from macroslow.authn.jwt.issuer import IssuerRules
from macroslow.crypto.jose import Algorithm
from macroslow.errors import ConfigurationError
from macroslow.settings import Settings, load
from macroslow.settings.issuers.presets import PRESETS

TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"


def settings(folder: Path, text: str) -> Settings:
    file = folder / "macroslow.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, {})


def rules(folder: Path, text: str) -> tuple[IssuerRules, str | None]:
    """The one issuer of the configuration, and where its keys are."""
    ((name, issuer),) = settings(folder, f"[auth.issuers.main]\n{text}").auth.issuers.items()
    return issuer.rules(name), issuer.keys_url


def test_cognito_s_access_tokens_have_a_client_and_a_use_and_no_audience(tmp_path: Path) -> None:
    found, url = rules(
        tmp_path,
        'preset = "cognito"\nregion = "eu-west-1"\nuser_pool_id = "eu-west-1_AbC"\nclient_ids = ["agents"]',
    )
    assert found.issuer == "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC"
    assert url == f"{found.issuer}/.well-known/jwks.json"
    assert found.required == ((("token_use",), frozenset({"access"})),)
    assert (found.audiences, found.client_ids, found.client_claims) == (
        frozenset(),
        {"agents"},
        ("client_id",),
    )
    assert found.mapping.values == (("scope",), ("cognito:groups",))
    assert found.algorithms == {Algorithm.RS256}


def test_auth0_has_permissions(tmp_path: Path) -> None:
    found, url = rules(
        tmp_path, 'preset = "auth0"\ndomain = "acme.eu.auth0.com"\naudiences = ["https://gateway.example"]'
    )
    assert (found.issuer, url) == (
        "https://acme.eu.auth0.com/",
        "https://acme.eu.auth0.com/.well-known/jwks.json",
    )
    assert ("permissions",) in found.mapping.values


def test_keycloak_has_nested_roles_and_tells_access_tokens_from_others(tmp_path: Path) -> None:
    found, url = rules(
        tmp_path, 'preset = "keycloak"\nissuer = "https://id.example/realms/main"\naudiences = ["macroslow"]'
    )
    assert url == "https://id.example/realms/main/protocol/openid-connect/certs"
    assert ("realm_access", "roles") in found.mapping.values
    assert found.required == ((("typ",), frozenset({"Bearer"})),)


def test_entra_and_google_are_found_where_they_are(tmp_path: Path) -> None:
    found, url = rules(tmp_path, f'preset = "entra"\ntenant = "{TENANT}"\naudiences = ["api://macroslow"]')
    assert found.issuer == f"https://login.microsoftonline.com/{TENANT}/v2.0"
    assert url == f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"
    found, url = rules(tmp_path, 'preset = "google"\naudiences = ["1.apps.googleusercontent.com"]')
    assert (found.issuer, url) == (
        "https://accounts.google.com",
        "https://www.googleapis.com/oauth2/v3/certs",
    )


def test_what_is_set_goes_before_the_preset_and_required_claims_are_added(tmp_path: Path) -> None:
    found, url = rules(
        tmp_path,
        """
        preset = "auth0"
        issuer = "https://login.acme.example/"
        jwks_url = "https://login.acme.example/keys"
        audiences = ["a"]
        algorithms = ["ES256"]
        values = ["https://acme.example/roles"]
        types = ["at+JWT", "none"]
        required = { "org.id" = ["acme"] }
        scopes = { agents = ["inference:chat"] }
        leeway_s = 5
        budget_day_usd = 2.50
        """,
    )
    assert (found.issuer, url) == ("https://login.acme.example/", "https://login.acme.example/keys")
    assert found.algorithms == {Algorithm.ES256}
    assert found.types == {"at+jwt", ""}
    assert found.required == ((("org", "id"), frozenset({"acme"})),)
    assert found.mapping.values == (("https://acme.example/roles",),)
    assert found.mapping.scopes_of(("agents",)) == {"inference:chat"}
    assert found.mapping.terms.day_usd_micros == 2_500_000


def test_without_a_word_of_the_operator_a_token_has_no_scope(tmp_path: Path) -> None:
    """Of the presets, but the development one, whose tokens the operator makes."""
    for name, preset in PRESETS.items():
        assert bool(preset.pass_scopes) is (name == "development")
    found, _ = rules(
        tmp_path, 'issuer = "https://x.example"\njwks_url = "https://x.example/k"\naudiences = ["a"]'
    )
    assert found.mapping.scopes_of(("inference:chat", "audit:read", "admin")) == frozenset()


GOOD = 'issuer = "https://x.example"\njwks_url = "https://x.example/k"\naudiences = ["a"]\n'
BAD = {
    'issuer = "https://x.example"\njwks_url = "https://x.example/k"': "neither audiences nor client_ids",
    'preset = "cognito"\nclient_ids = ["x"]': "lacks region and user_pool_id",
    'preset = "auth0"\naudiences = ["a"]\nissuer = "https://x.example/"': "lacks domain",
    'preset = "auth0"\naudiences = ["a"]\ndomain = "x.example/../y"': "not a part",
    'preset = "keycloak"\naudiences = ["a"]': "lacks issuer",
    'jwks_url = "https://x.example/k"\naudiences = ["a"]': "lacks issuer",
    'issuer = "https://x.example"\naudiences = ["a"]': "lacks jwks_url",
    GOOD + 'algorithms = ["HS256"]': "HS256 is for an issuer with a secret",
    GOOD + 'algorithms = ["RS256", "HS256"]': "HS256 is for an issuer with a secret",
    GOOD + 'secret = "env:X"': "both secret and jwks_url",
    'issuer = "x"\naudiences = ["a"]\nsecret = "env:X"\nalgorithms = ["HS256", "RS256"]': "HS256 is for",
    GOOD + 'algorithms = ["none"]': "algorithms",
    GOOD + "algorithms = []": "algorithms",
    GOOD + "leeway_s = 301": "leeway_s",
    GOOD + 'always_scopes = ["everything"]': "not a scope",
    GOOD + 'scopes = { agents = ["root"] }': "not a scope",
    GOOD + 'grants = { agents = ["everything"] }': "auth.issuers.main.grants",
    GOOD + 'values = ["a..b"]': "not a path",
    GOOD + 'subject = ""': "not a path",
    GOOD + "unknown = 1": "unknown",
    'issuer = "x"\naudiences = ["a"]\njwks_url = "http://id.example/k"': "plain http",
    'issuer = "x"\naudiences = ["a"]\njwks_url = "http://id.example/k"\nplain_http = true': "plain http",
    'issuer = "x"\naudiences = ["a"]\njwks_url = "http://127.0.0.1/k"': "plain http",
    'issuer = "x"\naudiences = ["a"]\njwks_url = "file:///etc/passwd"': "jwks_url",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_would_let_strangers_in_or_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        rules(tmp_path, text)
    told = " ".join(f"{one.field} {one.message}" for one in caught.value.problems)
    assert BAD[text] in told


def test_plain_http_is_for_this_machine_alone_and_only_where_asked_for(tmp_path: Path) -> None:
    _, url = rules(
        tmp_path, 'issuer = "x"\naudiences = ["a"]\njwks_url = "http://127.0.0.1:9/k"\nplain_http = true'
    )
    assert url == "http://127.0.0.1:9/k"


def test_two_issuers_with_one_iss_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, f"[auth.issuers.one]\n{GOOD}\n[auth.issuers.two]\n{GOOD}")
    assert "same iss" in caught.value.problems[0].message


@pytest.mark.parametrize(
    "server",
    ['listen = "0.0.0.0:8000"', 'allowed_hosts = ["gateway.example"]', 'trusted_proxies = ["10.0.0.0/8"]'],
)
def test_a_development_issuer_stays_on_this_machine(tmp_path: Path, server: str) -> None:
    text = '[auth.issuers.dev]\npreset = "development"\n'
    assert settings(tmp_path, text).auth.issuers["dev"].is_development
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, f"[server]\n{server}\n{text}")
    told = caught.value.problems[0].message
    assert "development issuer" in told
    assert told.endswith(f"by server.{server.partition(' ')[0]}")


def test_the_secret_of_an_issuer_is_one_of_the_secrets_that_must_resolve(tmp_path: Path) -> None:
    text = '[auth.issuers.main]\nissuer = "x"\naudiences = ["a"]\nsecret = "env:JWT_SECRET"\n'
    wanted = [one.setting for one in settings(tmp_path, text).secrets()]
    assert wanted == ["auth.issuers.main.secret"]
