"""Approved pins of other MCP servers, in one file of the state folder."""

from macroslow.adapters.pins_file.file import FILE_NAME, PinsFile

__all__ = ["FILE_NAME", "PinsFile"]
