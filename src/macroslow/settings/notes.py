"""What the operator is told of his configuration at a start; nothing of it stops one."""

from collections.abc import Iterator
from typing import Final

from macroslow.settings.model import Settings

PLAIN_HTTP: Final = (
    "plain HTTP, and not for this machine alone: keys can be read on the way (see [server.tls])"
)


def notes_on(settings: Settings) -> Iterator[str]:
    """One line each."""
    yield f"state {settings.state_folder}, documents' signatures {settings.signature_rule}"
    if settings.observes:
        yield "mode observe: NO budget refuses and no call waits; everything is only counted"
    if settings.is_exposed:
        yield PLAIN_HTTP
    if settings.administration.listen is not None:
        yield f"administration on {settings.administration.listen}, for keys with a scope admin:…"
    if not settings.providers:
        yield "no provider is configured: model calls are refused (macroslow init writes one)"
