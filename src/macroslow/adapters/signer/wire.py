"""Messages between the gateway and its signer: one JSON object each, behind its length (u32, big-endian).

The signer reads from a process that may have been taken over: what it takes is small, strictly JSON, and of
known members. What comes back is our own signer's word, and large only where keys were changed many times.
"""

import struct
from collections.abc import Mapping
from typing import Final

import orjson

from macroslow.crypto import strict_json

PREFIX: Final = struct.Struct(">I")
MAX_ASKED_BYTES: Final = 1024 * 1024  # a statement has 64 KiB at most, a receipt some 10
MAX_TOLD_BYTES: Final = 32 * 1024 * 1024  # a thousand hand-overs
_DEPTH: Final = 16  # of claims, below the members that carry them


def pack(message: Mapping[str, object]) -> bytes:
    """Return the message as it is sent. ValueError if it is no JSON, or too large to be taken."""
    try:
        body = orjson.dumps(message)
    except TypeError as error:
        raise ValueError(f"what is to be signed is no JSON: {error}") from None
    if len(body) > MAX_TOLD_BYTES:
        raise ValueError("a message to or from the signer is too large")
    return PREFIX.pack(len(body)) + body


def length(prefix: bytes, limit_bytes: int) -> int:
    """How many bytes follow; ValueError above the limit."""
    (size,) = PREFIX.unpack(prefix)
    if size > limit_bytes:
        raise ValueError("a message to or from the signer is too large")
    return int(size)


def parse(body: bytes, limit_bytes: int) -> dict[str, object]:
    """Return the object; ValueError if it is none."""
    value = strict_json.parse(body, limit_bytes=limit_bytes, max_depth=_DEPTH)
    if not isinstance(value, dict):
        raise ValueError("a message is no object")  # noqa: TRY004 (one kind of error for all bad messages)
    return value
