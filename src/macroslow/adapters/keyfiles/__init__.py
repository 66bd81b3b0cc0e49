"""The gateway's own keys as files of the state folder."""

from macroslow.adapters.keyfiles.folder import GatewayKeys, load_or_create

__all__ = ["GatewayKeys", "load_or_create"]
