"""The symmetric signature of Standard Webhooks: HMAC-SHA256 over id, time and body.

Source: Standard Webhooks specification 1.0.0, "Signature scheme" and "Symmetric signatures".
"""

import base64
import binascii
import hmac
from typing import Final

from macroslow.errors import ConfigurationError
from macroslow.secretstore.secret import Secret

PREFIX: Final = "whsec_"
MIN_KEY_BYTES: Final = 24
MAX_KEY_BYTES: Final = 64


def signing_key(secret: Secret) -> bytes:
    """The key in a secret such as whsec_MfKQ…: base64 of 24 to 64 bytes. Raises ConfigurationError."""
    try:
        key = base64.b64decode(secret.reveal().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ConfigurationError(
            f"is no webhook's secret: {PREFIX} and {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes in base64",
            fix=f'make one: echo "{PREFIX}$(openssl rand -base64 32)"',
        )
    return key


def signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of `webhook-signature`. `message_id` holds no full stop, or it could be read otherwise."""
    if "." in message_id:
        raise ValueError("a full stop in the id of a message")
    digest = hmac.digest(key, f"{message_id}.{timestamp_s}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"
