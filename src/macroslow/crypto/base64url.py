"""base64url without padding (RFC 7515, section 2), each value with one encoding only."""

import base64
import binascii


def encode(data: bytes) -> str:
    """Return the text; no padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Return the bytes; ValueError for padding, foreign characters or set unused bits."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64url") from None
    if encode(data) != text:
        raise ValueError("not the one base64url form of its bytes")
    return data
