"""Unsplash's and Pixabay's APIs, and the images that they name: invented, one colour each."""

from macroslow.emulator.images.service import ImageLimits, ImageService

__all__ = ["ImageLimits", "ImageService"]
