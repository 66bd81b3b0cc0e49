"""Media types that more than one place names (RFC 9110 section 8.3), without parameters."""

from typing import Final

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
EVENTS: Final = "text/event-stream"
MARKDOWN: Final = "text/markdown"
FORM: Final = "multipart/form-data"
TEXT: Final = "text/plain"
BYTES: Final = "application/octet-stream"
