"""The issuers of tokens, wired: the rules of each, where its keys come from, and who may be minted for."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from macroslow.authn.jwt.keys import OneSecret
from macroslow.authn.jwt.ports import FixedKeys, KeySource
from macroslow.bootstrap.machine import clock
from macroslow.bootstrap.outside.session import Outward
from macroslow.bootstrap.references import secrets_of
from macroslow.bootstrap.state.core import Core
from macroslow.crypto.jose import SharedSecret
from macroslow.errors import ConfigurationError, Problem
from macroslow.secretstore.secret import Secret
from macroslow.services.identity.mint_tokens import development_key, development_keys
from macroslow.services.identity.verify_tokens import TrustedIssuer, VerifyTokens
from macroslow.settings.issuers.auth import Issuer

if TYPE_CHECKING:
    from macroslow.adapters.jwks import FetchedKeys


@dataclass(frozen=True, slots=True)
class Issuers:
    """What checks tokens (None: no issuer is configured), and the key sets that want fetching."""

    tokens: VerifyTokens | None
    fetched: "Sequence[FetchedKeys]"


def open_issuers(core: Core, secrets: Mapping[str, Secret], outward: Outward) -> Issuers:
    """Wire every issuer of the configuration. ConfigurationError for a secret that is too short."""
    settings = core.settings.auth.issuers
    if not settings:
        return Issuers(None, ())
    fetched = _fetched(settings, outward)
    sources = {
        name: fetched.get(name) or _source(core, name, issuer, secrets) for name, issuer in settings.items()
    }
    trusted = [
        TrustedIssuer(issuer.rules(name), sources[name], issuer.budget_usd_micros)
        for name, issuer in settings.items()
    ]
    return Issuers(VerifyTokens(trusted, core.revocations, core.books, clock), [*fetched.values()])


@asynccontextmanager
async def issuers_of(core: Core) -> AsyncIterator[VerifyTokens | None]:
    """What checks tokens, for a command: nothing of a gateway is opened but this."""
    wanted = [one for one in core.settings.secrets() if one.setting.startswith("auth.issuers.")]
    secrets = await secrets_of(core.settings, core.folder, core.quad, wanted)
    outward = Outward()
    try:
        yield open_issuers(core, secrets, outward).tokens
    finally:
        await outward.close()


def _fetched(issuers: Mapping[str, Issuer], outward: Outward) -> "dict[str, FetchedKeys]":
    """The key sets that are fetched, by their issuers' names."""
    urls = {name: issuer.keys_url for name, issuer in issuers.items() if issuer.keys_url is not None}
    if not urls:
        return {}
    from macroslow.adapters.jwks import FetchedKeys  # here: see Outward

    return {name: FetchedKeys(name, url, outward(), clock) for name, url in urls.items()}


def _source(core: Core, name: str, issuer: Issuer, secrets: Mapping[str, Secret]) -> KeySource:
    """The keys of an issuer that nothing is fetched for."""
    if issuer.is_development:
        return FixedKeys(development_keys(development_key(core.keys.api_key_pepper)))
    setting = f"auth.issuers.{name}.secret"
    try:
        return FixedKeys(OneSecret(secret=SharedSecret(secrets[setting].reveal().encode())))
    except ValueError as error:
        problem = Problem(str(error), "make another: openssl rand -hex 32", field=setting)
        raise ConfigurationError("an issuer's secret is too short", [problem], step="secrets") from None
