"""The configuration: what may be set, how it is read, and what is wrong with it."""

from macroslow.settings.load import FILE_NAME, load
from macroslow.settings.model import Settings, schema
from macroslow.settings.origin import dotted

__all__ = ["FILE_NAME", "Settings", "dotted", "load", "schema"]
