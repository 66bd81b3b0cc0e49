"""AES-256-GCM (NIST SP 800-38D) with 96-bit nonces. Not key-committing: callers commit otherwise."""

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from macroslow.errors import DecryptionFailedError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
CIPHERS_KEPT: Final = 1_024


def encrypt(key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    """Return ciphertext and tag. A (key, nonce) pair is for one message only."""
    _check(key, nonce)
    return _cipher(key).encrypt(nonce, plaintext, associated_data)


def decrypt(key: bytes, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
    """Return the plaintext; DecryptionFailedError if anything about it is not as it was sealed."""
    _check(key, nonce)
    try:
        return _cipher(key).decrypt(nonce, ciphertext, associated_data)
    except InvalidTag:
        raise DecryptionFailedError("the sealed bytes do not open", reason="AES-256-GCM tag") from None


def _check(key: bytes, nonce: bytes) -> None:
    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise ValueError("AES-256-GCM takes a key of 32 bytes and a nonce of 12")


@lru_cache(CIPHERS_KEPT)
def _cipher(key: bytes) -> AESGCM:
    """The cipher of a key, kept while it is used: expanding a key costs more than sealing a short row."""
    return AESGCM(key)
