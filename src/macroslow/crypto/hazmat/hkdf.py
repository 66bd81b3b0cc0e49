"""HKDF with SHA-512 (RFC 5869): whole, and Expand alone for secrets that are uniform already."""

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand


def expand(secret: bytes, info: bytes, length: int) -> bytes:
    """Return `length` bytes from a uniform secret of at least 64 bytes (RFC 5869 section 2.3)."""
    return HKDFExpand(SHA512(), length, info).derive(secret)


def extract_and_expand(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """Return `length` bytes from a secret of any shape (RFC 5869 section 2)."""
    return HKDF(SHA512(), length, salt, info).derive(secret)
