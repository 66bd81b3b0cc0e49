"""The state folder: made private, checked, and held by one process at a time."""

from macroslow.adapters.statefolder.folder import CONTROL_SOCKET, StateFolder, hold, prepare

__all__ = ["CONTROL_SOCKET", "StateFolder", "hold", "prepare"]
