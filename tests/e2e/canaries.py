"""Secrets to plant, and every form in which one might lie where none belongs."""

import base64
import re
import secrets
import zlib
from collections.abc import Iterator


def canary(kind: str) -> str:
    return f"canary-{kind}-{secrets.token_hex(12)}"


def forms(text: str) -> list[bytes]:
    """The text as it might lie in a file: plain, UTF-16, hexadecimal, base64 at each of three offsets."""
    raw = text.encode()
    found = [raw, text.encode("utf-16-le"), raw.hex().encode(), raw.hex().upper().encode(), raw[::-1]]
    for pad in range(3):
        coded = base64.b64encode(b"x" * pad + raw)
        inner = coded[4 if pad else 0 : -4]  # without the characters that depend on the neighbours
        found += [inner, inner.translate(bytes.maketrans(b"+/", b"-_"))]
    return found


def holds(content: bytes, text: str) -> bool:
    return any(form in content for form in forms(text))


def unpacked(content: bytes) -> Iterator[bytes]:
    """Whatever in the bytes is a zlib or gzip stream."""
    for start in re.finditer(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08", content):
        try:
            yield zlib.decompressobj(47).decompress(content[start.start() :], 1 << 20)
        except zlib.error:
            continue


def secret_of(key: str) -> str:
    """The part of a client key that is no identifier."""
    return key.split("_")[2][:40]
