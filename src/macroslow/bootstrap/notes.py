"""What the operator is told of his configuration at a start; nothing of it stops one."""

from collections.abc import Iterator
from typing import Final

from macroslow.bootstrap.models.catalogue import names_in_vain
from macroslow.metering.catalogue import Catalogue
from macroslow.settings.issuers.in_vain import issuers_in_vain
from macroslow.settings.model import Settings
from macroslow.settings.unlikely import unlikely

PLAIN_HTTP: Final = (
    "plain HTTP, and not for this machine alone: keys can be read on the way (see [server.tls])"
)


def notes_on(settings: Settings, catalogue: Catalogue) -> Iterator[str]:
    """What a start says: what is in force, and all that a check warns of.

    A line each, or two with a repair.
    """
    yield f"state {settings.state_folder}, documents' signatures {settings.signature_rule}"
    if settings.administration.listen is not None:
        yield f"administration on {settings.administration.listen}, for keys with a scope admin:…"
    yield from warnings_on(settings, catalogue)


def warnings_on(settings: Settings, catalogue: Catalogue) -> Iterator[str]:
    """What hardly anybody wants to be so, though a start takes it."""
    if settings.observes:
        yield "mode observe: NO budget refuses and no call waits; everything is only counted"
    if settings.is_exposed:
        yield PLAIN_HTTP
    if not settings.providers:
        yield "no provider is configured: model calls are refused (macroslow init writes one)"
    yield from names_in_vain(settings, catalogue)
    yield from issuers_in_vain(settings)
    yield from unlikely(settings)
