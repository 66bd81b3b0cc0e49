"""Unsplash: photos that are shown by its own addresses, with their photographer, and whose use is told."""

from macroslow.adapters.unsplash.api import Unsplash

__all__ = ["Unsplash"]
