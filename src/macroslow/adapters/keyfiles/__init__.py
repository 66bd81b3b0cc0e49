"""The gateway's own keys as files of the state folder."""

from macroslow.adapters.keyfiles.folder import GatewayKeys, export_log_key, load_or_create

__all__ = ["GatewayKeys", "export_log_key", "load_or_create"]
