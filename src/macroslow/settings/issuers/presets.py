"""What common identity providers have in common with themselves: where their keys are, what their tokens say.

Each preset only fills in what the operator does not set. Names in braces are settings of the issuer.
The sources are the providers' own pages on validating an access token (of Google: an ID token).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from macroslow.authz import scopes as our_scopes

DEVELOPMENT: Final = "development"
DEVELOPMENT_ISSUER: Final = "urn:macroslow:development"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """`values` are claim paths, `required` has claim paths and the words of which one must be there."""

    issuer: str = "{issuer}"
    jwks_url: str | None = None
    audiences: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    types: tuple[str, ...] = ("jwt", "at+jwt", "application/at+jwt", "")
    client_claims: tuple[str, ...] = ("client_id", "azp")
    required: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: tuple[str, ...] = ("scope",)
    pass_scopes: tuple[str, ...] = ()


NO_PRESET: Final = Preset()

PRESETS: Final[Mapping[str, Preset]] = {
    # Access tokens: `client_id` and `token_use`, no `aud`. An ID token has `aud` and another `token_use`.
    "cognito": Preset(
        issuer="https://cognito-idp.{region}.amazonaws.com/{user_pool_id}",
        jwks_url="https://cognito-idp.{region}.amazonaws.com/{user_pool_id}/.well-known/jwks.json",
        algorithms=("RS256",),
        client_claims=("client_id",),
        required={"token_use": ("access",)},
        values=("scope", "cognito:groups"),
    ),
    # `permissions` are there where RBAC and "Add Permissions in the Access Token" are on for the API.
    "auth0": Preset(
        issuer="https://{domain}/",
        jwks_url="https://{domain}/.well-known/jwks.json",
        algorithms=("RS256", "PS256"),
        client_claims=("azp", "client_id"),
        values=("scope", "permissions"),
    ),
    # Google's access tokens are opaque: what can be checked is an ID token, whose `aud` is the client's id.
    "google": Preset(
        issuer="https://accounts.google.com",
        jwks_url="https://www.googleapis.com/oauth2/v3/certs",
        algorithms=("RS256",),
        client_claims=("azp",),
        values=(),
    ),
    "entra": Preset(
        issuer="https://login.microsoftonline.com/{tenant}/v2.0",
        jwks_url="https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys",
        algorithms=("RS256",),
        client_claims=("azp",),
        required={"ver": ("2.0",)},
        values=("scp", "roles"),
    ),
    # The claim `typ` tells an access token ("Bearer") from an ID token ("ID"); both headers say JWT.
    "keycloak": Preset(
        jwks_url="{issuer}/protocol/openid-connect/certs",
        client_claims=("azp", "client_id"),
        required={"typ": ("Bearer",)},
        values=("scope", "realm_access.roles"),
    ),
    # Tokens that `macroslow jwt mint` makes with a key in the state folder.
    DEVELOPMENT: Preset(
        issuer=DEVELOPMENT_ISSUER,
        audiences=("macroslow",),
        algorithms=("EdDSA",),
        types=("at+jwt",),
        pass_scopes=tuple(sorted(our_scopes.CLIENT)),
    ),
}
