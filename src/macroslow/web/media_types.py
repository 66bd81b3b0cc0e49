"""Media types that more than one place names (RFC 9110 section 8.3), without parameters."""

from collections.abc import Mapping
from typing import Final

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
EVENTS: Final = "text/event-stream"
MARKDOWN: Final = "text/markdown"
FORM: Final = "multipart/form-data"
TEXT: Final = "text/plain"
BYTES: Final = "application/octet-stream"

_WRITTEN: Final[Mapping[bytes, str]] = {each.encode("ascii"): each for each in (JSON, MARKDOWN)}
"""As nearly everybody writes them."""


def media_type_of(content_type: bytes) -> str:
    """The media type of a Content-Type header, in lower case."""
    return _WRITTEN.get(content_type) or content_type.partition(b";")[0].strip().lower().decode("latin-1")
