"""Pixabay: images that are downloaded to be kept, and searches that are not repeated within a day."""

from macroslow.adapters.pixabay.api import Pixabay

__all__ = ["Pixabay"]
