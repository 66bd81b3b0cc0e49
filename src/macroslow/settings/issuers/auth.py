"""[auth]: who issues tokens that count here, and what the claims in them are worth."""

import re
from decimal import ROUND_FLOOR, Decimal
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from macroslow.authn.jwt.claims import Path, parse_path
from macroslow.authn.jwt.issuer import MAX_LEEWAY_S, ClaimMapping, IssuerRules
from macroslow.authn.terms import Terms
from macroslow.crypto.jose import Algorithm
from macroslow.metering.money import MICROS_PER_USD
from macroslow.settings.fields import USD, Count, Name, SecretReference, Table, is_loopback, refuse
from macroslow.settings.issuers.fields import (
    ClaimPath,
    ClaimPaths,
    Domain,
    Grants,
    GrantTable,
    KeysURL,
    Part,
    PresetName,
    RequiredTable,
    Scopes,
    ScopeTable,
    Some,
)
from macroslow.settings.issuers.names import A_POOL, A_TENANT, misnamed
from macroslow.settings.issuers.presets import DEVELOPMENT, NO_PRESET, PRESETS, Preset
from macroslow.settings.section import Section

_PLACE: Final = re.compile(r"\{(\w+)\}")
_HEADER_TYPE_OF_NOTHING: Final = "none"
_EXAMPLES: Final = {
    "region": "eu-west-1",
    "user_pool_id": f"eu-west-1_{A_POOL}",
    "domain": "acme.eu.auth0.com",
    "tenant": A_TENANT,
}
DEFAULT_GRANTS: Final = ("gateway://*", "api://*")
"""What a token may use unless told otherwise: all that this gateway has, as a key may."""


