"""Providers' keys in one sealed file of the state folder."""

from macroslow.adapters.keystore.store import Entry, Keystore, absent

__all__ = ["Entry", "Keystore", "absent"]
