"""Traces for the operator's collector, and the providers as telemetry names them."""

from collections.abc import Mapping

from macroslow.services.gen_ai import Peer, peer_of
from macroslow.settings import Settings


def peers(settings: Settings) -> Mapping[str, Peer]:
    """The providers by the configuration's name."""
    return {name: peer_of(name, provider.base_url) for name, provider in settings.providers.items()}