class Issuer(Section):
    """One issuer of tokens. What is not set is as the preset has it; without one, as the defaults do.

    `scopes` and `grants` say what a word in one of the claims of `values` is worth; `pass_scopes` are the
    scopes of ours that count under their own names; every token has `always_scopes` and `always_grants`.
    """

    preset: PresetName | None = None
    issuer: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    jwks_url: KeysURL | None = None
    plain_http: bool = False
    region: Part | None = None
    user_pool_id: Part | None = None
    domain: Domain | None = None
    tenant: Part | None = None
    secret: SecretReference | None = None
    audiences: Some = ()
    client_ids: Some = ()
    algorithms: (
        Annotated[
            tuple[Literal["RS256", "PS256", "ES256", "EdDSA", "HS256"], ...],
            Field(strict=False, min_length=1),
        ]
        | None
    ) = None
    types: Some | None = None
    required: RequiredTable = Field(default_factory=dict)
    leeway_s: Annotated[int, Field(ge=0, le=MAX_LEEWAY_S)] = 60
    max_age_s: Count | None = None
    subject: ClaimPath = "sub"
    team_claim: ClaimPath | None = None
    values: ClaimPaths | None = None
    scopes: ScopeTable = Field(default_factory=dict)
    pass_scopes: Scopes | None = None
    always_scopes: Scopes = ()
    grants: GrantTable = Field(default_factory=dict)
    always_grants: Grants = DEFAULT_GRANTS
    team: Annotated[str, Field(max_length=128)] = ""
    weight: Annotated[int, Field(ge=1, le=100)] = 1
    requests_per_minute: Count | None = None
    concurrent_requests: Count | None = None
    budget_usd: USD | None = None
    budget_day_usd: USD | None = None
    budget_month_usd: USD | None = None

    @property
    def is_development(self) -> bool:
        """Whether its tokens are made by ourselves, for trials on this machine."""
        return self.preset == DEVELOPMENT

    @property
    def iss(self) -> str:
        """What `iss` must be, to the letter."""
        return self._filled(self._preset.issuer) if self.issuer is None else self.issuer

    @property
    def keys_url(self) -> str | None:
        """Where its keys are; None where they come from no URL."""
        if self.secret is not None or self.is_development:
            return None
        template = self._preset.jwks_url
        return self.jwks_url or (None if template is None else self._filled(template))

    @property
    def parts(self) -> frozenset[str]:
        """The settings that the preset puts its addresses together from."""
        return frozenset(_PLACE.findall(self._preset.issuer + (self._preset.jwks_url or "")))

    @property
    def budget_usd_micros(self) -> int | None:
        """What each of its subjects may spend in all."""
        return _micros(self.budget_usd)

    def rules(self, name: str) -> IssuerRules:
        """The same, as tokens are held against it."""
        preset = self._preset
        required = dict(preset.required) | dict(self.required)
        types = self.types if self.types is not None else preset.types
        return IssuerRules(
            name=name,
            issuer=self.iss,
            algorithms=frozenset(map(Algorithm, self._algorithms)),
            audiences=frozenset(self.audiences or preset.audiences),
            client_ids=frozenset(self.client_ids),
            client_claims=preset.client_claims,
            types=frozenset("" if each == _HEADER_TYPE_OF_NOTHING else each.lower() for each in types),
            required=tuple((parse_path(path), frozenset(values)) for path, values in required.items()),
            leeway_s=self.leeway_s,
            max_age_s=self.max_age_s,
            mapping=self._mapping(),
        )

    def _mapping(self) -> ClaimMapping:
        preset = self._preset
        return ClaimMapping(
            subject=parse_path(self.subject),
            team=_maybe(self.team_claim),
            values=tuple(map(parse_path, self.values if self.values is not None else preset.values)),
            scopes=self.scopes,
            pass_scopes=frozenset(self.pass_scopes if self.pass_scopes is not None else preset.pass_scopes),
            grants=self.grants,
            terms=Terms(
                scopes=frozenset(self.always_scopes),
                grants=self.always_grants,
                team=self.team,
                weight=self.weight,
                requests_per_minute=self.requests_per_minute,
                concurrent_requests=self.concurrent_requests,
                day_usd_micros=_micros(self.budget_day_usd),
                month_usd_micros=_micros(self.budget_month_usd),
            ),
        )

    @property
    def _preset(self) -> Preset:
        return NO_PRESET if self.preset is None else PRESETS[self.preset]

    @property
    def _algorithms(self) -> tuple[str, ...]:
        if self.algorithms is not None:
            return self.algorithms
        return self._preset.algorithms if self.secret is None else (Algorithm.HS256,)

    def _filled(self, template: str) -> str:
        return _PLACE.sub(lambda place: getattr(self, place[1]) or "", template)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        templates = [self._preset.issuer] if self.issuer is None else []
        if self.jwks_url is None and self.secret is None:
            templates.append(self._preset.jwks_url or "")
        named = [name for template in templates for name in _PLACE.findall(template)]
        missing = [name for name in dict.fromkeys(named) if getattr(self, name) is None]
        if missing:
            raise refuse(f"lacks {' and '.join(missing)}", " and ".join(map(self._example, missing)))
        if not (self.audiences or self.client_ids or self._preset.audiences):
            raise refuse(
                "has neither audiences nor client_ids, so a token for anybody would count",
                'write audiences = ["…"], as the issuer names this gateway, or client_ids = ["…"]',
            )
        return self

    def _example(self, name: str) -> str:
        if name != "issuer":
            return f'{name} = "{_EXAMPLES[name]}"'
        realm = "/realms/REALM" if self.preset == "keycloak" else ""
        return f'issuer = "https://id.example.org{realm}", as `iss` in its tokens is'

    @model_validator(mode="after")
    def _named_as_in_its_tokens(self) -> Self:
        if found := misnamed(self.preset, self.iss):
            setting, right = ("issuer", found.right) if self.issuer else (found.setting, found.part)
            complaint = refuse(found.message, f'{setting} = "{right}"')
            raise ValidationError.from_exception_data(  # so that it has the line of the setting
                "Issuer", [InitErrorDetails(type=complaint, loc=(setting,), input=None)]
            )
        return self

    @model_validator(mode="after")
    def _keys_from_one_place(self) -> Self:
        symmetric = Algorithm.HS256 in self._algorithms
        if symmetric is (self.secret is None) or (symmetric and len(self._algorithms) > 1):
            raise refuse(
                "HS256 is for an issuer with a secret, and for that one alone",
                'set secret and leave algorithms out, or take "HS256" out of algorithms',
            )
        if self.secret is not None and self.jwks_url is not None:
            raise refuse("has both secret and jwks_url", "remove one of them")
        if self.keys_url is None and self.secret is None and not self.is_development:
            raise refuse("lacks jwks_url", "set jwks_url, as the issuer's openid-configuration has it")
        return self

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        parts = urlsplit(self.keys_url or "https://none.invalid")
        if parts.scheme == "http" and not (self.plain_http and is_loopback(parts.hostname or "")):
            raise refuse(
                "its keys would come over plain http, where anybody may put in others",
                "use https; on this machine alone, plain_http = true",
            )
        return self


def _off(value: object) -> object:
    """`false` says the same as leaving it out."""
    if value is True:
        raise refuse(
            "names the provider whose keys it is about", 'byok = "openai", or another name of [providers]'
        )
    return None if value is False else value


class Auth(Section):
    """Kinds of credential besides client keys: the tokens of these issuers.

    `byok` names the provider whose keys callers may bring along beside a token.
    """

    byok: Annotated[Name | None, BeforeValidator(_off)] = None
    issuers: Table[Issuer] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_issuer_once(self) -> Self:
        if len({issuer.iss for issuer in self.issuers.values()}) != len(self.issuers):
            raise refuse("two issuers have the same iss", "keep one: a token must have one reading")
        return self


def _maybe(path: str | None) -> Path:
    return () if path is None else parse_path(path)


def _micros(usd: Decimal | None) -> int | None:
    return None if usd is None else int((usd * MICROS_PER_USD).to_integral_value(ROUND_FLOOR))
