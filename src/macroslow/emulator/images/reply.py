"""One answer about images."""

from dataclasses import dataclass
from typing import Final

JSON: Final = b"application/json"
TEXT: Final = b"text/plain"
PNG: Final = b"image/png"


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, content type, body."""

    status: int
    content_type: bytes
    body: bytes
