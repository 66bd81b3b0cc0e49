"""Blocks of content that the fixtures answer with: the smallest image and sound there are, and texts."""

from typing import Final

import mcp_types as types

PNG_BASE64: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
"""One pixel."""
WAV_BASE64: Final = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
"""One sample of silence, 16 bits at 8 kHz."""


def text(said: str) -> types.TextContent:
    """A block of text."""
    return types.TextContent(type="text", text=said)


def image() -> types.ImageContent:
    """A block with the image."""
    return types.ImageContent(type="image", data=PNG_BASE64, mime_type="image/png")


def audio() -> types.AudioContent:
    """A block with the sound."""
    return types.AudioContent(type="audio", data=WAV_BASE64, mime_type="audio/wav")


def embedded(uri: str, said: str, mime_type: str = "text/plain") -> types.EmbeddedResource:
    """A block with a whole resource of text."""
    contents = types.TextResourceContents(uri=uri, mime_type=mime_type, text=said)
    return types.EmbeddedResource(type="resource", resource=contents)


def answer(*blocks: types.ContentBlock, is_error: bool = False) -> types.CallToolResult:
    """A tool's result of these blocks."""
    return types.CallToolResult(content=[*blocks], is_error=is_error)
