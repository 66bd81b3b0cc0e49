"""The state folder: made private, checked, and held by one process at a time."""

from macroslow.adapters.statefolder.folder import KEYSTORE, StateFolder, hold, prepare

__all__ = ["KEYSTORE", "StateFolder", "hold", "prepare"]
