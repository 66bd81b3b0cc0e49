"""Pixabay: images that are downloaded to be kept, and searches that are not repeated within a day."""

from macroslow.adapters.pixabay.api import BASE_URL, Pixabay

__all__ = ["BASE_URL", "Pixabay"]
