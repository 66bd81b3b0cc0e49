"""Error bodies of a provider, made fit for a client.

They may quote the operator's key, whole or shortened (OpenAI does, in 401 bodies and others). What
goes on is the parsed JSON written anew, so that no escape hides a key, without anything that looks
like one; a body that is no JSON object, or too long, is replaced by one in the provider's own shape.
"""

import re
from typing import Final

import orjson

from macroslow.adapters.model_api.dialects import Rules

MAX_ERROR_BYTES: Final = 64 * 1024

_KEY_LIKE: Final = re.compile(rb"\b(?:sk|msk|pk|rk)[-_][A-Za-z0-9_\-*.]{4,}")
_REMOVED: Final = b"[removed]"


def clean_error(dialect: Rules, status: int, body: bytes, key: str) -> bytes:
    """The error body to pass on: JSON, without `key` or anything that looks like a key."""
    try:
        parsed = orjson.loads(body) if len(body) <= MAX_ERROR_BYTES else None
        written = orjson.dumps(parsed) if isinstance(parsed, dict) else _own(dialect, status)
    except (orjson.JSONDecodeError, TypeError):  # no JSON, or nested too deeply to write
        written = _own(dialect, status)
    if key:
        written = written.replace(orjson.dumps(key)[1:-1], _REMOVED)
    return _KEY_LIKE.sub(_REMOVED, written)


def _own(dialect: Rules, status: int) -> bytes:
    message = f"the provider answered with status {status} and no error that can be read"
    return orjson.dumps({**dialect.envelope, "error": {"message": message, **dialect.error}})
