"""Keepers of the gateway's signing keys."""

from macroslow.adapters.signer.local import LocalSigner

__all__ = ["LocalSigner"]
