"""What a start refuses beyond the settings themselves; commands ask for it beforehand, all at once.

Not tried before a start: whether the address is free, the state folder unused, and a database, a rate
store or a provider can be reached.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from macroslow.authn.jwt.issuer import ClaimMapping
from macroslow.bootstrap.telemetry import header_value
from macroslow.errors import ConfigurationError, Problem
from macroslow.secretstore.resolve import Shape
from macroslow.settings import Settings
from macroslow.settings.catalogue import complete_catalogue
from macroslow.settings.identity import Issuer
from macroslow.settings.origin import dotted, nearest
from macroslow.web.tls import Files, ServerTLS

A_CLAIM: Final = 'values = ["groups"]'
A_CLIENT: Final = 'client_ids = ["…"] in its place'
"""Repairs: what takes the place of … and of the words in them, only the operator knows."""


def start_problems(settings: Settings) -> list[Problem]:
    """Names of models that lead nowhere, prices and limits that cannot be, TLS files that do not serve."""
    found: list[Problem] = []
    try:
        complete_catalogue(settings)
    except ConfigurationError as error:
        found += error.problems
    try:
        tls_of(settings)
    except ConfigurationError as error:
        origin = nearest(("server", "tls"), settings.source.origins)
        found.append(Problem(error.detail, error.fix, origin.line, "server.tls", origin.place))
    return found


def tls_of(settings: Settings) -> ServerTLS | None:
    """What encrypts the listener; ConfigurationError if its files do not serve."""
    files, folder = settings.server.tls, settings.source.folder
    return None if files is None else ServerTLS(Files(folder / files.certificate, folder / files.key))


def shapes(settings: Settings) -> Mapping[str, Shape]:
    """The form of those secrets that have one, by setting."""
    found: dict[str, Shape] = {
        f"telemetry.headers.{name}": header_value for name in settings.telemetry.headers
    }
    if settings.alerts.webhooks:
        from macroslow.adapters.webhook import signing_key  # here: see Outward

        found |= {f"alerts.webhooks[{n}].secret": signing_key for n in range(len(settings.alerts.webhooks))}
    return found


def issuers_in_vain(settings: Settings) -> Iterator[str]:
    """One line for what is set of an issuer, or is not, so that a good token of it can do nothing here."""
    for name, issuer in settings.auth.issuers.items():
        for member, message, fix in _in_vain(issuer):
            path = ("auth", "issuers", name, *([member] if member else []))
            yield f"{nearest(path, settings.source.origins)}: {dotted(path)}: {message}\n    fix: {fix}"


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


def _scopes(mapping: ClaimMapping) -> str:
    """How its tokens get a scope; WORD is what stands in one of its claims."""
    scopes = '["inference:chat", "usage:read"]'
    if not mapping.values:
        return f"always_scopes = {scopes}"
    claims = " or ".join(".".join(path) for path in mapping.values)
    return f'scopes = {{ "WORD" = {scopes} }}, where WORD is a word in {claims} of a token'
