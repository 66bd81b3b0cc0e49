"""One AES-256-GCM layer for small rows that are committed to elsewhere (log payloads).

The caller gives a fresh nonce for each message under a key. AES-GCM does not commit to its key, so
whoever stores a row must also store a commitment to its plaintext and check it after opening.
"""

from typing import Final

from macroslow.crypto.hazmat import aes_gcm

KEY_BYTES: Final = aes_gcm.KEY_BYTES
NONCE_BYTES: Final = aes_gcm.NONCE_BYTES


def seal(key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    """Return nonce, ciphertext and tag (28 bytes more than `plaintext`)."""
    return nonce + aes_gcm.encrypt(key, nonce, plaintext, associated_data)


def open_sealed(key: bytes, sealed: bytes, associated_data: bytes) -> bytes:
    """Return the plaintext; DecryptionFailedError for another key, other data or altered bytes."""
    nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    return aes_gcm.decrypt(key, nonce.ljust(NONCE_BYTES, b"\0"), ciphertext, associated_data)
