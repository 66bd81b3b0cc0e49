"""HKDF-Expand with SHA-512 (RFC 5869, section 2.3), for secrets that are uniform already."""

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand


def expand(secret: bytes, info: bytes, length: int) -> bytes:
    """Return `length` bytes (at most 16,320) from a uniform secret; ValueError for more."""
    return HKDFExpand(SHA512(), length, info).derive(secret)
