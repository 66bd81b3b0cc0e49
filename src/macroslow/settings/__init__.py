"""The configuration: what may be set, how it is read, and what is wrong with it."""

from macroslow.settings.load import FILE_NAME, load
from macroslow.settings.model import Settings, Source, schema
from macroslow.settings.origin import Origin, dotted

__all__ = ["FILE_NAME", "Origin", "Settings", "Source", "dotted", "load", "schema"]
