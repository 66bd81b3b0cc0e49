"""The state folder: made private, checked, and held by one process at a time."""

from macroslow.adapters.statefolder.folder import CONTROL_SOCKET, KEYSTORE, StateFolder, hold, prepare

__all__ = ["CONTROL_SOCKET", "KEYSTORE", "StateFolder", "hold", "prepare"]
