"""An issuer that no token can name is refused, at its line, with the line that mends it."""

import re
from pathlib import Path

import pytest

from macroslow.errors import ConfigurationError, Problem
from macroslow.settings import load
from macroslow.settings.issuers.names import misnamed

TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
COGNITO = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC"
ENTRA = f"https://login.microsoftonline.com/{TENANT}/v2.0"
RIGHT = [
    (None, "https://x.example"),
    (None, "https://x.example/"),
    (None, "urn:example:issuer"),
    (None, "no name at all"),
    (None, "https://[half/.well-known/x"),
    (None, COGNITO),
    ("cognito", COGNITO),
    ("cognito", "https://cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_AbC"),
    ("cognito", "http://127.0.0.1:5000/us-east-1_AbC"),
    ("auth0", "https://acme.eu.auth0.com/"),
    ("auth0", "https://login.acme.example/"),
    (None, "https://acme.auth0.com/"),
    ("keycloak", "https://id.example/realms/main"),
    ("keycloak", "https://id.example/auth/realms/main"),
    ("entra", ENTRA),
    ("google", "https://accounts.google.com"),
    (None, "https://sts.windows.net/x/"),
]
AUDIENCE = 'audiences = ["a"]\n'
POOL = 'preset = "cognito"\nclient_ids = ["x"]\n'
ANY = AUDIENCE + 'jwks_url = "https://x.example/k"\n'
WRONG = {
    "the region of another pool": (
        POOL + 'user_pool_id = "us-east-1_AbC"\nregion = "eu-west-1"',
        'region = "us-east-1"',
    ),
    "a pool by its name": (
        POOL + 'region = "eu-west-1"\nuser_pool_id = "main"',
        'user_pool_id = "eu-west-1_AbCdEfGhI"',
    ),
    "a whole Cognito name of two regions": (
        ANY + 'issuer = "https://cognito-idp.eu-west-1.amazonaws.com/us-east-1_AbC"',
        'issuer = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbC"',
    ),
    "a slash after a pool": (ANY + f'issuer = "{COGNITO}/"', f'issuer = "{COGNITO}"'),
    "Auth0 without a slash": (
        ANY + 'issuer = "https://acme.eu.auth0.com"',
        'issuer = "https://acme.eu.auth0.com/"',
    ),
    "Auth0's own domain without a slash": (
        ANY + 'preset = "auth0"\nissuer = "https://login.acme.example"',
        'issuer = "https://login.acme.example/"',
    ),
    "a URL as Auth0's domain": (
        AUDIENCE + 'preset = "auth0"\ndomain = "https://acme.eu.auth0.com/"',
        'domain = "acme.eu.auth0.com"',
    ),
    "a Keycloak without a realm": (
        AUDIENCE + 'preset = "keycloak"\nissuer = "https://id.example"',
        'issuer = "https://id.example/realms/REALM"',
    ),
    "a Keycloak below a path without a realm": (
        AUDIENCE + 'preset = "keycloak"\nissuer = "https://id.example/auth/realms/"',
        'issuer = "https://id.example/auth/realms/REALM"',
    ),
    "a slash after a realm": (
        AUDIENCE + 'preset = "keycloak"\nissuer = "https://id.example/realms/main/"',
        'issuer = "https://id.example/realms/main"',
    ),
    "an endpoint of a realm": (
        ANY + 'issuer = "https://id.example/realms/main/protocol/openid-connect"',
        'issuer = "https://id.example/realms/main"',
    ),
    "a description": (
        ANY + 'issuer = "https://x.example/.well-known/openid-configuration"',
        'issuer = "https://x.example"',
    ),
    "the description of an Auth0": (
        ANY + 'issuer = "https://acme.auth0.com/.well-known/openid-configuration"',
        'issuer = "https://acme.auth0.com/"',
    ),
    "a tenant by a word": (
        AUDIENCE + 'preset = "entra"\ntenant = "common"',
        'tenant = "00000000-0000-0000-0000-000000000000"',
    ),
    "a slash after Entra": (ANY + f'issuer = "{ENTRA}/"', f'issuer = "{ENTRA}"'),
    "a slash after Google": (
        ANY + 'issuer = "https://accounts.google.com/"',
        'issuer = "https://accounts.google.com"',
    ),
}


def refused(folder: Path, text: str) -> Problem:
    """The one problem of a configuration with this issuer."""
    file = folder / "macroslow.toml"
    file.write_text(f"[auth.issuers.main]\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load(file, {})
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(("preset", "iss"), RIGHT, ids=range(len(RIGHT)))
def test_what_a_provider_may_write_is_taken_as_it_is(preset: str | None, iss: str) -> None:
    assert misnamed(preset, iss) is None


@pytest.mark.parametrize("case", WRONG)
def test_a_name_that_no_token_has_is_refused_with_the_line_that_takes_its_place(
    tmp_path: Path, case: str
) -> None:
    text, fix = WRONG[case]
    problem = refused(tmp_path, text)
    setting = fix.partition(" ")[0]
    lines = (tmp_path / "macroslow.toml").read_text().splitlines()
    assert problem.fix == fix
    assert problem.field == f"auth.issuers.main.{setting}"
    assert problem.line is not None
    assert lines[problem.line - 1].startswith(f"{setting} = ")


@pytest.mark.parametrize("case", WRONG)
def test_what_is_said_to_be_written_is_good_or_only_lacks_what_nobody_else_knows(
    tmp_path: Path, case: str
) -> None:
    text, fix = WRONG[case]
    setting = fix.partition(" ")[0]
    mended = re.sub(rf"^{setting} = .*$", fix, text, flags=re.MULTILINE)
    file = tmp_path / "macroslow.toml"
    file.write_text(f"[auth.issuers.main]\n{mended}\n", encoding="utf-8")
    load(file, {})


def test_a_preset_that_is_not_there_is_answered_with_the_one_that_was_meant(tmp_path: Path) -> None:
    problem = refused(tmp_path, 'preset = "Cogneto"\naudiences = ["a"]')
    assert (problem.line, problem.field) == (2, "auth.issuers.main.preset")
    assert problem.fix.startswith('did you mean "cognito"? known are "cognito", "auth0"')
    strange = refused(tmp_path, 'preset = "zzz"\naudiences = ["a"]')
    assert strange.fix.startswith('known are "cognito"')
    assert strange.fix.endswith("leave preset out and set issuer, jwks_url and audiences")


def test_what_is_lacking_is_shown_as_it_is_written(tmp_path: Path) -> None:
    assert refused(tmp_path, POOL).fix == 'region = "eu-west-1" and user_pool_id = "eu-west-1_AbCdEfGhI"'
    assert "/realms/REALM" in refused(tmp_path, AUDIENCE + 'preset = "keycloak"').fix


def test_a_description_is_no_place_of_keys(tmp_path: Path) -> None:
    url = "https://x.example/.well-known/openid-configuration"
    problem = refused(tmp_path, AUDIENCE + f'issuer = "https://x.example"\njwks_url = "{url}"')
    assert (problem.line, problem.fix) == (4, "write the jwks_uri that stands there")


@pytest.mark.parametrize("secret", ["sk-proj-0123456789", "https://user:hunter2@acme.auth0.com"])
def test_what_may_be_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path, secret: str) -> None:
    for line in (f'preset = "auth0"\ndomain = "{secret}/x"', f'preset = "{secret}"'):
        problem = refused(tmp_path, AUDIENCE + line)
        assert secret not in problem.message + problem.fix
    assert misnamed("auth0", secret) is None
