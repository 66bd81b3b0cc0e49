"""A time-stamping authority over HTTP (RFC 3161)."""

from macroslow.adapters.timestamps.authority import TimestampAuthority

__all__ = ["TimestampAuthority"]
