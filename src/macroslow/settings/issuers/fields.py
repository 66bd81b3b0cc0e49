"""The kinds of value that an issuer of tokens is described by, each with its own complaint and repair."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from macroslow.authn.jwt.claims import parse_path
from macroslow.authz.scopes import KNOWN_CLIENT, is_client
from macroslow.authz.uri import Pattern
from macroslow.errors import BadRequestError
from macroslow.settings.fields import BaseURL, Texts, refuse
from macroslow.settings.issuers.presets import PRESETS

Some = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...], Field(strict=False)]
_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_URL: Final = re.compile(r"https?://([A-Za-z0-9.-]+)/?")
_DESCRIPTIONS: Final = ("/openid-configuration", "/oauth-authorization-server")
_OF_NO_PRESET: Final = "of others, leave preset out and set issuer, jwks_url and audiences"


def _scopes(value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(is_client, value)):  # administrators come with keys of their own
        raise refuse("not a scope of clients", f"choose among {KNOWN_CLIENT}")
    return value


def _grants(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        try:
            Pattern.parse(each)
        except BadRequestError as error:
            raise refuse(error.detail, error.fix or 'write for example "api://*"') from None
    return value


def _path(value: str) -> str:
    try:
        parse_path(value)
    except ValueError:
        raise refuse("not a path to a claim", 'write for example "scope" or "realm_access.roles"') from None
    return value


def _part(value: str) -> str:
    if not _PART.fullmatch(value):
        raise refuse("not a part of an issuer's address", "use letters, digits and . _ -")
    return value


def _domain(value: str) -> str:
    if written := _URL.fullmatch(value):
        raise refuse("is a URL, and should be its host alone", f'domain = "{written[1]}"')
    return _part(value)


def _preset(value: object) -> object:
    if isinstance(value, str) and value not in PRESETS:
        alike = get_close_matches(value.lower(), PRESETS, n=1, cutoff=0.5)
        meant = f'did you mean "{alike[0]}"? ' if alike else ""
        known = ", ".join(f'"{name}"' for name in PRESETS)
        raise refuse("there is no such preset", f"{meant}known are {known}; {_OF_NO_PRESET}")
    return value


def _keys_url(value: str) -> str:
    if value.endswith(_DESCRIPTIONS):
        raise refuse(
            "is where the issuer describes itself, and not where its keys are",
            "write the jwks_uri that stands there",
        )
    return value


ClaimPath = Annotated[str, AfterValidator(_path)]
ClaimPaths = Annotated[tuple[ClaimPath, ...], Field(strict=False)]
Part = Annotated[str, AfterValidator(_part)]
Domain = Annotated[str, AfterValidator(_domain)]
KeysURL = Annotated[BaseURL, AfterValidator(_keys_url)]
PresetName = Annotated[
    Literal["cognito", "auth0", "google", "entra", "keycloak", "development"], BeforeValidator(_preset)
]
Scopes = Annotated[Texts, AfterValidator(_scopes)]
Grants = Annotated[Texts, AfterValidator(_grants)]
_FROZEN: Final = (AfterValidator(MappingProxyType), PlainSerializer(dict))
ScopeTable = Annotated[Mapping[str, Scopes], *_FROZEN]
GrantTable = Annotated[Mapping[str, Grants], *_FROZEN]
RequiredTable = Annotated[Mapping[ClaimPath, Some], *_FROZEN]
