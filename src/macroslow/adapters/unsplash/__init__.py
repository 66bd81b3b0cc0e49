"""Unsplash: photos that are shown by its own addresses, with their photographer, and whose use is told."""

from macroslow.adapters.unsplash.api import BASE_URL, Unsplash

__all__ = ["BASE_URL", "Unsplash"]
