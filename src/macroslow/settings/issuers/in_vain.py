"""Issuers of which no start complains and whose tokens can do nothing, or too many of which count.

A start and a check tell of them.
"""

from collections.abc import Iterator
from typing import Final

from macroslow.authn.jwt.issuer import ClaimMapping
from macroslow.settings.issuers.auth import Issuer
from macroslow.settings.model import Settings
from macroslow.settings.origin import remark

A_CLAIM: Final = 'values = ["groups"]'
A_CLIENT: Final = 'client_ids = ["…"] in its place'
AN_ACCOUNT: Final = 'required = { email = ["…"] }, or { hd = ["…"] } for a Workspace domain'
"""Repairs: what takes the place of … and of the words in them, only the operator knows."""


def issuers_in_vain(settings: Settings) -> Iterator[str]:
    """One line for what is set of an issuer, or is not, and lets nobody in here, or everybody."""
    for name, issuer in settings.auth.issuers.items():
        found = (*_in_vain(issuer), *_too_wide(issuer), *_unused(issuer), *_elsewhere(issuer, settings))
        for member, message, fix in found:
            path = ("auth", "issuers", name, *([member] if member else []))
            yield remark(path, message, fix, settings.source.origins)


def _in_vain(issuer: Issuer) -> Iterator[tuple[str, str, str]]:
    """Which setting ("": the lack of one), what is the matter with it, and the line that mends it."""
    mapping = issuer.rules("").mapping
    mapped = [member for member in ("scopes", "pass_scopes", "grants") if getattr(issuer, member)]
    if mapped and not mapping.values:
        yield mapped[0], "no claim of a token is looked up in it: values is empty", A_CLAIM
    elif not mapping.scopes_ever:
        yield "", "none of its tokens has a scope, so that each of its requests is refused", _scopes(mapping)
    if issuer.preset == "cognito" and issuer.audiences:
        message = "Cognito's access tokens have no audience, unless their client asked for a resource"
        yield "audiences", message, A_CLIENT


def _too_wide(issuer: Issuer) -> Iterator[tuple[str, str, str]]:
    if issuer.preset == "google" and issuer.always_scopes and not issuer.required:
        message = "every Google account's token for the audience counts: nothing says whose do"
        yield "always_scopes", message, AN_ACCOUNT
    if issuer.preset == "keycloak" and "account" in issuer.audiences:
        message = 'Keycloak writes "account" into most tokens of a realm, whatever client they are for'
        yield "audiences", message, "name an audience that only this gateway has (a mapper adds it)"


def _elsewhere(issuer: Issuer, settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Audiences that are not /mcp, as a client of MCP asks for a token (RFC 8707)."""
    resource, audiences = settings.mcp.resource, issuer.rules("").audiences
    if resource is not None and audiences and resource not in audiences and not issuer.is_development:
        message = f"a token for {resource}, which is what clients of MCP ask for, does not count"
        yield "audiences", message, f'add "{resource}" to audiences, as the issuer writes it into `aud`'


def _unused(issuer: Issuer) -> Iterator[tuple[str, str, str]]:
    """Parts of an issuer's address that its preset does not put together."""
    used = issuer.parts
    for member in ("region", "user_pool_id", "domain", "tenant"):
        if getattr(issuer, member) is not None and member not in used:
            with_it = f'with preset = "{issuer.preset}"' if issuer.preset else "without a preset"
            yield member, f"is not used {with_it}", f"take {member} out, or choose the preset that uses it"


def _scopes(mapping: ClaimMapping) -> str:
    """How its tokens get a scope; WORD is what stands in one of its claims."""
    scopes = '["inference:chat", "usage:read"]'
    if not mapping.values:
        return f"always_scopes = {scopes}"
    claims = " or ".join(".".join(path) for path in mapping.values)
    return f'scopes = {{ "WORD" = {scopes} }}, where WORD is a word in {claims} of a token'
