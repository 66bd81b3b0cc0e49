"""Traces for the operator's collector, and the providers as telemetry names them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from macroslow import __version__
from macroslow.bootstrap.machine import entropy
from macroslow.bootstrap.outside.session import Outward
from macroslow.bootstrap.references import header_value
from macroslow.secretstore.secret import Secret
from macroslow.services.calls.gen_ai import Peer, peer_of
from macroslow.settings import Settings

if TYPE_CHECKING:
    from macroslow.adapters.otlp import SpanExporter


def peers(settings: Settings) -> Mapping[str, Peer]:
    """The providers by the configuration's name."""
    return {name: peer_of(name, provider.base_url) for name, provider in settings.providers.items()}


def span_exporter(
    settings: Settings, secrets: Mapping[str, Secret], outward: Outward
) -> "SpanExporter | None":
    """The way to the operator's collector; None without one. ConfigurationError for an impossible header."""
    telemetry = settings.telemetry
    if telemetry.endpoint is None:
        return None
    from macroslow.adapters.otlp import Collector, SpanExporter  # here: see Outward

    headers = {name: header_value(secrets[f"telemetry.headers.{name}"]) for name in telemetry.headers}
    resource = {
        "service.name": telemetry.service_name,
        "service.version": __version__,
        "service.namespace": "macroslow",
        "macroslow.gateway": settings.gateway.name,
    }
    return SpanExporter(Collector(telemetry.endpoint, headers, outward()), resource, entropy)
